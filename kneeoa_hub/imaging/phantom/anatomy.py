"""Draws the bones of a synthetic knee, and the attenuation of the leg around them.

Anatomy is drawn in millimetres. The origin is the middle of the joint line, x grows towards the patient's medial side
and y downwards. A contour gives y over x; edges give x over y, at the lateral and at the medial side of a bone.
"""

import math

import numpy as np

from ..letterbox import Box
from .disease import Disease, disease_of
from .landmarks import landmarks, sclerosis, soft_tissue
from .texture import ridge, smooth, smooth_noise, trabeculae

CROP_MM = 92.0
"""A film of one knee shows tissue of this width in mm, which is also the side of a joint's box."""
FEMUR_CONTOUR = (
    (-43, -40, -36, -31, -24, -17, -11, -5, 0, 5, 11, 17, 24, 32, 37, 41, 44),
    (-14, -7, -2.2, 0.0, 0.4, -2.0, -5.8, -8.8, -9.9, -9.0, -6.2, -2.2, 0.4, 0.0, -2.2, -7, -14),
)
"""The joint surface of the femur runs through these points x and y."""
TIBIA_CONTOUR = (
    (-40, -36, -30, -22, -16, -11, -8, -5, 0, 4, 7, 10, 15, 22, 30, 36, 40),
    (1.4, 0.5, 0.2, 0.2, -0.9, -4.0, -5.9, -5.7, -4.4, -5.8, -7.0, -5.6, -0.9, 1.0, 1.0, 0.2, 1.0),
)
"""The tibial plateau runs through these points x and y."""
FEMUR_EDGES = (
    (-140, -80, -60, -50, -42, -35, -29, -22, -14, -6, 2),
    (-17, -21, -28, -33, -38, -40.5, -40, -37.5, -38.5, -39, -38),
    (18, 22, 30, 36, 41, 42.5, 41.5, 39.5, 40.5, 40.5, 39),
)
"""The femur has its edges here: y, and x at the lateral and at the medial side."""
TIBIA_EDGES = (
    (-4, 2, 6, 12, 20, 30, 45, 70, 140),
    (-38.5, -39, -39, -38, -34.5, -29.5, -23, -17, -13),
    (39, 40, 40, 39, 36, 31.5, 25, 18, 14),
)
"""The tibia has its edges here: y, and x at the lateral and at the medial side."""
FIBULA_EDGES = (
    (10, 14, 18, 24, 32, 44, 140),
    (-36, -41, -44.5, -45, -43, -40, -38),
    (-35, -31, -28, -26, -27, -29, -29),
)
"""The fibula has its edges here: y, and x at the lateral and at the medial side."""


def attenuation(grade: int, seed: int, side: str, height: int, width: int, field_mm: float) -> tuple[np.ndarray, Box]:
    """Draw one leg.

    Args:
        grade: The Kellgren-Lawrence grade, 0 to 4.
        seed: The patient; the same seed gives both knees of one.
        side: The patient's side, "left" or "right".
        height: Rows in pixels.
        width: Columns in pixels.
        field_mm: Width of the picture in mm.

    Returns:
        Attenuation [height,width] float32, 0 in the air and about 1 in bone, and the box of the joint.
    """
    # One stream each: grade, size and side leave everything unchanged that they do not concern.
    which = ("right", "left").index(side)
    build, pose, texture = (np.random.default_rng([seed, *key]) for key in ((1,), (2, which), (3, which)))
    disease = disease_of(grade, np.random.default_rng([seed, 4, which]))
    scale = width / field_mm
    x, y, box = _grid(pose, side, height, width, scale)
    size = build.uniform(0.94, 1.05)
    x, y = x / size, y / size

    contours = _joint_surfaces(x, y, disease, build)
    femur = _rounded(contours[0], *_sides(x, y, FEMUR_EDGES, disease.lips[:2], -5.5, build.uniform(-1, 8)))
    tibia = _rounded(contours[1], *_sides(x, y, TIBIA_EDGES, disease.lips[2:], 4.5, build.uniform(-1, 8)))
    head = y - build.uniform(12, 19) - 0.03 * np.square(x + 36)
    fibula = _rounded(head, *_sides(x, y, FIBULA_EDGES, (0.0, 0.0), 0.0, 0.0))

    mottle = 1 + 0.35 * smooth_noise(texture, height, width, ((1.0, 4 * scale, 4 * scale),))
    grain = trabeculae(texture, height, width, scale) * build.uniform(0.004, 0.016)
    cortex = build.uniform(0.05, 0.11) * mottle
    bone = _bone(femur, cortex, grain) + _bone(tibia, cortex, grain)
    bone += 0.5 * _bone(fibula, cortex, grain)
    marks = landmarks(x, y, femur, tibia, contours[1], build, mottle)
    marks += sclerosis(x, contours, (femur, tibia), disease, build)
    leg = soft_tissue(x, y, build) * (0.97 + 0.03 * mottle)
    return (leg + bone + marks).astype(np.float32), box


