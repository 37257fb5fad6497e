"""How well joints are found, and what that does to their grades: figures on real strips and crops and on composed
films.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kneeoa_hub.agreement import INTERVAL, qwk, resamples
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.gate import POSES, Pose
from kneeoa_hub.imaging.letterbox import Box
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, Joint, Locator, find_knees, graded_regions, joint_boxes
from kneeoa_hub.imaging.screen import Screening, box_in_given_film

from ..data.datasets import bright_bone
from ..data.sources import FilmReader
from ..data.table import AuditedFilm
from ..run import steps
from ..run.figures import number, share
from ..synthetic.compose import HELD_OUT, ComposedFilm, Knee, compose

NEAR = (0.1, 0.05)
"""A middle that is this near to the true one, in widths of the joint, is right."""
SAME_JOINT = 0.5
"""What was found belongs to a true joint when it lies this near to it, in widths of the joint."""

GRADED = ("truth", "crop", "true_box", "found", "group")
"""What is known of each joint that was found in a composed film: its grades, and its patient."""


def measure(
    locator: Locator,
    grader: KneeGrader,
    films: Sequence[AuditedFilm],
    knees: Sequence[Knee],
    origin: Sequence[AuditedFilm],
    count: int,
    seed: int,
) -> dict[str, Estimate]:
    """Returns the fields of a `FindingEvidence` that the locator decides.

    films: of the audit. knees: of the validation films `origin`, in the same order, from which `count` films are
    composed with shafts and surroundings that no training used.
    """
    return _real(locator, grader, films) | _composed(locator, grader, knees, origin, count, seed)


def _real(locator: Locator, grader: KneeGrader, films: Sequence[AuditedFilm]) -> dict[str, Estimate]:
    """On films as they are: strips of one and of two knees of all splits, and crops of the validation split."""
    right: dict[str, list[bool]] = {
        "two_knee_strips": [],
        "single_strips": [],
        "crops": [],
        "crops_same_grade": [],
        "strips_same_grade": [],
    }
    by_rule: dict[str, list[bool]] = {"rule_two_knee_strips": [], "rule_single_strips": []}
    refused: dict[str, list[bool]] = {"two_knee_strips_refused": [], "single_strips_refused": []}
    wanted = [
        film
        for film in films
        if film.width >= TWO_KNEES_FROM * film.height or (film.split == "val" and film.use == "yes")
    ]
    with FilmReader() as reader:
        for film in steps.progress(wanted, "locator: measuring on real films"):
            pixels = bright_bone(reader, film)
            found = locator.find(pixels)
            strip = film.width >= TWO_KNEES_FROM * film.height
            # A strip holds two knees when it is twice as long as the others: the classical cut errs on one of those.
            if strip and film.knees == 2 and film.width >= 3 * film.height:
                halves = find_knees(pixels)
                right["two_knee_strips"].append(_one_each(found, halves))
                by_rule["rule_two_knee_strips"].append(len(halves) == 2)
                refused["two_knee_strips_refused"].append(_refused(grader, pixels))
                continue
            right["single_strips" if strip else "crops"].append(len(found) == 1)
            if strip:
                by_rule["rule_single_strips"].append(len(find_knees(pixels)) == 1)
            if film.split == "val" and film.use == "yes":
                right["strips_same_grade" if strip else "crops_same_grade"].append(_same_grade(grader, pixels, found))
                if strip:
                    refused["single_strips_refused"].append(_refused(grader, pixels))
    return {name: share(values) for name, values in (right | refused | by_rule).items()}


def _refused(grader: KneeGrader, pixels: np.ndarray) -> bool:
    """By all that the grader does with a film whose boxes nobody gave."""
    return grader.grade(pixels).refused is not None


def _one_each(found: Sequence[Box], halves: Sequence[Box]) -> bool:
    """Two joints, one with its middle in each half."""
    middles = [(left + right) / 2 for left, _, right, _ in found]
    return len(middles) == 2 and middles[0] < halves[0][2] <= middles[1]


def _same_grade(grader: KneeGrader, pixels: np.ndarray, found: tuple[Box, ...]) -> bool:
    whole = (0, 0, pixels.shape[1], pixels.shape[0])
    graded = graded_regions(found, pixels.shape)
    return graded == (whole,) or (
        len(found) == 1 and _grades(grader, pixels, (whole,)) == _grades(grader, pixels, graded)
    )


def _composed(
    locator: Locator, grader: KneeGrader, knees: Sequence[Knee], origin: Sequence[AuditedFilm], count: int, seed: int
) -> dict[str, Estimate]:
    counted, empty, away, sides, reported, by_rule = [], [], [], [], [], []
    posed: dict[bool, list[bool]] = {True: [], False: []}
    refused: dict[bool, list[bool]] = {True: [], False: []}  # with a joint, and without
    grades: list[tuple[int, int, int, int, str]] = []
    crops: dict[int, int] = {}
    for index in steps.progress(range(count), "locator: measuring on composed films"):
        film = compose(knees, HELD_OUT, seed * 1_000_003 + index)
        found = locator.joints(film.pixels.astype(np.float32))
        counted.append(len(found) == len(film.joints))
        report = grader.grade(film.pixels.astype(np.float32))
        refused[len(film.joints) > 0].append(report.refused is not None)
        turned = _turned(film, POSES[1 + index % (len(POSES) - 1)], grader)
        posed[len(film.joints) > 0].append(turned)
        if not len(film.joints):
            empty.append(not found)
            continue
        by_rule += [near <= NEAR[0] for near in _middles_off(film, find_knees(film.pixels))]
        if report.knees:
            reported += [near <= NEAR[0] for near in _middles_off(film, [knee.box for knee in report.knees])]
        matches = [_nearest(joint, found) for joint in film.joints]
        away += [match[1] if match else np.inf for match in matches]
        sides += [match[0].side / joint[2] for match, joint in zip(matches, film.joints, strict=True) if match]
        grades += _graded(grader, film, found, matches, origin, crops, knees)
    rows = {
        name: np.array([row[column] for row in grades], str if name == "group" else int)
        for column, name in enumerate(GRADED)
    }
    drawn = resamples(rows["group"], seed) if grades else []
    figures: dict[str, Estimate] = {"composed_count": share(counted), "composed_empty": share(empty)}
    figures |= {"composed_refused": share(refused[True]), "composed_empty_refused": share(refused[False])}
    figures |= {
        f"composed_within_{near:.0%}".rstrip("%"): share([bool(value <= near) for value in away]) for near in NEAR
    }
    figures |= {"composed_reported_within_10": share(reported), "rule_composed_within_10": share(by_rule)}
    figures |= {"composed_posed_right": share(posed[True]), "composed_empty_posed_refused": share(posed[False])}
    figures["composed_side_ratio"] = _middle(sides)
    for name in ("crop", "true_box", "found"):
        figures[f"qwk_{name}"] = _interval(
            lambda at, name=name: qwk(rows["truth"][at], rows[name][at]), drawn, len(grades)
        )
    for name in ("true_box", "crop"):
        figures[f"qwk_found_less_{name}"] = _interval(
            lambda at, name=name: qwk(rows["truth"][at], rows["found"][at]) - qwk(rows["truth"][at], rows[name][at]),
            drawn,
            len(grades),
        )
        figures[f"composed_same_grade_as_{name}"] = share((rows["found"] == rows[name]).tolist())
    return figures


def _turned(film: ComposedFilm, pose: Pose, grader: KneeGrader) -> bool:
    """Whether the film, given in another pose, is put right and its every joint graded; or refused, when it shows
    none.
    """
    turns, inverted = pose
    bright = film.pixels.astype(np.float32)
    report = grader.grade(
        np.ascontiguousarray(np.rot90(bright.max() + bright.min() - bright if inverted else bright, turns))
    )
    if not len(film.joints):
        return report.refused is not None
    back = Screening(Film(bright, "composed"), (), pose)
    height, width = bright.shape
    posed = [box_in_given_film(_cut(box, height, width), back) for box in film.boxes]
    return len(report.knees) == len(posed) and all(
        near <= SAME_JOINT for near in _off(posed, [knee.box for knee in report.knees])
    )


def _middles_off(film: ComposedFilm, boxes: Sequence[Box]) -> list[float]:
    """How far the nearest box of a report lies from each true one, both as far as they lie in the film, in widths of
    the joint.
    """
    return _off([_cut(box, *film.pixels.shape) for box in film.boxes], boxes)


def _off(true: Sequence[Box], found: Sequence[Box]) -> list[float]:
    def middle(box: Box) -> np.ndarray:
        return np.array(box, float).reshape(2, 2).mean(0)

    return (
        [min(float(np.linalg.norm(middle(box) - middle(other))) for other in found) / (box[2] - box[0]) for box in true]
        if found
        else []
    )


def _cut(box: Sequence[int], height: int, width: int) -> Box:
    left, top, right, bottom = (int(edge) for edge in box)
    return max(0, left), max(0, top), min(width, right), min(height, bottom)


def _nearest(joint: np.ndarray, found: Sequence[Joint]) -> tuple[Joint, float] | None:
    """What was found of a true joint, and how far off, in widths of the joint."""
    away = [float(np.hypot(other.x - joint[0], other.y - joint[1]) / joint[2]) for other in found]
    return (found[int(np.argmin(away))], min(away)) if away and min(away) <= SAME_JOINT else None


def _graded(
    grader: KneeGrader,
    film: ComposedFilm,
    found: tuple[Joint, ...],
    matches: Sequence[tuple[Joint, float] | None],
    origin: Sequence[AuditedFilm],
    crops: dict[int, int],
    knees: Sequence[Knee],
) -> list[tuple[int, int, int, int, str]]:
    """Of each joint that was found: the given grade, and the grade of its crop, in its true box and as found; and its
    group.
    """
    pixels = film.pixels.astype(np.float32)
    boxes = joint_boxes(found, pixels.shape)
    kept = [place for place, match in enumerate(matches) if match and found.index(match[0]) < len(boxes)]
    if not kept:
        return []
    true_grades = _grades(grader, pixels, tuple(film.boxes[place] for place in kept))
    graded = graded_regions(boxes, pixels.shape)
    found_grades = _grades(grader, pixels, tuple(graded[found.index(matches[place][0])] for place in kept))
    rows = []
    for place, true_grade, found_grade in zip(kept, true_grades, found_grades, strict=True):
        index = film.knees[place]
        if index not in crops:
            crop = knees[index].crop
            crops[index] = _grades(grader, crop, ((0, 0, crop.shape[1], crop.shape[0]),))[0]
        rows.append((origin[index].grade, crops[index], true_grade, found_grade, origin[index].together))
    return rows


def _grades(grader: KneeGrader, pixels: np.ndarray, boxes: tuple[Box, ...]) -> list[int]:
    """One grade a box, left to right."""
    return [knee.grade for knee in grader.grade(pixels, boxes=boxes, force=True).knees]


def _middle(values: list[float]) -> Estimate:
    """The median, between the values that hold 95% of all."""
    low, middle, high = np.percentile(values or [0.0], (INTERVAL[0], 50, INTERVAL[1]))
    return number(middle, low, high, len(values))


def _interval(figure: Any, drawn: list[np.ndarray], n: int) -> Estimate:
    if not drawn:
        return number(0.0)
    low, high = np.percentile([figure(rows) for rows in drawn], INTERVAL)
    return number(figure(slice(None)), low, high, n)
