"""Draws the outlines of the bones of a synthetic knee, as depths into them.

A contour gives y over x; edges give x over y, at the lateral and at the medial side of a bone. All are in mm, see
`anatomy`.
"""

import math

import numpy as np

from .disease import Disease
from .texture import smooth

FEMUR_CONTOUR = (
    (-44, -40, -37, -33, -28, -22, -17, -13, -9, -5, -1, 3, 6, 9, 12, 16, 21, 27, 33, 37, 40, 44),
    (-13, -6, -2.2, -0.5, 0, -0.3, -1.8, -4, -7.2, -12, -14.2, -13.6, -11.2, -7, -3.8, -1.2, 0, 0.5, 0.2, -2, -6, -13),
)
"""The joint surface of the femur runs through these points x and y."""
TIBIA_CONTOUR = (
    (-42, -38, -33, -27, -21, -16, -12, -9, -7, -4, 0, 3, 5.5, 7, 9, 12, 16, 22, 28, 34, 38, 42),
    (0.6, 0, 0, 0, -0.2, -1.4, -4.2, -7, -7.6, -6.6, -6.6, -8, -10.5, -10, -6.5, -3.6, -2.6, -1.6, -1, -0.5, 0, 0.4),
)
"""The rim of the tibial plateau runs through these points x and y."""
FEMUR_EDGES = (
    (-140, -80, -60, -50, -44, -38, -32, -27, -22, -18, -13, -8, -2, 4),
    (-17, -21, -26, -29, -33, -38.5, -39.5, -38.5, -36.8, -36.2, -37.2, -38, -37.5, -36),
    (18, 20, 24, 28, 33, 37.5, 39.5, 39.5, 38.8, 38.5, 38.5, 38, 37, 35.5),
)
"""The femur has its edges here: y, and x at the lateral and at the medial side."""
TIBIA_EDGES = (
    (-4, 2, 6, 12, 20, 30, 45, 70, 140),
    (-37, -38, -38.5, -38, -34, -28, -21, -16, -13),
    (37.5, 38, 38, 37.5, 35, 31, 25, 17, 14),
)
"""The tibia has its edges here: y, and x at the lateral and at the medial side."""
FIBULA_EDGES = (
    (10, 14, 18, 24, 32, 44, 140),
    (-36, -41, -45.5, -46, -44, -41, -38),
    (-35, -31, -28, -26, -27, -29, -29),
)
"""The fibula has its edges here: y, and x at the lateral and at the medial side."""
CORNER_MM = 1.6
"""The corners of a bone are rounded over about this length."""


def joint_surfaces(
    x: np.ndarray, y: np.ndarray, disease: Disease, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the depth in mm below the joint's surfaces: of the femur, of the tibia's rim, and of its hollow floor.

    Args:
        x: Columns of the pixels in mm, from the middle of the joint.
        y: Rows of the pixels in mm, from the middle of the joint.
        disease: What the disease has done to the joint.
        rng: Draws what differs among patients.
    """
    across = np.linspace(-60, 60, 481)
    medial = 1 / (1 + np.exp(-across / 4))
    space = (1 - medial) * rng.uniform(5.0, 6.2) + medial * rng.uniform(4.3, 5.3)
    lost = (1 - medial) * disease.narrowing[0] + medial * disease.narrowing[1]
    # At its worst the two surfaces overlap in the picture.
    lost = lost * (space + rng.uniform(0.2, 1.2))
    femur = _outline(across, FEMUR_CONTOUR, rng) - space / 2 + 0.6 * lost
    tibia = _outline(across, TIBIA_CONTOUR, rng) + space / 2 - 0.4 * lost
    for spine in (-8.0, 7.0):
        tibia -= 2.5 * disease.spines * np.exp(-(((across - spine) / 1.8) ** 2))
    # The rim of each compartment is seen before its hollow, which is deeper at the medial side.
    hollows = zip(rng.uniform((0.5, 2.0), (1.5, 4.0)), (-23.0, 23.0), strict=True)
    floor = tibia + sum(depth * np.clip(1 - np.square((across - at) / 15), 0, None) for depth, at in hollows)
    above, below, deep = (
        # The distance along y becomes the distance along the contour's normal.
        sign * (y - _lookup(x, across, line)) * _lookup(x, across, 1 / np.hypot(1, np.gradient(line, across)))
        for sign, line in ((-1, femur), (1, tibia), (1, floor))
    )
    return above, below, deep


def _lookup(at: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.interp(at, places, values).astype(np.float32)


def _outline(
    at: np.ndarray, points: tuple[tuple[float, ...], tuple[float, ...]], rng: np.random.Generator
) -> np.ndarray:
    """Draw a smooth line through jittered points, at places that lie 0.25 mm apart."""
    values = np.asarray(points[1]) + rng.normal(0, 0.35, len(points[1]))
    return smooth(np.interp(at, points[0], values), 6)


def sides(
    x: np.ndarray,
    y: np.ndarray,
    edges: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]],
    lips: tuple[float, ...],
    lip_at: float,
    stout: float,
) -> list[np.ndarray]:
    """Return the depth in mm from a bone's lateral edge and from its medial edge.

    Args:
        x: Columns of the pixels in mm, towards the medial side.
        y: Rows of the pixels in mm, downwards.
        edges: The table of the bone.
        lips: Lengths in mm of the lateral and of the medial osteophyte, spurs that end at the joint.
        lip_at: The spurs are longest up to this y, and thin out beyond it, away from the joint.
        stout: Away from the joint the bone is wider by this, in mm, on both sides.
    """
    along = np.linspace(-140, 140, 1121)
    lip = np.exp(-np.clip(math.copysign(1, lip_at) * along - abs(lip_at), 0, None) / 2.5)
    wider = stout * np.clip((np.abs(along) - 8) / 30, 0, 1)
    lateral = smooth(np.interp(along, edges[0], edges[1]) - wider, 8) - lips[0] * lip
    medial = smooth(np.interp(along, edges[0], edges[2]) + wider, 8) + lips[1] * lip
    return [x - _lookup(y, along, lateral), _lookup(y, along, medial) - x]


def rounded(*depths: np.ndarray) -> np.ndarray:
    """Return the depth in mm inside all of the outlines: their smooth minimum, which rounds the corners."""
    return -CORNER_MM * np.log(sum(np.exp(-np.clip(depth / CORNER_MM, -25, 60)) for depth in depths))
