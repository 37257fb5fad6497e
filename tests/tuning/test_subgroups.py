"""The evidence of where a model's attention lies and of subgroups, and the films on the gallery's sheets."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.imaging.phantom import knee_film
from tuning.data.datasets import Knees, exposures, load_knees
from tuning.data.table import AuditedFilm

pytestmark = pytest.mark.keras

SIZE = 50
JOINT = np.s_[22:34, 4:46]
"""Rows and columns of the joint space in a square film of SIZE pixels that is seen whole."""


def knees(
    pixels: np.ndarray, grades: np.ndarray, sides: list[str] | None = None, width: int = SIZE, height: int = SIZE
) -> Knees:
    films = tuple(
        AuditedFilm(
            "oai",
            "",
            f"{row}.png",
            int(grade),
            str(row // 2),
            sides[row] if sides else "left",
            "val",
            "",
            "",
            width,
            height,
            1,
            0,
            "yes",
        )
        for row, grade in enumerate(grades)
    )
    content = np.tile([0, 0, pixels.shape[2], pixels.shape[1]], (len(films), 1))
    return Knees(pixels, content, films)


@pytest.fixture
def graded_in_joint() -> Knees:
    """Films of noise whose joint space is brighter for a higher grade."""
    rng = np.random.default_rng(0)
    grades = np.arange(60) % 5
    pixels = rng.integers(0, 80, (60, SIZE, SIZE)).astype(np.uint8)
    for film, grade in zip(pixels, grades, strict=True):
        film[JOINT] = 40 * grade + 40
    return knees(pixels, grades)


def read_joint(inputs: np.ndarray) -> np.ndarray:
    """The rank of the joint's brightness as a grade; a blanked joint has one rank."""
    seen = inputs[(slice(None), *JOINT, 0)].mean((1, 2))
    return np.searchsorted(np.quantile(seen, (0.2, 0.4, 0.6, 0.8)), seen)


def test_the_joint_is_where_it_lies_in_a_film_seen_whole_and_in_its_band():
    from tuning.evaluation.occlusion import joint_boxes

    whole, band = InputConfig(SIZE, SIZE), InputConfig(35, SIZE, crop="band")
    films = knees(np.zeros((1, SIZE, SIZE), np.uint8), np.array([0]))
    assert joint_boxes(films, whole).tolist() == [[4, 22, 46, 34]]
    cut = knees(np.zeros((1, 35, SIZE), np.uint8), np.array([0]))
    left, top, right, bottom = joint_boxes(cut, band)[0]
    assert (left, right, bottom - top) == (4, 46, 12)
    assert abs(top - (22 - 7.5)) <= 1


def test_a_model_that_reads_the_joint_loses_its_kappa_with_it_and_with_nothing_else(graded_in_joint):
    from tuning.evaluation.occlusion import masked_kappas

    figures = masked_kappas(read_joint, graded_in_joint, InputConfig(SIZE, SIZE))
    assert figures.plain.value > 0.9
    assert figures.joint.qwk.value < 0.3
    assert figures.joint.difference.high < 0
    assert figures.all_but_the_joint.difference.low > 0
    assert figures.border.difference.low > 0


def test_random_masks_are_as_large_as_the_masks_they_are_compared_with(graded_in_joint):
    from tuning.evaluation.occlusion import masked_kappas

    shares: list[float] = []

    def graded(inputs: np.ndarray) -> np.ndarray:
        shares.append(float((inputs == 0).mean()))
        return np.zeros(len(inputs), int)

    masked_kappas(graded, graded_in_joint, InputConfig(SIZE, SIZE))
    plain, *masked = shares
    for start in range(0, len(masked), 6):
        mask, *random = masked[start : start + 6]
        assert mask > plain
        assert np.allclose(random, mask, atol=0.02)


def test_peaks_counts_the_maps_with_their_maximum_in_the_joint(graded_in_joint):
    from tuning.evaluation.occlusion import peaks

    maps = np.zeros((60, 5, 5), np.float32)
    maps[:30, 2, 2] = 1
    maps[30:, 0, 0] = 1
    figures = peaks(maps, graded_in_joint, InputConfig(SIZE, SIZE))
    assert figures.in_joint.value == 0.5
    assert figures.in_joint.low < 0.5 < figures.in_joint.high
    assert figures.by_chance.value == pytest.approx(0.2)


def test_mean_maps_mirror_left_knees():
    from tuning.evaluation.occlusion import JOINT as JOINT_FRACTIONS
    from tuning.evaluation.occlusion import mean_maps

    films = knees(np.zeros((2, SIZE, SIZE), np.uint8), np.array([3, 3]), ["left", "right"])
    maps = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    means = mean_maps(maps, np.array([3, 3]), films, InputConfig(SIZE, SIZE))
    assert means.by_grade[3].tolist() == [[0.0, 1.0]]
    assert means.knees == {3: 2}
    assert means.joint == pytest.approx(JOINT_FRACTIONS, abs=0.01)


