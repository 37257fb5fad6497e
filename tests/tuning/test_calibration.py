"""Prediction sets hold the reader's grade as often as their level says, also when they are fitted on few films."""

import math
from fractions import Fraction

import numpy as np
import pytest

from kneeoa_hub.bundle import Decision
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


def covered(probabilities: np.ndarray, truth: np.ndarray, decision: Decision, threshold: float) -> tuple[float, float]:
    """How many films have the truth in their set, and the mean size of the sets."""
    grades = reported_grade(probabilities, decision)
    sets = [grade_set(row, int(grade), threshold) for row, grade in zip(probabilities, grades, strict=True)]
    return float(np.mean([t in s for t, s in zip(truth, sets, strict=True)])), float(np.mean([len(s) for s in sets]))


def test_new_films_are_covered_at_each_level(made):
    from tuning.evaluation.calibration import apply_temperature, calibrate

    probabilities, truth = made
    fitted = calibrate(probabilities[:2000], truth[:2000], np.arange(2000).astype(str))
    new = apply_temperature(probabilities[2000:], fitted.temperature)
    for level, threshold in ((fitted.conformal.level, fitted.conformal.threshold), *fitted.conformal.others):
        share, size = covered(new, truth[2000:], fitted.decision, threshold)
        assert share == pytest.approx(level, abs=0.02)
        assert size < 5


def test_of_a_dozen_films_the_sets_of_the_highest_level_hold_every_grade(made):
    from tuning.evaluation.calibration import calibrate

    probabilities, truth = made
    fitted = calibrate(probabilities[:12], truth[:12], np.arange(12).astype(str))
    thresholds = dict(fitted.conformal.others)
    assert covered(probabilities[:500], truth[:500], fitted.decision, thresholds[0.95]) == (1, 5)
    assert covered(probabilities[:500], truth[:500], fitted.decision, thresholds[0.8])[1] < 5
