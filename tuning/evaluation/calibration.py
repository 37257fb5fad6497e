"""Temperature, decision rule and prediction sets are fitted on validation films, for grading."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from kneeoa_hub.bundle import Conformal, Decision
from kneeoa_hub.decision import grade_set, nested_masses, reported_grade, threshold_rank
from kneeoa_hub.grades import NUM_GRADES

from ..data.datasets import Knees
from ..networks.ensemble import LEAST_PROBABILITY
from .metrics import Predictions
from .thresholds import choose_decision

COVERAGE_LEVEL, OTHER_LEVELS = 0.9, (0.8, 0.95)
"""The bundle's prediction sets have the first coverage level; a user may ask for the others."""
ALWAYS = 0.2
"""A grade of at least this probability is in every prediction set: no reader would call it ruled out."""
EVERY_GRADE = 2.0
"""The mass of no set reaches this threshold, however the probabilities are rounded."""
TEMPERATURES = (-4.0, 4.0)
"""The logarithm of the temperature stays within these bounds: beyond them all probabilities are nearly equal, or nearly
0 and 1."""


@dataclass(frozen=True)
class Calibration:
    """A calibration holds what was fitted on N knees.

    Attributes:
        temperature: The logarithms of the probabilities are divided by it.
        decision: The rule from probabilities to the reported grade.
        conformal: The thresholds of the prediction sets.
        decision_tried: The (kappa, accuracy) of each decision rule, see `thresholds`.
    """

    temperature: float
    decision: Decision
    conformal: Conformal
    decision_tried: dict[str, tuple[float, float]]


def calibrate(probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
    """Return what is fitted on validation knees.

    Args:
        probabilities: [N,5] of the uncalibrated ensemble.
        truth: [N] int, the readers' grades.
    """
    temperature = fit_temperature(probabilities, truth)
    calibrated = apply_temperature(probabilities, temperature)
    decision, tried = choose_decision(calibrated, truth)
    grades = reported_grade(calibrated, decision)
    return Calibration(temperature, decision, _conformal(_scores(calibrated, grades, truth), truth), tried)


def _scores(calibrated: np.ndarray, grades: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return for each of N knees the threshold that its set needs to hold the reader's grade.

    Args:
        calibrated: [N,5] calibrated probabilities.
        grades: [N] int, the reported grades.
        truth: [N] int, the readers' grades.
    """
    masses = [dict(nested_masses(row, int(g)))[int(t)] for row, g, t in zip(calibrated, grades, truth, strict=True)]
    # The reported grade and a probable one are in the set at any threshold.
    held = (truth == grades) | (calibrated[np.arange(len(truth)), truth] >= ALWAYS)
    return np.where(held, 0.0, masses)


def _conformal(scores: np.ndarray, truth: np.ndarray) -> Conformal:
    """Return what makes prediction sets, from the [N] scores of knees of [N] grades."""
    thresholds = {level: conformal_threshold(scores, level) for level in (COVERAGE_LEVEL, *OTHER_LEVELS)}
    return Conformal(
        COVERAGE_LEVEL,
        thresholds[COVERAGE_LEVEL],
        len(scores),
        tuple((level, thresholds[level]) for level in OTHER_LEVELS),
        tuple((level, _by_grade(scores, truth, level, common)) for level, common in thresholds.items()),
        ALWAYS,
    )


def _by_grade(scores: np.ndarray, truth: np.ndarray, level: float, common: float) -> tuple[float, ...]:
    """Return the threshold of each grade; the common one where a grade has too few films for the level."""
    of_grades = [conformal_threshold(scores[truth == grade], level) for grade in range(NUM_GRADES)]
    return tuple(common if one == EVERY_GRADE else one for one in of_grades)


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature of the least log loss; probabilities: [N,5]; truth: [N] int."""

    def log_loss(log_temperature: float) -> float:
        calibrated = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(calibrated[np.arange(len(truth)), truth], LEAST_PROBABILITY)).mean())

    found = minimize_scalar(log_loss, bounds=TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return [N,5] with the logarithms divided by the temperature, as the exported graph does."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def conformal_threshold(scores: np.ndarray, level: float) -> float:
    """Return the threshold under which a new score lies with probability `level`.

    It is EVERY_GRADE where there are too few films for the level.

    Args:
        scores: [N], for each knee the threshold that its set needs to hold the reader's grade.
        level: The coverage level, 0 to 1.
    """
    rank = threshold_rank(len(scores), level)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else EVERY_GRADE


def calibrated_predictions(probabilities: np.ndarray, knees: Knees, calibration: Calibration) -> Predictions:
    """Return what the bundle will report for knees.

    Args:
        probabilities: The uncalibrated ones [N,5].
        knees: The N knees.
        calibration: Temperature, decision rule and threshold of the prediction sets.
    """
    calibrated = apply_temperature(probabilities, calibration.temperature)
    return reported_predictions(calibrated, knees, calibration.decision, calibration.conformal)


def reported_predictions(calibrated: np.ndarray, knees: Knees, decision: Decision, conformal: Conformal) -> Predictions:
    """Return what a bundle reports for knees.

    Args:
        calibrated: [N,5] calibrated probabilities.
        knees: The knees.
        decision: The decision rule.
        conformal: How prediction sets are made.
    """
    grades = reported_grade(calibrated, decision)
    sets = [grade_set(row, int(grade), conformal) for row, grade in zip(calibrated, grades, strict=True)]
    truth = knees.grades
    return Predictions(
        truth,
        grades,
        calibrated,
        in_set=np.array([int(t) in held for t, held in zip(truth, sets, strict=True)]),
        set_size=np.array([len(held) for held in sets]),
        groups=knees.groups,
    )
