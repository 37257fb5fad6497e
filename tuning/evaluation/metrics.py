"""Reported grades and probabilities are measured with intervals by bootstrap over leakage groups."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy.stats import rankdata

from kneeoa_hub.agreement import INTERVAL, RESAMPLES, confusion, qwk, resamples
from kneeoa_hub.decision import oa_probability
from kneeoa_hub.evidence import Estimate, GradeEvidence
from kneeoa_hub.grades import NUM_GRADES, OSTEOARTHRITIS_FROM

from ..run.estimates import balanced_accuracy, estimate, grouped_proportion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
ECE_BINS = 15
"""The expected calibration error is taken over 15 bins of confidence."""
PERFECT_BAND = (50, 5, 95)
"""These percentiles of the calibration error of a perfectly calibrated model are its value, its low and its high."""


@dataclass(frozen=True)
class Predictions:
    """Predictions are the readers' grades of N knees and what a bundle reports for them.

    Attributes:
        truth: [N] int, the reader's grade.
        grade: [N] int, the reported grade.
        probabilities: [N,5], calibrated.
        in_set: [N] bool, whether the prediction set holds the reader's grade.
        set_size: [N] int, number of grades in the prediction set.
        groups: [N] str, the leakage groups.
    """

    truth: np.ndarray
    grade: np.ndarray
    probabilities: np.ndarray
    in_set: np.ndarray
    set_size: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def confidence(self) -> np.ndarray:
        """[N]: the probability of the reported grade."""
        return self.probabilities[np.arange(len(self)), self.grade]

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the knees of an index or mask [N]."""
        return Predictions(*(getattr(self, field.name)[rows] for field in fields(self)))


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error over ECE_BINS equal bins of confidence (Guo et al., ICML 2017).

    Args:
        confidence: [N] probability of the grade in question.
        right: [N] bool, whether that grade is the reader's.
    """
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, confidence - right, ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def ece_of_perfect(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return [RESAMPLES] calibration errors of labels drawn from the probabilities [N,5].

    They show which error a perfectly calibrated model would have on as many knees.
    """
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(1)
    return np.array([calibration_error(confidence, rng.random(len(confidence)) < confidence) for _ in range(RESAMPLES)])


def _auc(predictions: Predictions) -> float:
    """Return the area under the ROC curve for KL 2 or more; NaN where all knees lie on one side of it.

    It is computed from ranks, as the Mann-Whitney statistic: for the bootstrap, scikit-learn's `roc_auc_score` takes
    ten times as long.
    """
    present = predictions.truth >= OSTEOARTHRITIS_FROM
    diseased = int(present.sum())
    healthy = len(present) - diseased
    if not diseased or not healthy:
        return float("nan")
    ranks = rankdata(oa_probability(predictions.probabilities))
    return float((ranks[present].sum() - diseased * (diseased + 1) / 2) / (diseased * healthy))


def _agreement_on_oa(predictions: Predictions, *, present: bool) -> float:
    """Return the proportion of knees with (or without) KL 2 or more that are reported so; NaN where none is."""
    mine = (predictions.truth >= OSTEOARTHRITIS_FROM) == present
    if not mine.any():
        return float("nan")
    return float(((predictions.grade[mine] >= OSTEOARTHRITIS_FROM) == present).mean())


METRICS: dict[str, Callable[[Predictions], float]] = {
    "qwk": lambda knees: qwk(knees.truth, knees.grade),
    "accuracy": lambda knees: float((knees.truth == knees.grade).mean()),
    "balanced_accuracy": lambda knees: balanced_accuracy(knees.truth, knees.grade),
    "mae": lambda knees: float(np.abs(knees.truth - knees.grade).mean()),
    "auc_oa": _auc,
    "ece": lambda knees: calibration_error(knees.probabilities.max(1), knees.probabilities.argmax(1) == knees.truth),
    "ece_reported": lambda knees: calibration_error(knees.confidence, knees.grade == knees.truth),
    "sensitivity_oa": lambda knees: _agreement_on_oa(knees, present=True),
    "specificity_oa": lambda knees: _agreement_on_oa(knees, present=False),
    "coverage": lambda knees: float(knees.in_set.mean()),
    "set_size": lambda knees: float(knees.set_size.mean()),
}
"""Each measure fills the field of its name in the dataclasses of `kneeoa_hub.evidence`, which say what it means."""


def measure(kind: type[T], predictions: Predictions, /, *, seed: int = 0, **others: Any) -> T:
    """Return a dataclass of `kneeoa_hub.evidence` whose fields in METRICS are measured on N knees.

    A measure of osteoarthritis stays None where all knees lie on one side of KL 2.

    Args:
        kind: The dataclass, such as SetEvidence or Agreement.
        predictions: The knees.
        seed: The seed of the bootstrap.
        others: Its other fields.
    """
    samples = [predictions.take(rows) for rows in resamples(predictions.groups, seed)]
    names = [field.name for field in fields(kind) if field.name in METRICS]
    measured = {name: _measured(name, predictions, samples) for name in names}
    return kind(**{name: value for name, value in measured.items() if value is not None}, **others)


def measure_grades(predictions: Predictions, seed: int = 0) -> GradeEvidence:
    """Return what is measured on the knees of each grade that occurs."""
    return GradeEvidence(
        recall=recalls(predictions, seed),
        coverage=coverages(predictions, seed),
        confusion=tuple(map(tuple, confusion(predictions.truth, predictions.grade).tolist())),
        films=tuple(np.bincount(predictions.truth, minlength=NUM_GRADES).tolist()),
        ece_if_perfect=estimate(
            *np.percentile(ece_of_perfect(predictions.probabilities), PERFECT_BAND), n=len(predictions)
        ),
    )


def recalls(predictions: Predictions, seed: int = 0) -> dict[str, Estimate]:
    """Return, by grade that occurs, the proportion of its knees that are reported with it."""
    return _by_grade(predictions, predictions.grade == predictions.truth, seed)


def coverages(predictions: Predictions, seed: int = 0) -> dict[str, Estimate]:
    """Return, by grade that occurs, the proportion of its knees whose prediction set holds it."""
    return _by_grade(predictions, predictions.in_set, seed)


def _measured(name: str, predictions: Predictions, samples: list[Predictions]) -> Estimate | None:
    """Return one measure with its 95% interval over bootstrap samples; None where the knees don't show it."""
    metric = METRICS[name]
    value = metric(predictions)
    if np.isnan(value):
        return None
    drawn = np.array([metric(sample) for sample in samples])
    if name.startswith("ece"):
        # Drawing films twice makes every bin noisier, which raises this error by itself: take that bias out.
        drawn = np.maximum(drawn - np.median(drawn) + value, 0)
    low, high = np.nanpercentile(drawn, INTERVAL)
    return estimate(value, low, high, len(predictions))


def _by_grade(predictions: Predictions, values: np.ndarray, seed: int) -> dict[str, Estimate]:
    rows = {str(grade): predictions.truth == grade for grade in range(NUM_GRADES)}
    return {
        grade: grouped_proportion(values[mine], predictions.groups[mine], seed)
        for grade, mine in rows.items()
        if mine.any()
    }
