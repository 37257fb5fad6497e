"""The whole grader is measured on real knees and on synthetic films of each kind.

The gate's own measures do not show what the locator lays before it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kneeoa_hub.evidence import Outcomes
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.imaging.film import MIN_SIDE
from kneeoa_hub.imaging.gate import Pose
from kneeoa_hub.knee import KneeGrade

from ..run import steps
from ..run.estimates import proportion
from ..synthetic import negatives

LARGEST_DIFFERENCE = 0.05
"""A knee that was put right has the probabilities that it has upright, within this difference."""
SEED = 98
"""The synthetic films are drawn with this seed."""


def measure(grader: KneeGrader, films: Mapping[str, Sequence[np.ndarray]], count: int) -> dict[str, Any]:
    """Return fields of a `FindingEvidence`: validation knees that are refused, and the outcomes of synthetic films.

    Args:
        grader: The bundle.
        films: Single knees of each dataset, [H,W] float32 with bright bone; the synthetic films are made of them.
        count: Number of synthetic films of each kind.
    """
    refused = {
        f"{dataset}_val": proportion(
            [grader.grade(film).refused is not None for film in steps.progress(mine, f"grader: knees of {dataset}")]
        )
        for dataset, mine in films.items()
    }
    makers = negatives.measured([film for mine in films.values() for film in mine], np.random.default_rng(SEED))
    synthetic = {
        name: _outcomes(grader, make, pose, count)
        for name, (make, pose) in steps.progress(list(makers.items()), "grader: synthetic films")
    }
    return {"knees_refused": refused, "made": synthetic, "made_headline": negatives.headline(synthetic)}


def _outcomes(grader: KneeGrader, make: Callable[[], np.ndarray], pose: Pose | None, count: int) -> Outcomes:
    """Return how many films are refused, put right, or let through: graded as they are, or put wrong."""
    refused, right = [], []
    for _ in range(count):
        film = _large_enough(make().astype(np.float32))
        report = grader.grade(film if pose is None else negatives.posed(film, pose))
        refused.append(report.refused is not None)
        right.append(
            pose is not None and not report.refused and _equal(report.knees, grader.grade(film, force=True).knees)
        )
    through = [not any(one) for one in zip(refused, right, strict=True)]
    return Outcomes(refused=proportion(refused), put_right=proportion(right), let_through=proportion(through))


def _large_enough(film: np.ndarray) -> np.ndarray:
    """Return the film, enlarged if it is too small to be decoded, since that refusal would be too easy."""
    times = MIN_SIDE / min(film.shape)
    if times <= 1:
        return film
    size = (math.ceil(film.shape[1] * times), math.ceil(film.shape[0] * times))
    return np.asarray(Image.fromarray(film).resize(size, Image.Resampling.BICUBIC))


def _equal(knees: Sequence[KneeGrade], others: Sequence[KneeGrade]) -> bool:
    return len(knees) == len(others) and all(
        np.allclose(one.probabilities, other.probabilities, atol=LARGEST_DIFFERENCE)
        for one, other in zip(knees, others, strict=True)
    )
