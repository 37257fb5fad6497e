"""Figures of merit for grades and probabilities, with intervals by bootstrap over patients or clusters."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from kneeoa_hub.agreement import INTERVAL, RESAMPLES, qwk, resamples
from kneeoa_hub.decision import oa_probability
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grades import NUM_GRADES, OSTEOARTHRITIS_FROM

from ..run.figures import balanced_accuracy, grouped_share, number

ECE_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What was given and what was answered for N knees.

    truth, grade: [N] int. probabilities: [N,5]. in_set: [N] bool, the truth is in the set. set_size: [N] int. groups:
    [N] str.
    """

    truth: np.ndarray
    grade: np.ndarray
    probabilities: np.ndarray
    in_set: np.ndarray
    set_size: np.ndarray
    groups: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """[N]: the probability of the reported grade."""
        return self.probabilities[np.arange(len(self.grade)), self.grade]

    def take(self, rows: np.ndarray) -> "Predictions":
        return Predictions(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over ECE_BINS equal bins of confidence (Guo et al., ICML 2017)."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, confidence - right, ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def ece_of_perfect(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """[RESAMPLES] calibration errors of labels drawn from the probabilities: the band of a perfectly calibrated
    model.
    """
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(1)
    return np.array([calibration_error(confidence, rng.random(len(confidence)) < confidence) for _ in range(RESAMPLES)])


def _auc(predictions: Predictions) -> float:
    present = predictions.truth >= OSTEOARTHRITIS_FROM
    return (
        float(roc_auc_score(present, oa_probability(predictions.probabilities)))
        if 0 < present.mean() < 1
        else float("nan")
    )


def _share_graded_alike(predictions: Predictions, *, present: bool) -> float:
    """Of the knees with osteoarthritis (KL 2 or more), or of those without, the share whose reported grade says so
    too.
    """
    mine = (predictions.truth >= OSTEOARTHRITIS_FROM) == present
    return float(((predictions.grade[mine] >= OSTEOARTHRITIS_FROM) == present).mean()) if mine.any() else float("nan")


METRICS: dict[str, Callable[[Predictions], float]] = {
    "qwk": lambda a: qwk(a.truth, a.grade),
    "accuracy": lambda a: float((a.truth == a.grade).mean()),
    "balanced_accuracy": lambda a: balanced_accuracy(a.truth, a.grade),
    "mae": lambda a: float(np.abs(a.truth - a.grade).mean()),
    "auc_oa": _auc,
    "ece": lambda a: calibration_error(a.probabilities.max(1), a.probabilities.argmax(1) == a.truth),
    "ece_reported": lambda a: calibration_error(a.confidence, a.grade == a.truth),
    "sensitivity_oa": lambda a: _share_graded_alike(a, present=True),
    "specificity_oa": lambda a: _share_graded_alike(a, present=False),
    "coverage": lambda a: float(a.in_set.mean()),
    "set_size": lambda a: float(a.set_size.mean()),
}
"""Each field of a `SetEvidence`; ece is of the likeliest grade, ece_reported of the reported one, *_oa are
for KL 2 or more, coverage and set_size are of the grade sets."""


def measure(predictions: Predictions, seed: int = 0, names: Collection[str] = tuple(METRICS)) -> dict[str, Estimate]:
    """Returns every named metric that the knees can tell, with its 95% interval by bootstrap over groups.

    A metric of osteoarthritis is left out where all knees lie on one side of KL 2.
    """
    resampled = [predictions.take(rows) for rows in resamples(predictions.groups, seed)]
    figures = {}
    for name, metric in ((name, METRICS[name]) for name in names):
        value, drawn = metric(predictions), np.array([metric(sample) for sample in resampled])
        if np.isnan(value):
            continue
        if name.startswith("ece"):
            # Drawing films twice makes every bin noisier, which raises this error by itself: take that bias out.
            drawn = np.maximum(drawn - np.median(drawn) + value, 0)
        low, high = np.nanpercentile(drawn, INTERVAL)
        figures[name] = number(value, low, high, len(predictions.truth))
    return figures


def recalls(predictions: Predictions, seed: int = 0) -> dict[str, Estimate]:
    """Recall of each grade that occurs, as in `measure`; where it is 0 or 1, with the interval of `share`."""
    return _by_grade(predictions, predictions.grade == predictions.truth, seed)


def coverages(predictions: Predictions, seed: int = 0) -> dict[str, Estimate]:
    """Of the knees of each grade, how many have it in their set, as in `measure`."""
    return _by_grade(predictions, predictions.in_set, seed)


def _by_grade(predictions: Predictions, values: np.ndarray, seed: int) -> dict[str, Estimate]:
    rows = {str(grade): predictions.truth == grade for grade in range(NUM_GRADES)}
    return {
        grade: grouped_share(values[mine], predictions.groups[mine], seed) for grade, mine in rows.items() if mine.any()
    }
