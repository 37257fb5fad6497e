"""Turns what the grading network computes for the knees of a film into their grades."""

from collections.abc import Sequence

import numpy as np

from .bundle import BundleConfig, Conformal
from .decision import grade_set, oa_probability, reported_grade, severity
from .grades import LABELS
from .imaging.heatmap import heatmap_over
from .imaging.letterbox import Letterboxed
from .imaging.screen import Screening, box_in_given_film
from .knee import KneeGrade
from .runtime import Outputs


def knee_grades(
    config: BundleConfig,
    conformal: Conformal,
    screening: Screening,
    sides: Sequence[str | None],
    letterboxed: Sequence[Letterboxed],
    outputs: Outputs,
) -> tuple[KneeGrade, ...]:
    """Return the grade of each knee of a film, with box and heatmap in pixels of the film as it was given.

    Args:
        config: The content of bundle.json, with the decision rule.
        conformal: How prediction sets are made, at the level of the grader.
        screening: The knees in the upright film.
        sides: The patient's side of each knee.
        letterboxed: Each knee as the network saw it.
        outputs: What the network computed for the knees.
    """
    knees = []
    for box, region, side, fitted, probabilities, embedding, activation_map in zip(
        screening.boxes,
        screening.graded,
        sides,
        letterboxed,
        outputs.probabilities,
        outputs.embedding,
        outputs.activation_map,
        strict=True,
    ):
        grade = int(reported_grade(probabilities, config.decision))
        heatmap = heatmap_over(activation_map, box, region, fitted.content, config.input)
        knees.append(
            KneeGrade(
                grade,
                LABELS[grade],
                tuple(map(float, probabilities)),
                float(severity(probabilities)),
                float(oa_probability(probabilities)),
                grade_set(probabilities.tolist(), grade, conformal),
                box_in_given_film(box, screening),
                side,
                np.rot90(heatmap, screening.pose[0]),
                embedding.astype(np.float32),
            )
        )
    return tuple(knees)
