"""Real films show how well joints are found and what that does to their grades."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.imaging.letterbox import Box, Region
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, Locator, find_knees

from ..data.datasets import bright_bone
from ..data.sources import FilmReader
from ..data.table import AuditedFilm
from ..run import steps
from ..run.estimates import proportion

TWO_KNEE_STRIP = 3
"""A strip with two knees is at least three times as wide as it is high: in narrower ones, the cut by rule finds a
second knee where there is none."""


@dataclass(frozen=True)
class RealFilm:
    """Locator, rule and grader make this of one real film.

    Attributes:
        kind: "two_knee_strip", "single_strip" or "crop".
        found: Whether the locator found the right number of joints, and in a strip of two knees one in each half.
        by_rule: Whether the rule without a network did; None for a crop.
        refused: Whether the grader refuses the film; None where it was not asked.
        same_grade: Whether the grade with the joint found is that of the whole film; None where it was not asked, as of
            a strip that is framed at its joint.
    """

    kind: str
    found: bool
    by_rule: bool | None = None
    refused: bool | None = None
    same_grade: bool | None = None


def measure_real(locator: Locator, grader: KneeGrader, films: Sequence[AuditedFilm]) -> dict[str, Estimate | None]:
    """Return fields of a `FindingEvidence`: strips of one and two knees of all splits, and validation crops.

    Args:
        locator: The locator.
        grader: The bundle that grades what was found.
        films: All films of the audit.
    """
    wanted = [film for film in films if _is_strip(film) or _validates(film)]
    with FilmReader() as reader:
        measured = [
            _measure(locator, grader, film, bright_bone(reader, film))
            for film in steps.progress(wanted, "locator: measuring on real films")
        ]
    pairs, singles, crops = (
        [one for one in measured if one.kind == kind] for kind in ("two_knee_strip", "single_strip", "crop")
    )
    same = [one.same_grade for one in singles if one.same_grade is not None]
    return {
        "two_knee_strips": proportion([one.found for one in pairs]),
        "single_strips": proportion([one.found for one in singles]),
        "crops": proportion([one.found for one in crops]),
        "crops_same_grade": proportion([one.same_grade for one in crops if one.same_grade is not None]),
        "strips_same_grade": proportion(same) if same else None,
        "two_knee_strips_refused": proportion([one.refused for one in pairs if one.refused is not None]),
        "single_strips_refused": proportion([one.refused for one in singles if one.refused is not None]),
        "rule_two_knee_strips": proportion([one.by_rule for one in pairs if one.by_rule is not None]),
        "rule_single_strips": proportion([one.by_rule for one in singles if one.by_rule is not None]),
    }


def grades(grader: KneeGrader, pixels: np.ndarray, boxes: tuple[Box, ...]) -> list[int]:
    """Return the grade in each box of a film, left to right.

    Args:
        grader: The model.
        pixels: The film [H,W].
        boxes: The knees, in pixels of the film.
    """
    return [knee.grade for knee in grader.grade(pixels, boxes=boxes, force=True).knees]


def _is_strip(film: AuditedFilm) -> bool:
    return film.width >= TWO_KNEES_FROM * film.height


def _validates(film: AuditedFilm) -> bool:
    return film.split == "val" and film.usable and film.alone


def _measure(locator: Locator, grader: KneeGrader, film: AuditedFilm, pixels: np.ndarray) -> RealFilm:
    found, framed = locator.find(pixels), grader.bundle.config.input.crop == "frame"
    if _is_strip(film) and film.knees == 2 and film.width >= TWO_KNEE_STRIP * film.height:
        halves = find_knees(pixels)
        return RealFilm("two_knee_strip", _one_each(found, halves), len(halves) == 2, _refused(grader, pixels))
    validation = _validates(film)
    if not _is_strip(film):
        same_grade = _same_grade(grader, pixels) if validation else None
        return RealFilm("crop", len(found) == 1, same_grade=same_grade)
    refused = _refused(grader, pixels) if validation else None
    same_grade = _same_grade(grader, pixels) if validation and not framed else None
    return RealFilm("single_strip", len(found) == 1, len(find_knees(pixels)) == 1, refused, same_grade)


def _refused(grader: KneeGrader, pixels: np.ndarray) -> bool:
    """Return whether the grader refuses a film for which no boxes are given."""
    return grader.grade(pixels).refused is not None


def _one_each(found: Sequence[Region], halves: Sequence[Box]) -> bool:
    """Return whether two joints are found, one with its centre in each half."""
    middles = [(left + right) / 2 for left, _, right, _ in found]
    return len(middles) == 2 and middles[0] < halves[0][2] <= middles[1]


def _same_grade(grader: KneeGrader, pixels: np.ndarray) -> bool:
    """Return whether a film of one knee is graded as when all of it is given as the knee's box."""
    whole = (0, 0, pixels.shape[1], pixels.shape[0])
    return [knee.grade for knee in grader.grade(pixels, force=True).knees] == grades(grader, pixels, (whole,))
