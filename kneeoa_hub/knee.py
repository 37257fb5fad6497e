"""Defines the grade of one knee, and the words for it.

The words are the same wherever a knee is shown: in findings, tables, pages, printed reports and notebooks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .grades import GRADES, OSTEOARTHRITIS_FROM
from .imaging.letterbox import Box


@dataclass(frozen=True, eq=False, repr=False)
class KneeGrade:
    """Holds the grade of one knee, and what belongs to it.

    Attributes:
        grade: The reported grade, 0..4, by the bundle's decision rule.
        label: The name of that grade.
        probabilities: Five floats that sum to 1.
        severity: The expected grade, the sum of i * p_i, 0..4.
        oa_probability: p_2 + p_3 + p_4, the probability of KL 2 or more.
        grade_set: The prediction set: contiguous grades that the model cannot rule out at the report's level.
        box: (left, top, right, bottom) in film pixels.
        side: The patient's side, "left" or "right", or None when it is not known.
        heatmap: float32 [h,w] over the box, 0..1: where the evidence for the reported grade lies.
        embedding: float32 [D], the network's vector of the knee.

    Examples:
        >>> import kneeoa_hub
        >>> from kneeoa_hub.imaging.phantom import sample_films
        >>> (knee,) = kneeoa_hub.from_pretrained().grade(sample_films()["severe"].pixels).knees
        >>> round(sum(knee.probabilities), 6)
        1.0
        >>> sorted(knee.to_dict())[:3]
        ['box', 'criterion', 'grade']
    """

    grade: int
    label: str
    probabilities: tuple[float, ...]
    severity: float
    oa_probability: float
    grade_set: tuple[int, ...]
    box: Box
    side: str | None
    heatmap: np.ndarray = field(repr=False)
    embedding: np.ndarray = field(repr=False)

    @property
    def likeliest(self) -> int:
        """The grade with the highest probability. It can differ from `grade`, and every output then says so."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def headline(self) -> str:
        """The grade for a label, such as "KL 2 Mild"; with the likeliest grade if that is another one."""
        likeliest = f" (likeliest {self.likeliest})" if self.likeliest != self.grade else ""
        return f"KL {self.grade} {self.label}{likeliest}"

    @property
    def osteoarthritis(self) -> str:
        """KL 2 or more in words: "likely" or "not likely" if grade and probability agree, otherwise "borderline"."""
        by_grade, by_probability = self.grade >= OSTEOARTHRITIS_FROM, self.oa_probability >= 0.5
        if by_grade != by_probability:
            return "borderline"
        return "likely" if by_grade else "not likely"

    def to_dict(self) -> dict[str, Any]:
        """Return the knee as JSON values by docs/schemas/report.schema.json, without heatmap and embedding."""
        return {
            "grade": self.grade,
            "label": self.label,
            "likeliest": self.likeliest,
            "criterion": GRADES[self.grade].criterion,
            "probabilities": list(self.probabilities),
            "severity": self.severity,
            "oa_probability": self.oa_probability,
            "grade_set": list(self.grade_set),
            "box": list(self.box),
            "side": self.side,
        }

    def __repr__(self) -> str:
        side = f"{self.side} knee, " if self.side else ""
        return (
            f"<KneeGrade: {side}{self.headline}, probability {percent(self.probabilities[self.grade])}; not ruled out"
            f" {span(self.grade_set)}; KL 2 or more {percent(self.oa_probability)}; severity {self.severity:.1f} of 4>"
        )

    def _repr_html_(self) -> str:
        """Return the knee as a notebook shows it, with its probabilities as bars."""
        from .output.notebook import knee_html

        return knee_html(self)

    def _repr_png_(self) -> bytes:
        """Return the heatmap as a picture, for notebooks that show no HTML."""
        from .output.notebook import knee_png

        return knee_png(self)


def knee_names(knees: Sequence[KneeGrade]) -> tuple[str, ...]:
    """Return a name for each knee of a film: by its side, or by its place in the picture if that is not known."""
    places = place_names([knee.box for knee in knees])
    return tuple(
        f"{knee.side.capitalize()} knee" if knee.side else place for knee, place in zip(knees, places, strict=True)
    )


def place_names(boxes: Sequence[Box]) -> list[str]:
    """Return a name for each box by its place, along the direction in which the boxes lie farther apart."""
    if len(boxes) < 2:
        return ["Knee"] * len(boxes)
    centres = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    across, down = (max(values) - min(values) for values in zip(*centres, strict=True))
    first, last = ("left", "right") if across >= down else ("top", "bottom")
    in_order = sorted(range(len(boxes)), key=lambda knee: centres[knee] if across >= down else centres[knee][::-1])
    if len(boxes) == 2:
        words = [f"Knee at the picture's {first}", f"Knee at the picture's {last}"]
    else:
        words = [f"Knee {number} of {len(boxes)} from the picture's {first}" for number in range(1, len(boxes) + 1)]
    return [words[in_order.index(knee)] for knee in range(len(boxes))]


def percent(probability: float) -> str:
    """Return a probability in whole per cent; a small one never becomes 0%, nor a high one 100%."""
    if 0 < probability < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= probability < 1 else f"{probability:.0%}"


def span(grades: Sequence[int]) -> str:
    """Return contiguous grades as "2" or "2 to 3"."""
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]} to {grades[-1]}"


def osteoarthritis(knee: KneeGrade) -> str:
    """Return the statement about KL 2 or more that an impression makes."""
    return (
        f"radiographic osteoarthritis (KL {OSTEOARTHRITIS_FROM} or more) {knee.osteoarthritis}, probability"
        f" {percent(knee.oa_probability)}."
    )


def certainty(knee: KneeGrade, level: float | None) -> tuple[str, ...]:
    """Return sentences on how certain a grade is: why it is not the likeliest one, the prediction set, the severity."""
    confidence = "" if level is None else f" at {percent(level)} confidence"
    return (
        *([not_likeliest(knee)] if knee.likeliest != knee.grade else []),
        f"Grades not ruled out{confidence}: {span(knee.grade_set)}.",
        f"Severity (mean grade): {knee.severity:.1f} of 4.",
    )


def not_likeliest(knee: KneeGrade) -> str:
    """Return a sentence that names the likeliest grade of a knee for which the decision rule reports another one."""
    likeliest = GRADES[knee.likeliest]
    return (
        "The reported grade takes all five probabilities into account; the likeliest single grade is"
        f" {likeliest.value} ({likeliest.label})."
    )