def _grid(
    rng: np.random.Generator, side: str, height: int, width: int, scale: float
) -> tuple[np.ndarray, np.ndarray, Box]:
    """Return x and y of each pixel in mm after the leg's own turn and shift, and the box of the joint."""
    turn = math.radians(rng.uniform(-4, 4))
    centre_x = width / 2 + scale * rng.uniform(-2.5, 2.5)
    centre_y = height * 0.56 + scale * rng.uniform(-3, 3) * min(1.0, height / width)
    columns = ((np.arange(width) + 0.5 - centre_x) / scale).astype(np.float32)
    rows = ((np.arange(height) + 0.5 - centre_y) / scale).astype(np.float32)
    x = columns * math.cos(turn) + rows[:, None] * math.sin(turn)
    y = rows[:, None] * math.cos(turn) - columns * math.sin(turn)
    half = CROP_MM / 2 * scale
    left, top = max(0, round(centre_x - half)), max(0, round(centre_y - half))
    right, bottom = min(width, round(centre_x + half)), min(height, round(centre_y + half))
    return (x if side == "right" else -x), y, (left, top, right, bottom)


def _joint_surfaces(
    x: np.ndarray, y: np.ndarray, disease: Disease, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth in mm from the joint's surfaces into the femur and into the tibia."""
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
    above, below = (
        # The distance along y becomes the distance along the contour's normal.
        sign * (y - _lookup(x, across, line)) * _lookup(x, across, 1 / np.hypot(1, np.gradient(line, across)))
        for sign, line in ((-1, femur), (1, tibia))
    )
    return above, below


def _lookup(at: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.interp(at, places, values).astype(np.float32)


def _outline(
    at: np.ndarray, points: tuple[tuple[float, ...], tuple[float, ...]], rng: np.random.Generator
) -> np.ndarray:
    """Draw a smooth line through jittered points, at places that lie 0.25 mm apart."""
    values = np.asarray(points[1]) + rng.normal(0, 0.35, len(points[1]))
    return smooth(np.interp(at, points[0], values), 6)


def _sides(
    x: np.ndarray,
    y: np.ndarray,
    edges: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]],
    lips: tuple[float, ...],
    lip_at: float,
    stout: float,
) -> list[np.ndarray]:
    """Return the depth in mm from a bone's lateral edge and from its medial edge.

    `lips` are the lengths of the osteophytes that stand out at y = lip_at. Away from the joint the bone is wider by
    `stout` mm on both sides.
    """
    along = np.linspace(-140, 140, 1121)
    lip = np.exp(-0.5 * ((along - lip_at) / 1.7) ** 2)
    wider = stout * np.clip((np.abs(along) - 8) / 30, 0, 1)
    lateral = smooth(np.interp(along, edges[0], edges[1]) - wider, 8) - lips[0] * lip
    medial = smooth(np.interp(along, edges[0], edges[2]) + wider, 8) + lips[1] * lip
    return [x - _lookup(y, along, lateral), _lookup(y, along, medial) - x]


def _rounded(*depths: np.ndarray) -> np.ndarray:
    """Return the depth in mm inside all of the outlines: their smooth minimum, which rounds the corners."""
    return -np.log(sum(np.exp(-np.clip(depth, -25, 60)) for depth in depths))


def _bone(depth: np.ndarray, cortex: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Return a bone's attenuation. It grows with the depth, with a bright cortex at the edge and trabeculae inside."""
    inside = np.clip(depth, 0, None)
    body = 0.115 * -np.expm1(-inside / 0.9) + 0.085 * -np.expm1(-inside / 9)
    return body + cortex * ridge(depth - 0.7, 0.55) + grain * np.clip(depth / 1.5, 0, 1)
