"""Random changes of training films keep the joint at its recorded position, and can be repeated."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.frame import HIGH, LOW, Place
from kneeoa_hub.imaging.letterbox import letterbox
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.screen import Screener
from kneeoa_hub.manifest import sha256_of
from tuning.data.datasets import fitted_knee
from tuning.data.table import AuditedFilm, read_films, write_films
from tuning.data.variation import gray_bytes, vary

FILM = knee_film(2, 3).pixels
PLACE = Place(FILM.shape[1] / 2, FILM.shape[0] / 2, float(min(FILM.shape)))
FRAMED = InputConfig(96, 96, LOW, HIGH, "frame")


def test_the_same_draws_give_the_same_film_and_others_another():
    one, same, other = (vary(FILM, PLACE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.pixels, same.pixels)
    assert one.place == same.place
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("seed", range(40))
def test_the_joint_is_at_its_recorded_position(seed):
    """A bright disc at the joint of a dim film is still the brightest spot at the recorded position."""
    down, across = np.mgrid[:224, :224]
    disc = (down - 112) ** 2 + (across - 112) ** 2 < 14**2
    film = np.where(disc, 250, 60 + across // 8).astype(np.uint8)
    varied = vary(film, Place(112, 112, 224), np.random.default_rng(seed))
    x, y, side = varied.place.x, varied.place.y, varied.place.side
    near = np.s_[round(y - 0.15 * side) : round(y + 0.15 * side), round(x - 0.15 * side) : round(x + 0.15 * side)]
    part = varied.pixels[near].astype(float)
    rows, columns = np.nonzero(part > (np.percentile(part, 99) + np.median(part)) / 2)
    assert abs(np.median(columns) / part.shape[1] - 0.5) < 0.12
    assert abs(np.median(rows) / part.shape[0] - 0.5) < 0.12


def test_films_of_any_depth_become_bytes():
    assert np.array_equal(gray_bytes(FILM.astype(np.float32)), FILM)
    deep = gray_bytes(FILM.astype(np.float32) * 16 + 100)
    assert deep.dtype == np.uint8
    assert deep.min() == 0
    assert deep.max() == 255


@pytest.fixture
def audited_film(tmp_path) -> tuple[Path, AuditedFilm]:
    """An audit of one film on disk, whose joint a locator has found."""
    Image.fromarray(FILM).save(tmp_path / "knee.png")
    height, width = FILM.shape
    film = AuditedFilm(
        "site", str(tmp_path), "knee.png", 2, "a", "left", "train", sha256_of(tmp_path / "knee.png"), "0",
        width, height, 1, 0, "yes",
        joint=Place(100.25, 90.5, 180.0),
    )  # fmt: skip
    write_films(tmp_path / "films.csv", [film])
    return tmp_path, film


def test_the_joint_is_kept_in_the_table_and_frames_the_film(audited_film):
    from kneeoa_hub.imaging.frame import frame
    from tuning.data.datasets import load_knees

    audit, film = audited_film
    assert read_films(audit) == [film]
    knees = load_knees(audit, "train", FRAMED)
    assert knees.framed
    assert np.array_equal(knees.pixels[0], frame(FILM.astype(np.float32), film.place, 96).pixels)
    again = load_knees(audit, "train", FRAMED)
    assert again.framed
    assert np.array_equal(again.pixels, knees.pixels)


def test_a_film_without_a_located_joint_counts_as_a_crop(audited_film):
    _, film = audited_film
    strip = AuditedFilm(**{**vars(film), "joint": None, "width": 300, "height": 162})
    assert strip.place == Place(150, 81, 300)


def edged(kind: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return a film with edges, the part within them, and the left and top of that part."""
    if kind == "black border":
        return np.pad(FILM, ((30, 10), (20, 40))).astype(np.float32), FILM.astype(np.float32), (20, 30)
    collimated = FILM.astype(np.float32)
    collimated[:, :24], collimated[200:] = 9, 9
    return collimated, collimated[:200, 24:], (24, 0)


@pytest.mark.parametrize("kind", ["black border", "collimation"])
def test_a_film_with_edges_is_framed_for_training_as_the_grader_frames_it(kind):
    film, part, (left, top) = edged(kind)
    joint = Place(part.shape[1] / 2, part.shape[0] / 2, 1.2 * max(part.shape))
    half = joint.side / 2
    region = joint.x - half, joint.y - half, joint.x + half, joint.y + half
    screening = Screener(lambda pixels: (region,), square=True)(Film(film, "knee.png"))
    assert screening.film.pixels.shape == part.shape
    graded = letterbox(screening.film.pixels, screening.graded[0], FRAMED)
    row = AuditedFilm(
        "site", "", "knee.png", 2, "a", "left", "train", "0", "0", film.shape[1], film.shape[0], 1, 0, "yes",
        joint=Place(joint.x + left, joint.y + top, joint.side),
    )  # fmt: skip
    trained = fitted_knee(film, row, FRAMED)
    assert trained.content == graded.content
    assert np.array_equal(trained.pixels, graded.pixels)


def test_variants_are_made_once_and_the_first_is_the_film_itself(audited_film):
    from tuning.data.datasets import load_knees
    from tuning.data.variants import load_variants

    audit, _ = audited_film
    knees = load_knees(audit, "train", FRAMED)
    made = load_variants(audit, knees, FRAMED, count=3)
    assert made.shape == (1, 3, 96, 96)
    assert np.abs(made[0, 0].astype(float) - knees.pixels[0]).mean() < 40
    (kept,) = (audit / "arrays").glob("variants-*")
    before = kept.stat().st_mtime_ns
    assert np.array_equal(load_variants(audit, knees, FRAMED, count=3), made)
    assert kept.stat().st_mtime_ns == before
    if os.name != "nt":  # a hole in a mapped file would end the process when the disk is full
        assert kept.stat().st_blocks * 512 >= kept.stat().st_size
    content = kept.read_bytes()
    kept.unlink()  # which `made` maps
    kept.write_bytes(content[:-9])
    assert np.array_equal(load_variants(audit, knees, FRAMED, count=3), made)
