"""Draws shadows that lie over the outlines of a synthetic knee's bones: landmarks, sclerosis and soft tissue.

All functions take x and y, the anatomical places of the pixels in mm, and return attenuation, which is about 1 in bone.
"""

import numpy as np

from .disease import Disease
from .texture import ridge


def landmarks(
    x: np.ndarray,
    y: np.ndarray,
    femur: np.ndarray,
    tibia: np.ndarray,
    rng: np.random.Generator,
    mottle: np.ndarray,
) -> np.ndarray:
    """Draw the shadows that every knee has, whatever its grade.

    Args:
        x: Columns of the pixels in mm, towards the medial side.
        y: Rows of the pixels in mm, downwards.
        femur: Depth into the femur in mm.
        tibia: Depth into the tibia in mm.
        rng: Draws the variation between knees.
        mottle: Texture of the lines, around 1.
    """
    in_femur, in_tibia = (np.clip(depth / 2, 0, 1) for depth in (femur, tibia))
    marks = _patella(x, y, rng, mottle)
    marks += in_femur * _notch(x, y, rng, mottle)
    marks += in_tibia * _spine_base(x, y, rng, mottle)
    for inside, level, curve in ((in_femur, rng.uniform(-36, -29), -0.004), (in_tibia, rng.uniform(13, 19), 0.003)):
        marks += inside * _growth_scar(x, y, level, curve, rng, mottle)
    thin_spines = 0.07 * in_tibia * np.clip((2 - y) / 8, 0, 1)
    return marks - thin_spines


def _patella(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, mottle: np.ndarray) -> np.ndarray:
    """Draw a rounded square with soft edges over the femur, a little to the lateral side."""
    across, up = x - rng.uniform(-7, 1), y + rng.uniform(35, 44)
    depth = rng.uniform(19, 24) - (across**4 + up**4) ** 0.25
    return rng.uniform(0.04, 0.13) * np.clip(depth / 14, 0, 1) ** 1.5 * (0.85 + 0.15 * mottle)


def _notch(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, mottle: np.ndarray) -> np.ndarray:
    """Draw the intercondylar notch: thinner bone between two bright walls, of which the medial one is stronger."""
    walls, between = 0.0, 1.0
    for sign, strongest in ((-1, 0.6), (1, 1.0)):
        top, at, lean = -rng.uniform(20, 34), rng.uniform(7, 12), rng.uniform(-0.1, 0.1)
        reach = np.clip((y - top) / 8, 0, 1) * np.clip((-7 - y) / 4, 0, 1)
        depth = at + lean * (y + 15) + 0.008 * (y + 18) ** 2 - sign * x
        walls = walls + strongest * rng.uniform(0, 0.09) * reach * ridge(depth, 0.8)
        between = between * reach * np.clip(0.5 + depth / 3, 0, 1)
    return walls * mottle - rng.uniform(0.015, 0.09) * between


def _spine_base(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, mottle: np.ndarray) -> np.ndarray:
    """Draw short oblique lines under the tibial spines, where ridges in front and behind lie over each other."""
    lines = 0.0
    for _ in range(4):
        across, slope = x - rng.uniform(-10, 10), rng.uniform(-0.8, 0.8)
        line = ridge(y - rng.uniform(-3, 7) - slope * across, 0.9) * ridge(across, 4)
        lines = lines + rng.uniform(0, 0.03) * line
    return lines * mottle


def _growth_scar(
    x: np.ndarray, y: np.ndarray, level: float, curve: float, rng: np.random.Generator, mottle: np.ndarray
) -> np.ndarray:
    """Draw a faint uneven line across a bone at y = level + curve * x ** 2."""
    bend = level + curve * x**2 + 0.8 * np.sin(x / rng.uniform(4, 7))
    return rng.uniform(0, 0.025) * ridge(y - bend, 0.8) * np.clip(mottle, 0, 2)


def sclerosis(
    x: np.ndarray,
    contours: tuple[np.ndarray, np.ndarray, np.ndarray],
    bones: tuple[np.ndarray, np.ndarray],
    disease: Disease,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the bright bands under the joint's surfaces: the plate of every knee, and what the disease adds.

    Args:
        x: Columns of the pixels in mm, towards the medial side.
        contours: Depth below the joint's surfaces in mm, see `outlines.joint_surfaces`.
        bones: Depth into the femur and into the tibia, in mm.
        disease: The features of the knee's grade.
        rng: Where the variation between knees comes from.
    """
    medial = 1 / (1 + np.exp(-x / 3))
    in_compartment = np.clip((np.abs(x) - 8) / 8, 0, 1)  # clear of the spines
    amount = in_compartment * ((1 - medial) * disease.sclerosis[0] + medial * disease.sclerosis[1])
    femur, _, floor = contours
    plate = rng.uniform(0.08, 0.16) * ridge(np.abs(x) - 21, 12) * _band(floor, 3.0)
    femur_band, tibia_band = (
        strength * amount * _band(depth, 1.5 + 1.5 * amount) for depth, strength in ((femur, 0.11), (floor, 0.13))
    )
    return np.clip(bones[0], 0, 1) * femur_band + np.clip(bones[1], 0, 1) * (plate + tibia_band)


def _band(depth: np.ndarray, reach: float | np.ndarray) -> np.ndarray:
    """Return a band's brightness: it begins softly at a surface, and fades within about `reach` mm below it."""
    return np.clip(1 + depth / 0.8, 0, 1) * np.exp(-np.clip(depth, 0, None) / reach)


def soft_tissue(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the leg as a flattened cylinder that is wider above the joint than below it. The air has 0.

    Args:
        x: The place of every pixel across the leg, in mm from the middle of the joint.
        y: The place of every pixel along the leg, in mm from the joint line.
        rng: Draws the width and the density.
    """
    lateral, medial = rng.uniform(46, 58), rng.uniform(46, 58)
    taper = 1 - 0.0016 * np.clip(y, -100, 100)
    across = x / (np.where(x < 0, np.float32(lateral), np.float32(medial)) * taper)
    return rng.uniform(0.42, 0.56) * np.cbrt(np.clip(1 - across**2, 0, None))
