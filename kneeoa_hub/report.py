"""What is answered for a film: grades or a refusal, as values, text and pictures."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .grades import GRADES, OSTEOARTHRITIS_FROM
from .imaging.gate import Refusal
from .imaging.normalise import Box

SCHEMA_VERSION = 1
DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment."
HEAT_OPACITY = 0.45


@dataclass(frozen=True, eq=False)
class KneeGrade:
    """One knee.

    grade: 0..4 by the bundle's rule. probabilities: five floats that sum to 1. severity: sum of i * p_i, 0..4.
    oa_probability: p_2 + p_3 + p_4. grade_set: contiguous grades that hold the reader's grade at the bundle's level.
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
        """KL >= 2 in a word: "yes" or "no" when the grade and its probability agree, else "borderline"."""
        by_grade, by_probability = self.grade >= OSTEOARTHRITIS_FROM, self.oa_probability >= 0.5
        if by_grade != by_probability:
            return "borderline"
        return "yes" if by_grade else "no"

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
            "model": self.model,
            "revision": self.revision,
            "disclaimer": DISCLAIMER,
        }

    def findings(self) -> str:
        """Findings and Impression in plain words, to copy into a note."""
        lines = ["FINDINGS"]
        if self.refused:
            lines.append(f"Not graded: {self.refused.message}")
        lines += [self._finding(knee) for knee in self.knees]
        lines += [f"Note: {warning}" for warning in self.warnings]
        if self.knees:
            lines += ["", "IMPRESSION", *(self._impression(knee) for knee in self.knees)]
        lines += ["", f"Model {self.model}, revision {self.revision}. {DISCLAIMER}"]
        return "\n".join(lines)

    def overlay(self) -> Image.Image:
        """The film at full size, RGB, with each knee's box, grade and evidence drawn over it."""
        picture = film_picture(self.film).convert("RGB")
        for knee in self.knees:
            _draw_heat(picture, knee)
        draw = ImageDraw.Draw(picture)
        stroke = max(1, round(min(picture.size) / 220))
        font = ImageFont.load_default(size=max(11, round(min(picture.size) / 16)))
        for knee in self.knees:
            left, top, right, bottom = knee.box
            draw.rectangle((left, top, right - 1, bottom - 1), outline="#ffd166", width=stroke)
            text = f"KL {knee.grade} {knee.label}"
            place = (left + 3 * stroke, top + 2 * stroke)
            draw.rectangle(draw.textbbox(place, text, font=font), fill="#101820")
            draw.text(place, text, fill="#ffd166", font=font)
        return picture

    def _finding(self, knee: KneeGrade) -> str:
        likely = max(knee.probabilities)
        span = _span(knee.grade_set)
        return (
            f"{_named(knee)}: Kellgren-Lawrence grade {knee.grade} ({knee.label}). {GRADES[knee.grade].criterion} "
            f"Largest probability {likely:.0%}; {span} at {self.level:.0%} confidence; severity {knee.severity:.1f} of 4."
        )

    def _impression(self, knee: KneeGrade) -> str:
        present = {"yes": "likely", "no": "not likely", "borderline": "borderline"}[knee.osteoarthritis]
        return f"{_named(knee)}: radiographic osteoarthritis (KL 2 or more) {present}, probability {knee.oa_probability:.0%}."


def film_picture(pixels: np.ndarray) -> Image.Image:
    """A [H,W] film of any range as an 8-bit gray picture, its 0.5th to 99.5th percentile stretched."""
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)], (0.5, 99.5))
    scaled = (pixels - low) * (255 / max(float(high - low), 1e-6))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _draw_heat(picture: Image.Image, knee: KneeGrade) -> None:
    left, top, right, bottom = knee.box
    size = (right - left, bottom - top)
    heat = np.asarray(Image.fromarray(knee.heatmap).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
    # Black over red to yellow: evidence reads in gray print too, since it only gets brighter.
    colours = np.stack([np.minimum(1, 2 * heat), np.maximum(0, 2 * heat - 1) * 0.9, np.zeros_like(heat)], -1)
    layer = Image.fromarray((colours * 255).astype(np.uint8))
    mask = Image.fromarray((heat * HEAT_OPACITY * 255).astype(np.uint8))
    picture.paste(layer, (left, top), mask)


def _named(knee: KneeGrade) -> str:
    return f"{knee.side.capitalize()} knee" if knee.side else "Knee"


def _span(grades: tuple[int, ...]) -> str:
    return f"grade {grades[0]}" if len(grades) == 1 else f"grades {grades[0]} to {grades[-1]}"
