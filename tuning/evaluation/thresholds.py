"""The decision rule, chosen on validation: the likeliest grade, or the expected grade cut at thresholds."""

from collections.abc import Iterator

import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import Decision
from kneeoa_hub.decision import reported_grade, severity

STEP = 0.02
"""Grid of the thresholds, in grades."""
FOLDS = 10
ROUNDS = 10


def choose_decision(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray
) -> tuple[Decision, dict[str, tuple[float, float]]]:
    """The rule of the best merit, and for each rule its (kappa, accuracy), that of fitted thresholds on films held out.

    Fitted thresholds are chosen only when they are better by more than the standard error of the difference (Breiman et
    al., Classification and Regression Trees, 1984, 3.4.3): a thousand films fit them to chance as well. Of a single
    group none can be held out, and none are fitted.

    probabilities: [N,5] calibrated; truth: [N] int; groups: [N] str, what a fold must keep together.
    """
    rules = {"argmax": Decision("argmax"), "expected": Decision("expected")}
    grades = {name: reported_grade(probabilities, rule) for name, rule in rules.items()}
    plain = max(rules, key=lambda name: merit(truth, grades[name]))
    chosen = rules[plain]
    if len(np.unique(groups)) > 1:
        grades["fitted"] = _graded_when_held_out(probabilities, truth, groups)
        gains = [
            merit(truth[rows], grades["fitted"][rows]) - merit(truth[rows], grades[plain][rows])
            for rows in (slice(None), *resamples(groups))
        ]
        if gains[0] > np.std(gains[1:]):
            chosen = Decision("expected", fit_thresholds(severity(probabilities), truth))
    return chosen, {name: (qwk(truth, answer), float((truth == answer).mean())) for name, answer in grades.items()}


def _graded_when_held_out(probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[N] int: grades by thresholds that were fitted on the other folds, of which there are two or more."""
    grades = np.empty_like(truth)
    for held_out in _folds(groups):
        thresholds = fit_thresholds(severity(probabilities[~held_out]), truth[~held_out])
        grades[held_out] = reported_grade(probabilities[held_out], Decision("expected", thresholds))
    return grades


def merit(truth: np.ndarray, grade: np.ndarray) -> float:
    """Quadratic weighted kappa, what the search is for, plus half the accuracy: kappa alone is served by middle
    grades.
    """
    return qwk(truth, grade) + float((truth == grade).mean()) / 2


def fit_thresholds(severity: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Four rising cuts of the expected grade [N] of the best merit, moved one at a time over a grid."""
    cuts = [0.5, 1.5, 2.5, 3.5]

    def merit_with(position: int, value: float) -> float:
        moved = [*cuts[:position], value, *cuts[position + 1 :]]
        return merit(truth, (severity[:, None] > np.asarray(moved)).sum(1))

    for _ in range(ROUNDS):
        before = list(cuts)
        for position in range(len(cuts)):
            low = cuts[position - 1] if position else 0.0
            high = cuts[position + 1] if position < len(cuts) - 1 else 4.0
            grid = np.arange(low + STEP, high - STEP / 2, STEP)
            merits = np.array([merit_with(position, value) for value in grid])
            # The middle of the best stretch, since its edges are chance.
            best = np.flatnonzero(merits == merits.max())
            cuts[position] = round(float(grid[best[len(best) // 2]]), 3)
        if cuts == before:
            break
    return tuple(cuts)


def _folds(groups: np.ndarray) -> Iterator[np.ndarray]:
    """[N] bool for each fold: the rows held out."""
    names = np.unique(groups)
    fold_of = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([fold_of[name] for name in groups])
    for number in np.unique(fold):
        yield fold == number
