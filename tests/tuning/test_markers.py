"""The step that trains and measures the reader of markers, small and on synthetic films."""

import json

import numpy as np
import pytest

from kneeoa_hub.imaging.markers import LETTERS, Marker, MarkerReader

pytestmark = pytest.mark.keras


def test_the_step_writes_networks_that_the_library_reads_and_their_figures(audited, tmp_path):
    from tuning.markers import THRESHOLDS, MarkerSettings, markers
    from tuning.training.short import ShortTraining

    reading = ShortTraining(epochs=1, batch=8, learning_rate=1e-3, seed=0)
    settings = MarkerSettings(films=2, parts=16, side=64, epochs=1, batch=8, reading=reading, test_films=2)
    out = markers(audited, tmp_path / "markers", settings)
    assert MarkerReader(folder=out)(np.zeros((500, 400), np.float32)) == ()
    readings = json.loads((out / "markers.json").read_text())
    assert [one["sure"] for one in readings] == list(THRESHOLDS)
    assert all(one["found"] + one["confused"] <= 2 * one["letters"] for one in readings)
    assert markers(audited, out, settings) == out


def test_what_lies_on_a_film_is_where_the_networks_are_asked_for_it():
    from tuning.synthetic.markers import SINGLE, marked, places_targets, seen_letter

    rng, dark = np.random.default_rng(0), np.zeros((300, 300), np.uint8)
    films = [marked(dark, split, 192, rng) for split in ("train", "val") * 20]
    for film, (cells,) in zip(films, np.moveaxis(places_targets(films, 192), -1, 1), strict=True):
        assert (cells == 1).any() == any(one.kind in SINGLE for one in film.laid)
        for one in film.laid:
            assert cells[int(one.y / 8), int(one.x / 8)] == (1 if one.kind in SINGLE else -1)
            assert seen_letter(film, one.x, one.y) == (1 + LETTERS.index(one.letter) if one.letter else 0) or any(
                other.letter and np.hypot(other.x - one.x, other.y - one.y) < 24 for other in film.laid
            )
        for one in film.letters:
            rows, columns = (slice(int(z - one.height / 2), int(z + one.height / 2)) for z in (one.y, one.x))
            assert np.ptp(film.pixels[rows, columns]) > 0.1
    assert {one.letter for film in films for one in film.letters} == set(LETTERS)
    assert any(film.laid and not film.letters for film in films)


def test_a_letter_counts_as_found_confused_or_invented():
    from tuning.markers import MarkerResult, _reading
    from tuning.synthetic.markers import Laid, MarkedFilm

    laid = (Laid("marker", "R", 100, 100, 20), Laid("marker", "L", 500, 100, 20), Laid("other", "", 300, 300, 20))
    film = MarkedFilm(np.zeros((768, 768), np.float16), laid)
    read = [Marker("R", 104, 98, 0.9), Marker("R", 501, 101, 0.95), Marker("L", 300, 300, 0.8)]
    assert _reading([film], [read], 0.7) == MarkerResult(0.7, letters=2, found=1, confused=1, films=1, invented=1)
    assert _reading([film], [read], 0.92) == MarkerResult(0.92, letters=2, found=0, confused=1, films=1, invented=0)
