"""Draws the bones of a synthetic knee, and the attenuation of the leg around them.

Anatomy is drawn in millimetres. The origin is the middle of the joint line, x grows towards the patient's medial side
and y downwards.
"""

import math

import numpy as np

from ..letterbox import Box
from .disease import disease_of
from .landmarks import landmarks, sclerosis, soft_tissue
from .outlines import FEMUR_EDGES, FIBULA_EDGES, TIBIA_EDGES, joint_surfaces, rounded, sides
from .texture import dome, rough

CROP_MM = 92.0
"""A film of one knee shows tissue of this width in mm, which is also the side of a joint's box."""
CORTEX_MM = 0.5
"""The cortex of a bone is 0.5 mm thick."""


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
    size = build.uniform(0.95, 1.05)
    x, y = x / size, y / size

    contours = joint_surfaces(x, y, disease, build)
    femur_sides = sides(x, y, FEMUR_EDGES, disease.lips[:2], -3.5, build.uniform(-1, 2))
    tibia_sides = sides(x, y, TIBIA_EDGES, disease.lips[2:], 2.5, build.uniform(-1, 2))
    fibula_sides = sides(x, y, FIBULA_EDGES, (0.0, 0.0), 1.0, 0.0)
    head = y - build.uniform(12, 19) - 0.03 * np.square(x + 36)
    femur, tibia = rounded(contours[0], *femur_sides), rounded(contours[1], *tibia_sides)

    mottle = 1 + 0.35 * rough(texture, height, width, scale, slope=2.0)
    grain = build.uniform(0.0035, 0.010) * rough(texture, height, width, scale, slope=1.0, stretch=3.0, longest=1.5)
    cortex = build.uniform(0.025, 0.09) * mottle
    # The tibia is thickest near the joint, and the cortex of its spines is thin.
    towards = 0.06 + 0.0375 * np.exp(-np.clip(y, 0, None) / 12)
    thin = 1 - 0.7 * np.exp(-np.square(x / 11)) * (y < 6)
    bone = 0.1 * _body(contours[0], femur_sides) + _shell(femur, cortex, grain)
    bone += towards * _body(contours[1], tibia_sides) + _shell(tibia, cortex * thin, grain)
    bone += 0.04 * _body(head, fibula_sides) + _shell(rounded(head, *fibula_sides), 0.5 * cortex, 0.5 * grain)
    marks = landmarks(x, y, femur, tibia, build, mottle)
    marks += sclerosis(x, contours, (femur, tibia), disease, build)
    leg = soft_tissue(x, y, build) * (0.97 + 0.03 * mottle)
    return (leg + bone + marks).astype(np.float32), box


def _grid(
    rng: np.random.Generator, side: str, height: int, width: int, scale: float
) -> tuple[np.ndarray, np.ndarray, Box]:
    """Return x and y of each pixel in mm after the leg's own turn and shift, and the box of the joint."""
    turn = math.radians(rng.uniform(-4, 4))
    centre_x = width / 2 + scale * rng.uniform(-2.5, 2.5)
    centre_y = height * 0.575 + scale * rng.uniform(-3, 3) * min(1.0, height / width)
    columns = ((np.arange(width) + 0.5 - centre_x) / scale).astype(np.float32)
    rows = ((np.arange(height) + 0.5 - centre_y) / scale).astype(np.float32)
    x = columns * math.cos(turn) + rows[:, None] * math.sin(turn)
    y = rows[:, None] * math.cos(turn) - columns * math.sin(turn)
    half = CROP_MM / 2 * scale
    left, top = max(0, round(centre_x - half)), max(0, round(centre_y - half))
    right, bottom = min(width, round(centre_x + half)), min(height, round(centre_y + half))
    return (x if side == "right" else -x), y, (left, top, right, bottom)


def _body(surface: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Return how thick a bone is, 0 to 1: it ends steeply at its joint surface, and thins out towards its sides."""
    inwards = np.clip(np.minimum(*edges) / 16, 0, 1)
    return inwards * (2 - inwards) * dome(surface / 6)


def _shell(depth: np.ndarray, cortex: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Return what the rays lose in a bone's cortex, which they meet edgewise at its outline, and in its trabeculae."""
    outer, inner = np.clip(depth, 0, None), np.clip(depth - CORTEX_MM, 0, None)
    return cortex * (np.sqrt(outer) - np.sqrt(inner)) + grain * np.clip(depth / 3, 0, 1)
