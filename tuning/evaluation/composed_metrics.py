"""Composed films, whose joints are known, show how well joints are found and what that does to their grades."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from kneeoa_hub.agreement import INTERVAL, qwk, resamples
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.gate import POSES, Pose
from kneeoa_hub.imaging.letterbox import Box
from kneeoa_hub.imaging.locate import Joint, Locator, clipped, find_knees
from kneeoa_hub.imaging.screen import Screening, box_in_given_film
from kneeoa_hub.report import FilmReport

from ..data.table import AuditedFilm
from ..run import steps
from ..run.estimates import bootstrapped, estimate, exact, proportion
from ..synthetic.compose import HELD_OUT, ComposedFilm, Knee, compose
from ..synthetic.locator_examples import SEEDS_PER_RUN
from .locator_metrics import grades

NEAR, NEARER = 0.1, 0.05
"""A found centre counts as near, or as nearer, when it lies within this distance of the true one, in widths of the
joint."""
SAME_JOINT = 0.5
"""A joint that was found is matched with a true joint within this distance, in widths of the joint."""


@dataclass(frozen=True)
class JointGrades:
    """The grader reports these grades of one joint.

    Attributes:
        truth: The reader's grade.
        crop: The grade of the crop that the film was composed of.
        true_box: The grade in the joint's true box.
        found: The grade in the box that was found.
        group: The leakage group of the crop.
    """

    truth: int
    crop: int
    true_box: int
    found: int
    group: str


@dataclass(frozen=True)
class ComposedResult:
    """Locator, rule and grader make this of one composed film.

    Attributes:
        joints: Number of joints in the film.
        found: Number of joints that the locator found.
        refused: Whether the grader refuses the film.
        posed: Whether the grader puts the film right from another pose and grades every joint; for a film without a
            joint, whether it refuses it in that pose.
        distances: The distance of each joint's found centre, in widths of the joint; infinite for a missed joint.
        side_ratios: The side of each found joint's box, divided by the side of the true box.
        reported: Distances as above of the boxes that the grader reports; empty when it reports none.
        by_rule: Distances as above of the boxes that the rule without a network finds.
        grades: The grades of each reported joint.
    """

    joints: int
    found: int
    refused: bool
    posed: bool
    distances: tuple[float, ...] = ()
    side_ratios: tuple[float, ...] = ()
    reported: tuple[float, ...] = ()
    by_rule: tuple[float, ...] = ()
    grades: tuple[JointGrades, ...] = ()


def measure_composed(
    locator: Locator, grader: KneeGrader, knees: Sequence[Knee], origin: Sequence[AuditedFilm], count: int, seed: int
) -> dict[str, Estimate]:
    """Return fields of a `FindingEvidence`, on films with shafts and surroundings that no training used.

    Args:
        locator: The locator.
        grader: The bundle that grades what was found.
        knees: Validation crops, from which the films are composed.
        origin: Their rows of the audit, in the same order.
        count: Number of films.
        seed: The seed of the films and of the bootstrap.
    """

    @cache
    def crop_grade(index: int) -> int:
        crop = knees[index].crop
        return grades(grader, crop, ((0, 0, crop.shape[1], crop.shape[0]),))[0]

    results = []
    for index in steps.progress(range(count), "locator: measuring on composed films"):
        film = compose(knees, HELD_OUT, seed * SEEDS_PER_RUN + index)
        pose = POSES[1 + index % (len(POSES) - 1)]
        results.append(_measure(locator, grader, film, pose, origin, crop_grade))
    return _finding(results) | _agreement([one for result in results for one in result.grades], seed)


def _measure(
    locator: Locator,
    grader: KneeGrader,
    film: ComposedFilm,
    pose: Pose,
    origin: Sequence[AuditedFilm],
    crop_grade: Callable[[int], int],
) -> ComposedResult:
    pixels = film.pixels.astype(np.float32)
    found = locator.joints(pixels)
    report = grader.grade(pixels)
    refused, posed = report.refused is not None, _posed(film, pose, grader)
    if not len(film.joints):
        return ComposedResult(0, len(found), refused, posed)
    matches = [_match(joint, found) for joint in film.joints]
    true_boxes = [clipped(box, pixels.shape) for box in film.boxes]
    return ComposedResult(
        len(film.joints),
        len(found),
        refused,
        posed,
        distances=tuple(match[1] if match else np.inf for match in matches),
        side_ratios=tuple(match[0].side / joint[2] for match, joint in zip(matches, film.joints, strict=True) if match),
        reported=_distances(true_boxes, [knee.box for knee in report.knees]),
        by_rule=_distances(true_boxes, find_knees(film.pixels)),
        grades=_joint_grades(grader, film, report, origin, crop_grade),
    )


def _finding(results: Sequence[ComposedResult]) -> dict[str, Estimate]:
    """Return how well joints are found and films without a joint are refused."""
    shown, empty = [one for one in results if one.joints], [one for one in results if not one.joints]

    def within(limit: float, distances: Iterable[float]) -> Estimate:
        return proportion([bool(distance <= limit) for distance in distances])

    distances = [distance for one in shown for distance in one.distances]
    ratios = [ratio for one in shown for ratio in one.side_ratios]
    low, median, high = np.percentile(ratios or [0.0], (INTERVAL[0], 50, INTERVAL[1]))
    return {
        "composed_count": proportion([one.found == one.joints for one in results]),
        "composed_empty": proportion([not one.found for one in empty]),
        "composed_refused": proportion([one.refused for one in shown]),
        "composed_empty_refused": proportion([one.refused for one in empty]),
        "composed_within_10": within(NEAR, distances),
        "composed_within_5": within(NEARER, distances),
        "composed_reported_within_10": within(NEAR, (distance for one in shown for distance in one.reported)),
        "rule_composed_within_10": within(NEAR, (distance for one in shown for distance in one.by_rule)),
        "composed_posed_right": proportion([one.posed for one in shown]),
        "composed_empty_posed_refused": proportion([one.posed for one in empty]),
        "composed_side_ratio": estimate(median, low, high, len(ratios)),
    }


def _agreement(joints: Sequence[JointGrades], seed: int) -> dict[str, Estimate]:
    """Return how grades in the found boxes agree with readers, with grades in true boxes and of the crops."""
    columns = {field.name: np.array([getattr(one, field.name) for one in joints]) for field in fields(JointGrades)}
    samples = resamples(columns["group"], seed) if joints else []

    def kappa(name: str, minus: str = "") -> Estimate:
        if not joints:
            return exact(0.0)

        def value(rows: np.ndarray | slice) -> float:
            truth = columns["truth"][rows]
            return qwk(truth, columns[name][rows]) - (qwk(truth, columns[minus][rows]) if minus else 0)

        return bootstrapped(value, samples, len(joints))

    return {
        "qwk_crop": kappa("crop"),
        "qwk_true_box": kappa("true_box"),
        "qwk_found": kappa("found"),
        "qwk_found_less_true_box": kappa("found", minus="true_box"),
        "qwk_found_less_crop": kappa("found", minus="crop"),
        "composed_same_grade_as_true_box": proportion([one.found == one.true_box for one in joints]),
        "composed_same_grade_as_crop": proportion([one.found == one.crop for one in joints]),
    }


def _posed(film: ComposedFilm, pose: Pose, grader: KneeGrader) -> bool:
    """Return whether the film is put right from a pose and its every joint graded; or refused, when it has none."""
    turns, inverted = pose
    bright = film.pixels.astype(np.float32)
    turned = np.rot90(bright.max() + bright.min() - bright if inverted else bright, turns)
    report = grader.grade(np.ascontiguousarray(turned))
    if not len(film.joints):
        return report.refused is not None
    back = Screening(Film(bright, "composed"), (), pose)
    boxes = [box_in_given_film(clipped(box, bright.shape), back) for box in film.boxes]
    distances = _distances(boxes, [knee.box for knee in report.knees])
    return len(report.knees) == len(boxes) and all(distance <= SAME_JOINT for distance in distances)


def _distances(true: Sequence[Box], found: Sequence[Box]) -> tuple[float, ...]:
    """For each true box, the distance of the nearest centre found, in widths of the box; empty when none is found."""
    if not found:
        return ()
    centres = np.array(found, float).reshape(-1, 2, 2).mean(1)
    distances = []
    for box in true:
        away = np.linalg.norm(centres - np.array(box, float).reshape(2, 2).mean(0), axis=1)
        distances.append(float(away.min()) / (box[2] - box[0]))
    return tuple(distances)


def _match(joint: np.ndarray, found: Sequence[Joint]) -> tuple[Joint, float] | None:
    """Return the joint found nearest to a true one, and its distance in widths of the joint; None when none is near."""
    away = [float(np.hypot(other.x - joint[0], other.y - joint[1]) / joint[2]) for other in found]
    return (found[int(np.argmin(away))], min(away)) if away and min(away) <= SAME_JOINT else None


def _joint_grades(
    grader: KneeGrader,
    film: ComposedFilm,
    report: FilmReport,
    origin: Sequence[AuditedFilm],
    crop_grade: Callable[[int], int],
) -> tuple[JointGrades, ...]:
    """Return the grades of each joint that the grader reports."""
    in_true_box = grades(grader, film.pixels.astype(np.float32), film.boxes)
    rows = []
    for index, box, of_true_box in zip(film.knees, film.boxes, in_true_box, strict=True):
        away = [distance for knee in report.knees for distance in _distances([box], [knee.box])]
        if away and min(away) <= SAME_JOINT:
            found, film_of_crop = report.knees[int(np.argmin(away))].grade, origin[index]
            rows.append(
                JointGrades(film_of_crop.grade, crop_grade(index), of_true_box, found, film_of_crop.leakage_group)
            )
    return tuple(rows)
