"""The decision rule, chosen on validation films: the likeliest grade, or the expected grade cut at thresholds."""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import PredefinedSplit

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import Decision
from kneeoa_hub.decision import reported_grade, severity

STEP = 0.02
"""Step of the grid of thresholds, in grades."""
FOLDS = 10
"""Parts of the films that thresholds are held out from in turn."""
ROUNDS = 10
"""How often all thresholds are moved at most."""
UNIFORM = (0.5, 1.5, 2.5, 3.5)
"""Thresholds from which the fit starts."""


def choose_decision(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray
) -> tuple[Decision, dict[str, tuple[float, float]]]:
    """Return the rule of the best merit, and the (kappa, accuracy) of each rule on films that it was not fitted on.

    Fitted thresholds are chosen only when their merit is better by more than the standard error of the difference
    (Breiman et al., Classification and Regression Trees, 1984, 3.4.3), because a thousand films also fit them to
    chance. Films of a single group can't be held out, so no thresholds are fitted on them.

    Args:
        probabilities: [N,5], calibrated.
        truth: [N] int, the readers' grades.
        groups: [N] str, the leakage groups, which a fold keeps together.
    """
    rules = {"argmax": Decision("argmax"), "expected": Decision("expected")}
    grades = {name: reported_grade(probabilities, rule) for name, rule in rules.items()}
    plain = max(rules, key=lambda name: merit(truth, grades[name]))
    chosen = rules[plain]
    if len(np.unique(groups)) > 1:
        grades["fitted"] = _held_out_grades(probabilities, truth, groups)
        gains = [
            merit(truth[rows], grades["fitted"][rows]) - merit(truth[rows], grades[plain][rows])
            for rows in (slice(None), *resamples(groups))
        ]
        if gains[0] > np.std(gains[1:]):
            chosen = Decision("expected", fit_thresholds(severity(probabilities), truth))
    return chosen, {name: (qwk(truth, grade), float((truth == grade).mean())) for name, grade in grades.items()}


def merit(truth: np.ndarray, grade: np.ndarray) -> float:
    """Return quadratic weighted kappa, which the search maximises, plus half the accuracy.

    Kappa alone favours the middle grades.
    """
    return qwk(truth, grade) + float((truth == grade).mean()) / 2


def fit_thresholds(severity: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Return the four rising thresholds of the best merit, moved one at a time over a grid.

    Args:
        severity: [N], the expected grades.
        truth: [N] int, the readers' grades.
    """
    thresholds = list(UNIFORM)

    def merit_with(position: int, value: float) -> float:
        moved = [*thresholds[:position], value, *thresholds[position + 1 :]]
        return merit(truth, (severity[:, None] > np.asarray(moved)).sum(1))

    for _ in range(ROUNDS):
        before = list(thresholds)
        for position in range(len(thresholds)):
            low = thresholds[position - 1] if position else 0.0
            high = thresholds[position + 1] if position < len(thresholds) - 1 else 4.0
            grid = np.arange(low + STEP, high - STEP / 2, STEP)
            merits = np.array([merit_with(position, value) for value in grid])
            # The middle of the best stretch, because its ends are chance.
            best = np.flatnonzero(merits == merits.max())
            thresholds[position] = round(float(grid[best[len(best) // 2]]), 3)
        if thresholds == before:
            break
    return tuple(thresholds)


def _held_out_grades(probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[N] int: grades by thresholds that were fitted on the other folds."""
    grades = np.empty_like(truth)
    for others, held_out in _folds(groups):
        thresholds = fit_thresholds(severity(probabilities[others]), truth[others])
        grades[held_out] = reported_grade(probabilities[held_out], Decision("expected", thresholds))
    return grades


def _folds(groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold, the rows of the others and its own; a group is in one fold.

    scikit-learn's GroupKFold would deal the groups out in another order and change which thresholds are chosen.
    """
    names, index = np.unique(groups, return_inverse=True)
    fold_of_group = np.random.default_rng(0).permutation(len(names)) % FOLDS
    return PredefinedSplit(fold_of_group[index]).split()
