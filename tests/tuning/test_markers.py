"""The step that trains and measures the reader of markers, small and on synthetic films."""

import json

import numpy as np
import pytest

from kneeoa_hub.imaging.markers import INPUT, LETTERS, Marker, MarkerReader

pytestmark = pytest.mark.keras


def test_the_step_writes_a_network_that_the_library_reads_and_its_figures(audited, tmp_path):
    from tuning.markers import THRESHOLDS, MarkerSettings, markers

    settings = MarkerSettings(films=2, parts=16, side=64, epochs=1, test_films=2)
    out = markers(audited, tmp_path / "markers", settings)
    assert MarkerReader(path=out / "markers.onnx")(np.zeros((500, 400), np.float32)) == ()
    readings = json.loads((out / "markers.json").read_text())
    assert [one["sure"] for one in readings] == list(THRESHOLDS)
    assert all(one["found"] + one["confused"] <= 2 * one["letters"] for one in readings)
    assert markers(audited, out, settings) == out


def test_markers_lie_where_their_targets_say_and_what_is_none_has_no_target():
    from tuning.synthetic.markers import marked, targets

    rng, dark = np.random.default_rng(0), np.zeros((300, 300), np.uint8)
    films = [marked(dark, split, 192, rng) for split in ("train", "val") * 20]
    wanted = targets(films, 192)
    for film, cells in zip(films, wanted, strict=True):
        letters = [letter for letter, *_ in film.letters]
        assert [bool(cells[..., 1 + place].any()) for place in range(2)] == [one in letters for one in LETTERS]
        for letter, x, y, height in film.letters:
            assert cells[int(y / 4), int(x / 4), 1 + LETTERS.index(letter)] == 1
            near = film.pixels[int(y - height / 2) : int(y + height / 2), int(x - height / 2) : int(x + height / 2)]
            assert np.ptp(near) > 0.1
    assert {letter for film in films for letter, *_ in film.letters} == set(LETTERS)
    assert any(film.pixels.max() > 0.5 and not film.letters for film in films)


def test_a_letter_counts_as_found_confused_or_invented():
    from tuning.markers import Reading, _reading
    from tuning.synthetic.markers import MarkedFilm

    film = MarkedFilm(np.zeros((INPUT.height, INPUT.width), np.float32), (("R", 100, 100, 20), ("L", 500, 100, 20)))
    read = [Marker("R", 104, 98, 0.9), Marker("R", 501, 101, 0.95), Marker("L", 300, 300, 0.8)]
    assert _reading([film], [read], 0.7) == Reading(0.7, letters=2, found=1, confused=1, films=1, invented=1)
    assert _reading([film], [read], 0.92) == Reading(0.92, letters=2, found=0, confused=1, films=1, invented=0)
