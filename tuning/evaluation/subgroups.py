"""Subgroups are measured by the patient's side and by the exposure of the film."""

import numpy as np

from kneeoa_hub.evidence import SubgroupEvidence

from ..data.datasets import Knees, exposures
from .metrics import Predictions, measure

EXPOSURE = "film gray"
"""The name is not "exposure", which in evidence before 0.8.0 means the mean gray of the stretched input."""
THIRDS = ("dark", "middle", "bright")
LEAST_KNEES = 50
"""With fewer knees, the measures of a subgroup would be noise."""


def subgroups(predictions: Predictions, knees: Knees) -> dict[str, SubgroupEvidence]:
    """Return measures by the patient's side, and by thirds of the films' exposure where it is known."""
    sides = np.array([film.side for film in knees.films])
    rows = {f"side: {side}": sides == side for side in ("left", "right")}
    if (grays := exposures(knees)) is not None:
        third = np.searchsorted(np.quantile(grays, (1 / 3, 2 / 3)), grays)
        rows |= {f"{EXPOSURE}: {name}": third == number for number, name in enumerate(THIRDS)}
    return {
        name: measure(SubgroupEvidence, predictions.take(mine))
        for name, mine in rows.items()
        if mine.sum() >= LEAST_KNEES
    }
