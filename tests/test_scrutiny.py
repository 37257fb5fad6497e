"""What the evidence says of where a model looks, of subgroups, and of the films on the gallery's sheets."""

import numpy as np
import pytest

from kneeoa_hub.bundle import InputConfig
from tuning.audit import AuditedFilm
from tuning.datasets import Knees
from tuning.ensemble import Member, assemble, usual_maps
from tuning.gallery import COLUMNS, Graded, chosen
from tuning.metrics import Answers
from tuning.occlusion import JOINT as JOINT_SHARES
from tuning.occlusion import covered, joint_boxes, mean_maps, peaks
from tuning.scrutiny import subgroups
from tuning.space import Architecture, build

SIZE = 50
JOINT = np.s_[22:34, 4:46]
"""Rows and columns of the joint space in a square film of SIZE pixels that is seen whole."""


def knees(pixels: np.ndarray, grades: np.ndarray, sides: list[str] | None = None, width: int = SIZE, height: int = SIZE) -> Knees:
    films = tuple(
        AuditedFilm("oai", "", f"{row}.png", int(grade), str(row // 2), sides[row] if sides else "left", "val", "", "", width, height, 1, 0, "yes")
        for row, grade in enumerate(grades)
    )
    content = np.tile([0, 0, pixels.shape[2], pixels.shape[1]], (len(films), 1))
    return Knees(pixels, content, films)


@pytest.fixture
def graded_in_joint() -> Knees:
    """Films whose joint space is the brighter, the higher the grade, on noise that says nothing."""
    rng = np.random.default_rng(0)
    grades = np.arange(60) % 5
    pixels = rng.integers(0, 80, (60, SIZE, SIZE)).astype(np.uint8)
    for film, grade in zip(pixels, grades, strict=True):
        film[JOINT] = 40 * grade + 40
    return knees(pixels, grades)


def read_joint(inputs: np.ndarray) -> np.ndarray:
    """The rank of the joint's brightness as a grade; a blanked joint is told from no other."""
    seen = inputs[(slice(None), *JOINT, 0)].mean((1, 2))
    return np.searchsorted(np.quantile(seen, (0.2, 0.4, 0.6, 0.8)), seen)


def test_the_joint_is_where_it_lies_in_a_film_seen_whole_and_in_its_band():
    whole, band = InputConfig(SIZE, SIZE), InputConfig(35, SIZE, crop="band")
    films = knees(np.zeros((1, SIZE, SIZE), np.uint8), np.array([0]))
    assert joint_boxes(films, whole).tolist() == [[4, 22, 46, 34]]
    cut = knees(np.zeros((1, 35, SIZE), np.uint8), np.array([0]))
    left, top, right, bottom = joint_boxes(cut, band)[0]
    assert (left, right, bottom - top) == (4, 46, 12)
    assert abs(top - (22 - 7.5)) <= 1


def test_a_model_that_reads_the_joint_loses_its_kappa_with_it_and_with_nothing_else(graded_in_joint):
    figures = covered(read_joint, graded_in_joint, InputConfig(SIZE, SIZE))
    assert figures["plain"]["value"] > 0.9
    assert figures["joint"]["qwk"]["value"] < 0.3
    assert figures["joint"]["difference"]["high"] < 0
    assert figures["all but the joint"]["difference"]["low"] > 0
    assert figures["border"]["difference"]["low"] > 0


def test_random_masks_are_as_large_as_the_masks_they_are_compared_with(graded_in_joint):
    shares: list[float] = []

    def graded(inputs: np.ndarray) -> np.ndarray:
        shares.append(float((inputs == 0).mean()))
        return np.zeros(len(inputs), int)

    covered(graded, graded_in_joint, InputConfig(SIZE, SIZE))
    plain, *masked = shares
    for start in range(0, len(masked), 6):
        mask, *random = masked[start : start + 6]
        assert mask > plain
        assert np.allclose(random, mask, atol=0.02)


def test_peaks_counts_the_maps_whose_largest_place_lies_in_the_joint(graded_in_joint):
    maps = np.zeros((60, 5, 5), np.float32)
    maps[:30, 2, 2] = 1
    maps[30:, 0, 0] = 1
    figures = peaks(maps, graded_in_joint, InputConfig(SIZE, SIZE))
    assert figures["in_joint"]["value"] == 0.5
    assert figures["in_joint"]["low"] < 0.5 < figures["in_joint"]["high"]
    assert figures["by_chance"]["value"] == pytest.approx(0.2)


def test_mean_maps_turn_left_knees_over():
    films = knees(np.zeros((2, SIZE, SIZE), np.uint8), np.array([3, 3]), ["left", "right"])
    maps = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    means = mean_maps(maps, np.array([3, 3]), films, InputConfig(SIZE, SIZE))
    assert means.by_grade[3].tolist() == [[0.0, 1.0]]
    assert means.knees == {3: 2}
    assert means.joint == pytest.approx(JOINT_SHARES, abs=0.01)


def test_subgroups_split_the_films_by_side_and_by_exposure():
    grades = np.arange(300) % 5
    pixels = np.tile(np.arange(300)[:, None, None] % 250, (1, 8, 8)).astype(np.uint8)
    films = knees(pixels, grades, ["left", "right"] * 150)
    wrong_on_the_left = np.where(np.arange(300) % 2 == 0, 4 - grades, grades)
    answers = Answers(grades, wrong_on_the_left, np.full((300, 5), 0.2), np.ones(300, bool), np.ones(300, int), films.groups)
    figures = subgroups(answers, films)
    assert set(figures) == {"side: left", "side: right", "exposure: dark", "exposure: middle", "exposure: bright"}
    assert figures["side: right"]["accuracy"]["value"] == 1.0
    assert figures["side: left"]["accuracy"]["value"] < 0.3
    assert sum(figures[f"exposure: {name}"]["qwk"]["n"] for name in ("dark", "middle", "bright")) == 300


def test_a_map_shows_what_the_mean_film_does_not():
    architecture = Architecture(size=64, widths="16-32-64-128", blocks=1, fold=True)
    member = build(architecture)
    films = np.random.default_rng(0).standard_normal((3, 64, 64, 1)).astype(np.float32)
    usual = usual_maps(assemble([Member("", architecture, member)]), films[:1])
    maps = np.asarray(assemble([Member("", architecture, member)], usual=usual)(films)["activation_map"])
    assert np.abs(maps[0]).max() < 1e-5
    assert np.abs(maps[1:]).max() > 1e-3


def test_the_gallery_takes_the_surest_right_ones_and_the_worst_wrong_ones():
    truth = np.array([2] * 8 + [0, 0, 0])
    grade = np.array([2] * 8 + [4, 1, 1])
    probability = np.array([0.3, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.4, 0.9, 0.5])
    sheets = chosen(Graded(truth, grade, np.where(probability < 0.45, 3, 1), probability))
    assert sheets["right"].tolist() == [1, 2, 3, 4, 5]
    assert len(sheets["right"]) == COLUMNS
    assert sheets["wrong"].tolist() == [8, 9, 10]
    assert sheets["uncertain"].tolist() == [8, 0, 7, 6]
