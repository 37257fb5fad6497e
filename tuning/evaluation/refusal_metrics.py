"""What the whole grader does with real knees and with made films of each kind: the gate alone is not asked what the
finder lays before it.
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

from ..run import steps
from ..run.figures import share
from ..synthetic import negatives

ALIKE = 0.05
"""A knee that was put right has the probabilities that it has upright, within this."""


def measure(grader: KneeGrader, films: Mapping[str, Sequence[np.ndarray]], count: int) -> dict[str, Any]:
    """Returns fields of a `FindingEvidence`: real validation knees that are refused, and constructed films, `count` of
    a kind, that are refused, put right and let through.

    films: [H,W] float32 of single knees, bright bone, by dataset; the made films are made of all of them.
    """
    refused = {
        f"{dataset}_val": share(
            [grader.grade(film).refused is not None for film in steps.progress(mine, f"grader: knees of {dataset}")]
        )
        for dataset, mine in films.items()
    }
    makers = negatives.measured([film for mine in films.values() for film in mine], np.random.default_rng(98))
    made = {
        name: _outcomes(grader, make, pose, count)
        for name, (make, pose) in steps.progress(list(makers.items()), "grader: made films")
    }
    return {"knees_refused": refused, "made": made, "made_headline": negatives.headline(made)}


def _outcomes(grader: KneeGrader, make: Callable[[], np.ndarray], pose: Pose | None, count: int) -> Outcomes:
    """let_through: graded as it is, or put wrong."""
    refused, right = [], []
    for _ in range(count):
        film = _large_enough(make().astype(np.float32))
        report = grader.grade(film if pose is None else negatives.positioned(film, *pose))
        refused.append(report.refused is not None)
        right.append(
            pose is not None and not report.refused and _alike(report.knees, grader.grade(film, force=True).knees)
        )
    through = [not any(one) for one in zip(refused, right, strict=True)]
    return Outcomes(refused=share(refused), put_right=share(right), let_through=share(through))


def _large_enough(film: np.ndarray) -> np.ndarray:
    """Enlarged where a part of a small film would not be decoded at all, which is too easy a refusal."""
    times = MIN_SIDE / min(film.shape)
    if times <= 1:
        return film
    size = (math.ceil(film.shape[1] * times), math.ceil(film.shape[0] * times))
    return np.asarray(Image.fromarray(film).resize(size, Image.Resampling.BICUBIC))


def _alike(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(
        np.allclose(a.probabilities, b.probabilities, atol=ALIKE) for a, b in zip(one, other, strict=True)
    )
