"""The decision rule is chosen on validation films, among the rules that a reader can follow from the bars."""

import numpy as np

from kneeoa_hub.agreement import qwk
from kneeoa_hub.bundle import Decision
from kneeoa_hub.decision import reported_grade

DEFENDABLE = ("argmax", "median")
"""Only these rules may be chosen: the highest bar, and the grade at which half of the probability is reached."""
MEASURED = (*DEFENDABLE, "expected")
"""The figures of these rules are given. The rounded expected grade is often a grade with a low bar."""


def choose_decision(probabilities: np.ndarray, truth: np.ndarray) -> tuple[Decision, dict[str, tuple[float, float]]]:
    """Return the rule of the best merit, and the (kappa, accuracy) of each rule.

    Args:
        probabilities: [N,5], calibrated.
        truth: [N] int, the readers' grades.
    """
    grades = {rule: reported_grade(probabilities, Decision(rule)) for rule in MEASURED}
    chosen = max(DEFENDABLE, key=lambda rule: merit(truth, grades[rule]))
    return Decision(chosen), {rule: (qwk(truth, one), float((truth == one).mean())) for rule, one in grades.items()}


def merit(truth: np.ndarray, grade: np.ndarray) -> float:
    """Return quadratic weighted kappa, which the search maximises, plus half the accuracy.

    Kappa alone favours the middle grades.
    """
    return qwk(truth, grade) + float((truth == grade).mean()) / 2
