"""What is answered for a film: grades or a refusal, as values, text and pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from .grades import GRADES, OSTEOARTHRITIS_FROM
from .imaging.letterbox import Box
from .imaging.refusal import Refusal
from .overlay import Mark, drawn

SCHEMA_VERSION = 1
DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment."


@dataclass(frozen=True, eq=False)
class KneeGrade:
    """One knee.

    grade: 0..4 by the bundle's rule. probabilities: five floats that sum to 1. severity: sum of i * p_i, 0..4.
    oa_probability: p_2 + p_3 + p_4. grade_set: contiguous grades that hold the reader's grade at the report's level.
    box: (left, top, right, bottom) in film pixels. side: the patient's, or None when not known.
    heatmap: float32 [h,w] over the box, 0..1, where the evidence for the grade lies. embedding: float32 [D].
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
    def osteoarthritis(self) -> str:
        """KL >= 2 in a word or two: "likely" or "not likely" when the grade and its probability agree, else
        "borderline".
        """
        by_grade, by_probability = self.grade >= OSTEOARTHRITIS_FROM, self.oa_probability >= 0.5
        if by_grade != by_probability:
            return "borderline"
        return "likely" if by_grade else "not likely"

    def to_dict(self) -> dict[str, Any]:
        """The knee as JSON values, by docs/schemas/report.schema.json; heatmap and embedding are left out."""
        return {
            "grade": self.grade,
            "label": self.label,
            "criterion": GRADES[self.grade].criterion,
            "probabilities": list(self.probabilities),
            "severity": self.severity,
            "oa_probability": self.oa_probability,
            "grade_set": list(self.grade_set),
            "box": list(self.box),
            "side": self.side,
        }


@dataclass(frozen=True, eq=False)
class FilmReport:
    """One film: its knees from left to right in the picture, or why it was refused.

    film: the decoded pixels [H,W], for `overlay`; level: of the grade sets. No name, date or id is kept.
    """

    knees: tuple[KneeGrade, ...]
    refused: Refusal | None
    warnings: tuple[str, ...]
    model: str
    revision: str
    level: float
    film: np.ndarray = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, by docs/schemas/report.schema.json."""
        height, width = self.film.shape
        return {
            "schema_version": SCHEMA_VERSION,
            "film": {"width": width, "height": height},
            "refused": asdict(self.refused) if self.refused else None,
            "knees": [knee.to_dict() for knee in self.knees],
            "warnings": list(self.warnings),
            "level": self.level,
            "model": self.model,
            "revision": self.revision,
            "disclaimer": DISCLAIMER,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Which knee each is, in words: by its side, or by its place in the picture when there are others from which no
        side tells it.
        """
        places = _places([knee.box for knee in self.knees])
        return tuple(
            f"{knee.side.capitalize()} knee" if knee.side else place
            for knee, place in zip(self.knees, places, strict=True)
        )

    @property
    def refusal(self) -> str:
        """Why the film was refused, in a line, and whether it was graded all the same; "" where it was not refused."""
        if not self.refused:
            return ""
        return f"{'Refused, but graded by force' if self.knees else 'Not graded'}: {self.refused.message}"

    def findings(self) -> str:
        """Findings and Impression in plain words, to copy into a note."""
        lines = ["FINDINGS"]
        lines += [self.refusal] if self.refused else []
        lines += map(self._finding, self.names, self.knees)
        lines += [f"Note: {warning}" for warning in self.warnings]
        if self.knees:
            lines += ["", "IMPRESSION", *map(self._impression, self.names, self.knees)]
        lines += ["", f"Model {self.model}, revision {self.revision}. {DISCLAIMER}"]
        return "\n".join(lines)

    def overlay(self) -> Image.Image:
        """The film at full size, RGB, with each knee's box, grade and evidence drawn over it."""
        return drawn(self.film, (Mark(knee.box, _label(knee), knee.heatmap) for knee in self.knees))

    def _finding(self, name: str, knee: KneeGrade) -> str:
        return (
            f"{name}: Kellgren-Lawrence grade {knee.grade} ({knee.label}), probability"
            f" {percent(knee.probabilities[knee.grade])}. {GRADES[knee.grade].criterion} {weighed(knee)}Not ruled out,"
            f" at {percent(self.level)} confidence: {span(knee.grade_set)}. Severity {knee.severity:.1f} of 4."
        )

    def _impression(self, name: str, knee: KneeGrade) -> str:
        return (
            f"{name}: radiographic osteoarthritis (KL 2 or more) {knee.osteoarthritis}, probability"
            f" {percent(knee.oa_probability)}."
        )


def _places(boxes: Sequence[Box]) -> list[str]:
    """A name for each knee by where it lies among the others, along the direction in which they lie farther apart."""
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


def _label(knee: KneeGrade) -> str:
    return f"{knee.side.capitalize() + ': ' if knee.side else ''}KL {knee.grade} {knee.label}"


def percent(share: float) -> str:
    """0..1 in whole per cent; what is small but possible is not called zero, nor what is likely certain."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def span(grades: tuple[int, ...]) -> str:
    """Contiguous grades in words."""
    return f"grade {grades[0]}" if len(grades) == 1 else f"grades {grades[0]} to {grades[-1]}"


def weighed(knee: KneeGrade) -> str:
    """Why a grade is reported that is not the likeliest one; "" where it is."""
    likeliest = max(range(len(GRADES)), key=knee.probabilities.__getitem__)
    if likeliest == knee.grade:
        return ""
    return (
        f"The grade weighs all five probabilities; the likeliest single one is {likeliest} {GRADES[likeliest].label}. "
    )
