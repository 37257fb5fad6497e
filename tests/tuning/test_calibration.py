"""Prediction sets hold the reader's grade as often as their level says, also when they are fitted on few films."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from kneeoa_hub.bundle import Conformal, Decision
from kneeoa_hub.decision import grade_set, reported_grade

pytestmark = pytest.mark.keras

LEVELS = ("0.5", "0.8", "0.9", "0.95", "0.99")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [1, 8, 9, 10, 18, 19, 20, 98, 99, 100, 459, 1037])
def test_the_threshold_is_the_least_score_that_enough_films_do_not_exceed(count, level):
    from tuning.evaluation.calibration import EVERY_GRADE, conformal_threshold

    scores = np.random.default_rng(count).permutation(count) / count
    enough = math.ceil((count + 1) * Fraction(level))
    reached = [score for score in scores if (scores <= score).sum() >= enough]
    assert conformal_threshold(scores, float(level)) == min(reached, default=EVERY_GRADE)


def test_the_ranks_of_1037_and_of_99_films():
    from tuning.evaluation.calibration import conformal_threshold

    assert conformal_threshold(np.arange(1, 1038), 0.9) == 935
    assert conformal_threshold(np.arange(1, 100), 0.9) == 90


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [7, 20, 101])
def test_a_film_left_out_is_covered_as_often_as_the_level_says_and_not_more(count, level):
    from tuning.evaluation.calibration import conformal_threshold

    scores = np.random.default_rng(count).random(count)  # each of these is as likely to be the new one
    covered = np.mean(
        [score <= conformal_threshold(np.delete(scores, row), float(level)) for row, score in enumerate(scores)]
    )
    assert float(level) <= covered + 1e-9
    assert covered < float(level) + 1 / count


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N,5] of neighbouring grades, and grades [N] drawn from them."""
    rng = np.random.default_rng(4)
    powers = np.exp(-1.5 * (rng.uniform(0, 4, 20000)[:, None] - np.arange(5)) ** 2)
    probabilities = powers / powers.sum(1, keepdims=True)
    return probabilities, (rng.random(20000)[:, None] > probabilities.cumsum(1)[:, :4]).sum(1)


def covered(
    probabilities: np.ndarray, truth: np.ndarray, decision: Decision, conformal: Conformal
) -> tuple[float, float]:
    """How many films have the truth in their set, and the mean size of the sets."""
    grades = reported_grade(probabilities, decision)
    sets = [grade_set(row, int(grade), conformal) for row, grade in zip(probabilities, grades, strict=True)]
    return float(np.mean([t in s for t, s in zip(truth, sets, strict=True)])), float(np.mean([len(s) for s in sets]))


def test_new_films_are_covered_at_each_level(made):
    from tuning.evaluation.calibration import apply_temperature, calibrate

    probabilities, truth = made
    fitted = calibrate(probabilities[:2000], truth[:2000])
    new = apply_temperature(probabilities[2000:], fitted.temperature)
    for level in (fitted.conformal.level, *dict(fitted.conformal.others)):
        conformal = fitted.conformal.at(level)
        for grade in range(5):
            rows = truth[2000:] == grade
            proportion, size = covered(new[rows], truth[2000:][rows], fitted.decision, conformal)
            assert proportion >= level - 0.08  # a grade has some 400 films on either side
            assert size < 5


def test_a_grade_that_every_set_holds_anyhow_needs_no_threshold(made):
    from tuning.evaluation.calibration import calibrate

    probabilities, truth = made
    likely = probabilities[np.arange(len(truth)), truth] > 0.4
    sets = calibrate(probabilities[likely], truth[likely]).conformal
    assert sets.threshold == 0
    assert set(sets.thresholds) == {0}


def test_a_grade_with_a_fifth_of_the_probability_is_never_ruled_out():
    conformal = Conformal(0.9, 0.5, 100, always=0.2)
    assert grade_set([0.5, 0.25, 0.15, 0.1, 0.0], 0, conformal) == (0, 1)
    assert grade_set([0.5, 0.25, 0.15, 0.1, 0.0], 0, replace(conformal, always=1.0)) == (0,)
    assert grade_set([0.45, 0.15, 0.05, 0.1, 0.25], 0, conformal) == (0, 1, 2, 3, 4)


def test_a_set_has_no_gap_where_a_grade_between_has_a_low_threshold():
    conformal = Conformal(0.9, 0.8, 100, by_grade=((0.9, (0.8, 0.1, 0.95, 0.8, 0.8)),))
    assert grade_set([0.55, 0.25, 0.1, 0.06, 0.04], 0, conformal) == (0, 1, 2)


def test_of_a_dozen_films_the_sets_of_the_highest_level_hold_every_grade(made):
    from tuning.evaluation.calibration import calibrate

    probabilities, truth = made
    fitted = calibrate(probabilities[:12], truth[:12])
    high, low = (replace(fitted.conformal.at(level), always=1.0) for level in (0.95, 0.8))
    assert covered(probabilities[:500], truth[:500], fitted.decision, high) == (1, 5)
    assert covered(probabilities[:500], truth[:500], fitted.decision, low)[1] < 5


def test_changed_validation_films_move_the_limit_of_refusal_alone() -> None:
    from tuning.evaluation.refusal import fit_refusal

    rng = np.random.default_rng(3)
    training, validation = rng.standard_normal((400, 8)), rng.standard_normal((200, 8))
    contents = [rng.integers(0, 256, (16, 16)).astype(np.uint8) for _ in validation]
    plain = fit_refusal(training, validation, contents, contents)
    near = fit_refusal(training, validation, contents, contents, changed=0.5 * validation)
    far = fit_refusal(training, validation, contents, contents, changed=2 * validation)
    assert near == plain
    assert far.max_distance > plain.max_distance
    assert (far.far_distance, far.max_clipped) == (plain.far_distance, plain.max_clipped)
