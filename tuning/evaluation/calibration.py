"""What is fitted on validation after training: temperature, decision rule, grade sets, and the limits of refusal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from kneeoa_hub.bundle import Conformal, Decision, RefusalConfig
from kneeoa_hub.decision import grade_set, nested_masses, reported_grade
from kneeoa_hub.imaging.refusal import clipped_proportion, contrast, training_distances

from ..networks.ensemble import LEAST
from .metrics import Predictions
from .thresholds import choose_decision

LEVEL, OTHER_LEVELS = 0.9, (0.8, 0.95)
EVERY_GRADE = 2.0
"""A threshold that no set's mass reaches, however the probabilities are rounded."""
AXES = 24
"""Principal axes of the embedding in which a film's distance from the training films is taken."""
FALSE_REFUSALS = 0.001
"""Validation knees that are too far from the training films to be graded; most that are no knee are the gate's
business."""
FAR, CLIPPED = 0.02, 0.01
"""Validation knees that are warned of, as far from the training films, and as exposed extremely."""
TEMPERATURES = (-4.0, 4.0)
"""Bounds of the temperature's logarithm: beyond them all probabilities are nearly the same, or nearly one."""
MAX_COLOUR = 0.04
"""JPEG noise of a gray film measures under .01, a photo over .1."""


@dataclass(frozen=True)
class Calibration:
    temperature: float
    decision: Decision
    conformal: Conformal
    decision_tried: dict[str, tuple[float, float]]


def calibrate(probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> Calibration:
    """probabilities: [N,5] of the uncalibrated model on validation; truth: [N] int; groups: [N] str.

    decision_tried: (kappa, accuracy) of each rule, see `thresholds`.
    """
    temperature = fitted_temperature(probabilities, truth)
    calibrated = apply_temperature(probabilities, temperature)
    decision, tried = choose_decision(calibrated, truth, groups)
    grades = reported_grade(calibrated, decision)
    scores = np.array(
        [dict(nested_masses(row, int(g)))[int(t)] for row, g, t in zip(calibrated, grades, truth, strict=True)]
    )
    others = tuple((level, conformal_threshold(scores, level)) for level in OTHER_LEVELS)
    return Calibration(
        temperature, decision, Conformal(LEVEL, conformal_threshold(scores, LEVEL), len(scores), others), tried
    )


def conformal_threshold(scores: np.ndarray, level: float) -> float:
    """The ceil((N+1)*level)-th smallest of the scores [N], under which a new one lies with probability `level` (Vovk et
    al., 2005).

    A score is the mass of the set that has just taken in the truth. Of too few films for the level no score is high
    enough: EVERY_GRADE.
    """
    rank = math.ceil(round((len(scores) + 1) * level, 9))  # rounded, since 0.95 is no binary fraction
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else EVERY_GRADE


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """[N,5] with its logarithm divided by the temperature, as the exported graph does."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def predictions(probabilities: np.ndarray, knees: Any, calibration: Calibration) -> Predictions:
    """What the bundle will answer for knees whose uncalibrated probabilities are given."""
    return answered(
        apply_temperature(probabilities, calibration.temperature),
        knees,
        calibration.decision,
        calibration.conformal.threshold,
    )


def answered(calibrated: np.ndarray, knees: Any, decision: Decision, threshold: float) -> Predictions:
    """What a bundle answers for knees whose calibrated probabilities are given."""
    grades = reported_grade(calibrated, decision)
    sets = [grade_set(row, int(grade), threshold) for row, grade in zip(calibrated, grades, strict=True)]
    truth = knees.grades
    return Predictions(
        truth,
        grades,
        calibrated,
        np.array([int(t) in s for t, s in zip(truth, sets, strict=True)]),
        np.array([len(s) for s in sets]),
        knees.groups,
    )


def fit_refusal(training: np.ndarray, validation: np.ndarray, contents: Sequence[np.ndarray]) -> RefusalConfig:
    """Limits from embeddings [N,D] of training and validation knees, and the validation films' canvases without
    padding.
    """
    mean = training.mean(0)
    _, spread, axes = np.linalg.svd(training - mean, full_matrices=False)
    kept = min(AXES, len(spread), int((spread > 1e-3 * spread[0]).sum()))
    components = axes[:kept] / (spread[:kept, None] / np.sqrt(len(training)))
    config = RefusalConfig(
        min_contrast=min(0.2, min(map(contrast, contents)) / 2),
        max_colour=MAX_COLOUR,
        max_distance=np.inf,
        mean=tuple(round(float(v), 6) for v in mean),
        components=tuple(tuple(float(f"{v:.5g}") for v in row) for row in components),
    )
    away, clips = training_distances(validation, config), [clipped_proportion(content) for content in contents]

    def limit(values: Sequence[float] | np.ndarray, beyond: float) -> float:
        return float(np.quantile(values, 1 - beyond, method="higher"))

    return replace(
        config,
        max_distance=limit(away, FALSE_REFUSALS),
        far_distance=limit(away, FAR),
        max_clipped=limit(clips, CLIPPED),
    )


def fitted_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The one of least log loss. probabilities: [N,5]; truth: [N] int."""

    def loss(log_temperature: float) -> float:
        calibrated = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(calibrated[np.arange(len(truth)), truth], LEAST)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x))
