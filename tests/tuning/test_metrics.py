"""Measures equal those worked out by hand, and their intervals are as wide as is known where that is known."""

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kneeoa_hub.agreement import RESAMPLES, qwk_interval, resamples
from kneeoa_hub.evidence import Agreement, Estimate, SetEvidence, SubgroupEvidence

if TYPE_CHECKING:
    from tuning.evaluation.metrics import Predictions


def predictions(groups: np.ndarray, seed: int = 0) -> "Predictions":
    """Made-up predictions for N knees, right in seven of ten; groups: [N]."""
    from tuning.evaluation.metrics import Predictions

    rng = np.random.default_rng(seed)
    count = len(groups)
    truth = rng.integers(0, 5, count)
    grade = np.where(rng.random(count) < 0.7, truth, rng.integers(0, 5, count))
    probabilities = rng.dirichlet(np.ones(5), count) + 2 * np.eye(5)[grade]
    return Predictions(
        truth,
        grade,
        probabilities / probabilities.sum(1, keepdims=True),
        rng.random(count) < 0.9,
        rng.integers(1, 5, count),
        groups,
    )


def names(count: int) -> np.ndarray:
    return np.array([f"{number:04d}" for number in range(count)])


def copied(given: "Predictions", times: int) -> "Predictions":
    """Every film so many times, the copies in the film's group and not beside each other."""
    return given.take(np.tile(np.arange(len(given.truth)), times))


def test_a_bootstrap_draws_whole_groups():
    groups = np.random.default_rng(0).permutation(np.repeat(names(20), np.arange(20) % 4 + 1))
    drawn = resamples(groups, count=50)
    for rows in drawn:
        times = np.bincount(rows, minlength=len(groups))
        of_group = {name: set(times[groups == name].tolist()) for name in set(groups)}
        assert all(len(same) == 1 for same in of_group.values())
        assert sum(same.pop() for same in of_group.values()) == 20
    assert len({tuple(rows) for rows in drawn}) == 50
    assert all(np.array_equal(a, b) for a, b in zip(drawn, resamples(groups, count=50), strict=True))
    assert not np.array_equal(drawn[0], resamples(groups, seed=1, count=1)[0])


def test_every_group_is_drawn_as_often_as_every_other():
    times = np.bincount(np.concatenate(resamples(names(10))), minlength=10) / RESAMPLES
    assert times == pytest.approx(np.ones(10), abs=4 / math.sqrt(RESAMPLES))


def test_copies_narrow_an_interval_only_when_they_count_as_films_of_their_own():
    from tuning.evaluation.metrics import METRICS, coverages, measure, recalls

    alone = predictions(names(60))
    together = copied(alone, 4)
    apart = replace(together, groups=names(240))
    seen, grouped, single = (measure(SetEvidence, one) for one in (alone, together, apart))
    for name in METRICS:
        figure = getattr(seen, name)
        assert asdict(getattr(grouped, name)) == pytest.approx(asdict(figure) | {"n": 240}), name
        width = getattr(single, name).high - getattr(single, name).low
        # of four times as many films
        assert width == pytest.approx((figure.high - figure.low) / 2, rel=0.3), name
    assert qwk_interval(together.truth, together.grade, together.groups) == pytest.approx((seen.qwk.low, seen.qwk.high))
    for by_grade in (recalls, coverages):
        assert all(
            by_grade(together)[grade].low == pytest.approx(figure.low)
            for grade, figure in by_grade(alone).items()
            if 0 < figure.value < 1
        )


def test_the_interval_of_an_accuracy_is_that_of_a_proportion():
    from tuning.evaluation.metrics import Predictions, measure

    right = np.arange(400) % 5 > 0
    truth = np.arange(400) % 4
    given = Predictions(
        truth, np.where(right, truth, truth + 1), np.full((400, 5), 0.2), right, np.ones(400, int), names(400)
    )
    figure = measure(Agreement, given).accuracy
    error = 1.96 * math.sqrt(0.8 * 0.2 / 400)
    ends = {"value": 0.8, "low": 0.8 - error, "high": 0.8 + error, "n": 400}
    assert asdict(figure) == pytest.approx(ends, abs=0.005)


def test_figures_worked_out_by_hand():
    from tuning.evaluation.metrics import METRICS, Predictions

    truth, grade = np.array([0, 0, 0, 1, 3, 4]), np.array([0, 0, 2, 1, 1, 4])
    probabilities = np.eye(5)[grade] * 0.375 + 0.125
    given = Predictions(
        truth, grade, probabilities, np.array([1, 1, 0, 1, 0, 1], bool), np.array([1, 2, 3, 1, 2, 3]), names(6)
    )
    worked = {
        "accuracy": 4 / 6,
        "balanced_accuracy": (2 / 3 + 1 + 0 + 1) / 4,
        "mae": (2 + 2) / 6,
        "qwk": 1 - (4 + 4) / ((3 * 22 + 12 + 28 + 54) / 6),  # squares, and those of every truth beside every grade
        "ece": 4 / 6 - 0.5,
        "ece_reported": 4 / 6 - 0.5,
        "sensitivity_oa": 1 / 2,
        "specificity_oa": 3 / 4,
        "auc_oa": (3 * 0.5 + 0 + 3 * 1 + 0.5) / (2 * 4),  # the film of KL 3 beside the four without, then that of KL 4
        "coverage": 4 / 6,
        "set_size": 2,
    }
    assert {name: metric(given) for name, metric in METRICS.items()} == pytest.approx(worked)