def of_exposure(films: Knees, brightness: np.ndarray) -> Knees:
    return replace(
        films,
        films=tuple(replace(film, brightness=float(gray)) for film, gray in zip(films.films, brightness, strict=True)),
    )


def test_subgroups_split_the_films_by_side_and_by_the_films_own_gray():
    from tuning.evaluation.metrics import Predictions
    from tuning.evaluation.subgroups import subgroups

    grades = np.arange(300) % 5
    films = of_exposure(
        knees(np.full((300, 8, 8), 128, np.uint8), grades, ["left", "right"] * 150), np.repeat([0.2, 0.5, 0.8], 100)
    )
    wrong = np.arange(300) < 100  # the dark ones, whose letterboxed pixels are as bright as the others
    predictions = Predictions(
        grades,
        np.where(wrong, 4 - grades, grades),
        np.full((300, 5), 0.2),
        np.ones(300, bool),
        np.ones(300, int),
        films.groups,
    )
    figures = subgroups(predictions, films)
    assert set(figures) == {"side: left", "side: right", "film gray: dark", "film gray: middle", "film gray: bright"}
    assert [round(figures[f"film gray: {name}"].accuracy.value, 1) for name in ("dark", "middle", "bright")] == [
        0.2,
        1.0,
        1.0,
    ]
    assert {figures[f"film gray: {name}"].qwk.n for name in ("dark", "middle", "bright")} == {100}
    assert {figures[f"side: {side}"].qwk.n for side in ("left", "right")} == {150}


def test_films_without_a_measured_gray_are_read_again_and_left_out_when_they_are_gone(tmp_path):
    from tuning.audit import audit

    rng = np.random.default_rng(0)
    for grade in range(5):
        for number in range(6):
            (tmp_path / "films" / "train" / str(grade)).mkdir(parents=True, exist_ok=True)
            pixels = (knee_film(grade, 10 * grade + number).pixels * rng.uniform(0.3, 1)).astype(np.uint8)
            Image.fromarray(255 - pixels if number == grade else pixels).save(
                tmp_path / "films" / "train" / str(grade) / f"{number}.png"
            )
    out = audit([f"site={tmp_path / 'films'}"], tmp_path / "audit")
    noted = load_knees(out, "train", InputConfig(96, 96))
    grays = exposures(noted)
    assert grays is not None
    assert np.ptp(grays) > 0.1
    with (out / "films.csv").open(newline="", encoding="utf-8") as file:
        rows = [{name: value for name, value in row.items() if name != "brightness"} for row in csv.DictReader(file)]
    with (out / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    older = load_knees(out, "train", InputConfig(96, 96))
    assert {film.brightness for film in older.films} == {None}
    assert exposures(older) == pytest.approx(grays, abs=1e-5)
    shutil.rmtree(tmp_path / "films")
    assert exposures(older) is None
    assert exposures(noted) is not None


def test_the_brightness_of_an_inverted_film_is_that_of_the_corrected_film():
    films = of_exposure(knees(np.zeros((2, 8, 8), np.uint8), np.zeros(2, int)), np.array([0.3, 0.3]))
    inverted = replace(films, films=(films.films[0], replace(films.films[1], inverted=1)))
    assert exposures(inverted) == pytest.approx([0.3, 0.7])


def test_a_map_shows_what_the_mean_film_does_not():
    from tuning.networks.architecture import Architecture, build
    from tuning.networks.ensemble import Member, assemble, mean_class_maps

    architecture = Architecture(size=64, widths="16-32-64-128", blocks=1, fold=True)
    member = build(architecture)
    films = np.random.default_rng(0).standard_normal((3, 64, 64, 1)).astype(np.float32)
    typical = mean_class_maps(assemble([Member("", architecture, member)]), films[:1])
    maps = np.asarray(assemble([Member("", architecture, member)], mean_maps=typical)(films)["activation_map"])
    assert np.abs(maps[0]).max() < 1e-5
    assert np.abs(maps[1:]).max() > 1e-3


def test_the_gallery_takes_the_surest_right_ones_and_the_worst_wrong_ones():
    from tuning.evaluation.gallery import COLUMNS, GradedKnees, choose

    truth = np.array([2] * 8 + [0, 0, 0])
    grade = np.array([2] * 8 + [4, 1, 1])
    probability = np.array([0.3, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.4, 0.9, 0.5])
    sheets = choose(GradedKnees(truth, grade, np.where(probability < 0.45, 3, 1), probability))
    assert sheets["right"].tolist() == [1, 2, 3, 4, 5]
    assert len(sheets["right"]) == COLUMNS
    assert sheets["wrong"].tolist() == [8, 9, 10]
    assert sheets["uncertain"].tolist() == [8, 0, 7, 6]
