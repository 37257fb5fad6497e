"""Draws what the Kellgren-Lawrence grade changes in a synthetic knee."""

from dataclasses import dataclass

import numpy as np

from ...grades import NUM_GRADES

NARROWING = (0.0, 0.15, 0.42, 0.78, 1.02)
"""Each grade has this loss of joint space, 0 to 1. The severity of a film lies around its grade's, so that neighbours
overlap.
"""
OSTEOPHYTES = (0.0, 0.2, 0.6, 0.9, 1.2)
"""Each grade has osteophytes of this size, about 0 to 1."""
SCLEROSIS = (0.0, 0.06, 0.28, 0.65, 1.0)
"""Each grade has this subchondral sclerosis, 0 to 1."""
SEVERITY_SPREAD = 0.4
"""Each feature's severity varies around the grade with this standard deviation, in grades."""
LATERAL_FIRST = 0.15
"""The lateral compartment is worse than the medial one with this probability."""


@dataclass(frozen=True)
class Disease:
    """Holds the features of osteoarthritis in one knee.

    Attributes:
        narrowing: Loss of joint space in the lateral and in the medial compartment, 0 to 1.
        sclerosis: Sclerosis in the lateral and in the medial compartment, 0 to 1.
        spines: Sharpening of the tibial spines, 0 to 1.
        lips: Lengths of the marginal osteophytes in mm: femur lateral and medial, tibia lateral and medial.
    """

    narrowing: tuple[float, float]
    sclerosis: tuple[float, float]
    spines: float
    lips: tuple[float, float, float, float]


def disease_of(grade: int, rng: np.random.Generator) -> Disease:
    """Draw the features of a knee of that grade, each varying by itself.

    Every grade makes the same draws, so that two knees of one seed differ by their grade alone.
    """
    levels = np.arange(NUM_GRADES)
    own = grade + SEVERITY_SPREAD * rng.standard_normal(3).clip(-2, 2)
    narrowing, osteophytes, sclerosis = (
        float(np.interp(level, levels, table))
        for level, table in zip(own, (NARROWING, OSTEOPHYTES, SCLEROSIS), strict=True)
    )
    milder = rng.uniform(0.05, 0.35)
    lateral, medial = (1.0, milder) if rng.random() < LATERAL_FIRST else (milder, 1.0)
    lengths = osteophytes * rng.uniform((1.5, 2.0, 2.0, 3.0), (3.5, 5.0, 4.5, 6.5))
    return Disease(
        (narrowing * lateral, narrowing * medial),
        (sclerosis * lateral, sclerosis * medial),
        osteophytes * rng.uniform(0.5, 1.0),
        tuple(lengths.tolist()),
    )