def test_the_area_under_the_curve_is_that_of_scikit_learn_with_ties():
    from sklearn.metrics import roc_auc_score

    from kneeoa_hub.decision import oa_probability
    from tuning.evaluation.metrics import METRICS

    given = predictions(names(200))
    tied = replace(given, probabilities=given.probabilities.round(1))
    for knees in (given, tied):
        expected = roc_auc_score(knees.truth >= 2, oa_probability(knees.probabilities))
        assert METRICS["auc_oa"](knees) == pytest.approx(expected, abs=1e-12)


def test_a_set_without_osteoarthritis_has_no_measure_of_it():
    from tuning.evaluation.metrics import measure

    healthy = predictions(names(60))
    healthy = replace(healthy, truth=healthy.truth % 2)
    assert measure(SubgroupEvidence, healthy).auc_oa is None
    whole = measure(SetEvidence, healthy)
    assert whole.sensitivity_oa is None
    assert whole.specificity_oa is not None


def test_balanced_accuracy_is_that_of_scikit_learn():
    from sklearn.metrics import balanced_accuracy_score

    from tuning.run.estimates import balanced_accuracy

    rng = np.random.default_rng(0)
    truth, grade = np.append(rng.integers(0, 4, 200), [0, 1]), np.append(rng.integers(0, 4, 200), [3, 3])
    assert balanced_accuracy(truth, grade) == pytest.approx(balanced_accuracy_score(truth, grade))


def test_balanced_accuracy_is_the_mean_recall_of_the_grades_that_occur():
    from tuning.run.estimates import balanced_accuracy

    assert balanced_accuracy(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert balanced_accuracy(np.array([3, 3]), np.array([3, 4])) == 0.5
    assert balanced_accuracy(np.arange(5), np.zeros(5, int)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("confidence", "right", "error"),
    [
        ([0.9, 0.9, 0.5, 0.5], [1, 0, 1, 1], (abs(1.8 - 1) + abs(1.0 - 2)) / 4),
        ([0.5, 0.5], [1, 0], 0.0),  # in one bin, over- and underconfident films cancel out
        ([0.4, 0.6], [1, 0], 0.6),  # in two they do not
        ([1.0, 1.0], [1, 0], 0.5),
        ([0.94, 1.0], [1, 0], 0.47),  # the last bin is from 14/15 to 1
        ([0.93, 1.0], [1, 0], 0.535),
    ],
)
def test_calibration_errors_worked_out_by_hand(confidence, right, error):
    from tuning.evaluation.metrics import calibration_error

    assert calibration_error(np.array(confidence), np.array(right, bool)) == pytest.approx(error)


def test_the_error_of_a_perfect_model_is_that_of_its_draws():
    from tuning.evaluation.metrics import ece_of_perfect

    assert np.array_equal(ece_of_perfect(np.eye(5)), np.zeros(RESAMPLES))  # certain predictions leave nothing to chance
    half = ece_of_perfect(np.tile([0.5, 0.5, 0, 0, 0], (400, 1)))
    assert len(half) == RESAMPLES
    # the mean distance of a coin's proportion from 1/2
    assert half.mean() == pytest.approx(math.sqrt(2 / math.pi) * math.sqrt(0.25 / 400), rel=0.05)
    assert np.array_equal(half, ece_of_perfect(np.tile([0.5, 0.5, 0, 0, 0], (400, 1))))


def test_a_model_that_is_right_as_often_as_it_says_lies_within_the_band_and_a_surer_one_above():
    from tuning.evaluation.metrics import calibration_error, ece_of_perfect

    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.full(5, 0.7), 2000)
    truth = (rng.random(2000)[:, None] > probabilities.cumsum(1)[:, :4]).sum(1)
    surer = probabilities**2 / (probabilities**2).sum(1, keepdims=True)
    for given, within in ((probabilities, True), (surer, False)):
        low, high = np.percentile(ece_of_perfect(given), (5, 95))
        error = calibration_error(given.max(1), given.argmax(1) == truth)
        assert (low < error < high) == within
        assert within or error > 2 * high


def test_a_proportion_has_wilsons_interval_also_at_0_and_1():
    from tuning.run.estimates import proportion

    z = 1.959964
    assert asdict(proportion([False] * 10)) == pytest.approx(
        {"value": 0, "low": 0, "high": z**2 / (10 + z**2), "n": 10}, abs=1e-6
    )
    middle, half = (0.5 + z**2 / 20) / (1 + z**2 / 10), z * math.sqrt(0.025 + z**2 / 400) / (1 + z**2 / 10)
    assert asdict(proportion([True, False] * 5)) == pytest.approx(
        {"value": 0.5, "low": middle - half, "high": middle + half, "n": 10}, abs=1e-6
    )
    assert proportion([]) == Estimate(0, 0, 0, 0)
