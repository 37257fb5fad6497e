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
    plateau: np.ndarray,
    rng: np.random.Generator,
    mottle: np.ndarray,
) -> np.ndarray:
    """Draw the shadows that every knee has, whatever its grade.

    Args:
        x: Columns of the pixels in mm, towards the medial side.
        y: Rows of the pixels in mm, downwards.
        femur: Depth into the femur in mm.
        tibia: Depth into the tibia in mm.
        plateau: Depth below the tibial plateau in mm.
        rng: Draws the variation between knees.
        mottle: Texture of the lines, around 1.
    """
    in_femur, in_tibia = (np.clip(depth / 2, 0, 1) for depth in (femur, tibia))
    marks = _patella(x, y, rng, mottle)
    marks += in_femur * _notch(x, y, rng, mottle)
    for inside, level, curve in ((in_femur, rng.uniform(-36, -29), -0.004), (in_tibia, rng.uniform(13, 19), 0.003)):
        marks += inside * _growth_scar(x, y, level, curve, rng, mottle)
    rim = rng.uniform(2.0, 3.6) + 0.0012 * x**2
    marks += (
        in_tibia * rng.uniform(0.02, 0.07) * ridge(plateau - rim, 0.6) * mottle * np.clip((np.abs(x) - 9) / 6, 0, 1)
    )
    thin_spines = 0.07 * in_tibia * np.clip((2 - y) / 8, 0, 1)
    return marks - thin_spines


def _patella(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, mottle: np.ndarray) -> np.ndarray:
    """Draw a rounded square over the femur, a little to the lateral side."""
    across, up = x - rng.uniform(-7, 1), y + rng.uniform(35, 44)
    depth = rng.uniform(17, 21) - np.hypot(across, 1.05 * up)
    return rng.uniform(0.02, 0.08) * np.clip(depth / 4, 0, 1) + 0.02 * ridge(depth - 0.8, 0.8) * mottle


def _notch(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, mottle: np.ndarray) -> np.ndarray:
    """Draw the intercondylar notch: thinner bone between two bright walls."""
    depth = 9.5 - np.abs(x) - 0.02 * (y + 15) ** 2
    reach = np.clip((y + rng.uniform(30, 36)) / 6, 0, 1) * np.clip(-y / 4, 0, 1)
    wall = ridge(depth, 0.7) * mottle
    return reach * (rng.uniform(0.01, 0.045) * wall - 0.02 * np.clip(depth / 3, 0, 1))


def _growth_scar(
    x: np.ndarray, y: np.ndarray, level: float, curve: float, rng: np.random.Generator, mottle: np.ndarray
) -> np.ndarray:
    """Draw a faint uneven line across a bone at y = level + curve * x ** 2."""
    bend = level + curve * x**2 + 0.8 * np.sin(x / rng.uniform(4, 7))
    return rng.uniform(0.005, 0.03) * ridge(y - bend, 0.7) * np.clip(mottle - 0.6, 0, 1) * 2


def sclerosis(
    x: np.ndarray,
    contours: tuple[np.ndarray, np.ndarray],
    bones: tuple[np.ndarray, np.ndarray],
    disease: Disease,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the bright bands under the joint's surfaces: the plate of every knee, and what the disease adds.

    Args:
        x: Columns of the pixels in mm, towards the medial side.
        contours: Depth below the joint's surface of the femur and of the tibia, in mm.
        bones: Depth into the femur and into the tibia, in mm.
        disease: The features of the knee's grade.
        rng: Where the variation between knees comes from.
    """
    medial = 1 / (1 + np.exp(-x / 3))
    in_compartment = np.clip((np.abs(x) - 8) / 8, 0, 1)  # clear of the spines
    amount = in_compartment * ((1 - medial) * disease.sclerosis[0] + medial * disease.sclerosis[1])
    femur, tibia = contours
    plate = rng.uniform(0.05, 0.12) * in_compartment * np.exp(-np.clip(tibia, 0, None) / 1.5)
    femur_band, tibia_band = (
        strength * amount * np.exp(-np.clip(contour, 0, None) / (1.0 + 3.0 * amount))
        for contour, strength in ((femur, 0.11), (tibia, 0.18))
    )
    return np.clip(bones[0], 0, 1) * femur_band + np.clip(bones[1], 0, 1) * (plate + tibia_band)


def soft_tissue(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the leg as a cylinder that is wider above the joint than below it. The air has 0.

    Args:
        x: The place of every pixel across the leg, in mm from the middle of the joint.
        y: The place of every pixel along the leg, in mm from the joint line.
        rng: Draws the width and the density.
    """
    lateral, medial = rng.uniform(47, 59), rng.uniform(47, 59)
    taper = 1 - 0.0016 * np.clip(y, -100, 100)
    across = x / (np.where(x < 0, np.float32(lateral), np.float32(medial)) * taper)
    return rng.uniform(0.42, 0.56) * np.sqrt(np.clip(1 - across**2, 0, None))
