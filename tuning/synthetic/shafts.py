"""A whole leg surrounds the film of one knee: the shafts and the soft tissue that the crop left out.

There are two kinds that share no profile and no texture, so that a locator trained on one can be tested on the other:
"tubes" draws the shafts as hollow cylinders, "texture" continues the crop's own rows and grain outwards.
"""

import math

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

KINDS = ("tubes", "texture")
BLUR_REACH = 2.5
"""The blur of the soft tissue beside the joint has this radius, in its standard deviations."""
SMEARED = 0.06
"""The outermost pixels of the crop fade into the soft tissue drawn beside it over this fraction of the crop's side."""


def leg(
    crop: np.ndarray, side: int, margins: tuple[int, int, int, int], kind: str, rng: np.random.Generator
) -> np.ndarray:
    """Return a leg around a joint: [top + side + bottom, left + side + right] float32, about 0..1, air 0.

    Args:
        crop: [n,n] float32, 0..1, bright bone, upright: the joint.
        side: Pixels per side of the crop in the leg.
        margins: Pixels to the left of it, above, to the right and below.
        kind: One of KINDS.
        rng: Random generator of the draws.
    """
    left, top, right, bottom = margins
    joint = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))
    band = _beside(joint, left, right, rng)
    across = (np.arange(band.shape[1]) + 0.5 - left) / side - 0.5
    grow = _tube if kind == "tubes" else _carried
    above = grow(band[: side // 5], across, top, side, rng, thigh=True)[::-1]
    below = grow(band[::-1][: side // 5], across, bottom, side, rng, thigh=False)
    return np.concatenate([above, band, below]).astype(np.float32)


def grain(rng: np.random.Generator, height: int, width: int, down: float, across: float) -> np.ndarray:
    """Return smooth noise [height,width] of standard deviation about 1.

    Args:
        rng: Draws the noise.
        height: Height in pixels.
        width: Width in pixels.
        down: The height of one speck, in pixels.
        across: The width of one speck, in pixels.
    """
    rows, columns = max(2, math.ceil(height / down)), max(2, math.ceil(width / across))
    specks = Image.fromarray(rng.standard_normal((rows, columns), np.float32))
    return np.asarray(specks.resize((width, height), Image.Resampling.BICUBIC))


def _beside(joint: np.ndarray, left: int, right: int, rng: np.random.Generator) -> np.ndarray:
    """Return the joint's rows with soft tissue on both sides that ends at the skin."""
    side = len(joint)
    parts = [joint]
    for margin, edge, name in (
        (left, joint[:, : max(2, side // 50)].mean(1), "left"),
        (right, joint[:, -max(2, side // 50) :].mean(1), "right"),
    ):
        away = (np.arange(margin, dtype=np.float32) + 0.5) / side
        reach = rng.uniform(0.1, 0.65) + 0.03 * grain(rng, side, 1, side / 2, 1)
        skin = np.minimum(edge, np.quantile(edge, 0.35)).astype(np.float64)
        tissue = gaussian_filter1d(skin, side / 12, mode="nearest", radius=max(1, round(BLUR_REACH * side / 12)))
        fade = np.clip(away / SMEARED, 0, 1)
        rows = edge[:, None] * (1 - fade) + tissue[:, None] * fade
        rows = rows * _round(away / np.clip(reach, 0.05, None))
        parts = [rows[:, ::-1], *parts] if name == "left" else [*parts, rows]
    return np.concatenate(parts, axis=1)


def _tube(
    band: np.ndarray, across: np.ndarray, rows: int, side: int, rng: np.random.Generator, thigh: bool
) -> np.ndarray:
    """Return rows away from the joint: the band's first rows narrow to the shaft, a hollow cylinder in tissue.

    Args:
        band: The crop's rows next to these.
        across: Distance of each column from the joint's centre, in sides of the joint.
        rows: Rows to draw.
        side: Pixels per side of the joint.
        rng: Random generator of the draws.
        thigh: Whether the rows are above the joint.
    """
    away = (np.arange(rows) / side)[:, None]
    profile = band[: max(1, len(band) // 6)].mean(0)
    axis = _axis(profile, across)
    outer, narrow = rng.uniform(0.15, 0.21), rng.uniform(0.25, 0.5)
    shrink = 1 - (1 - 2.2 * outer) * _eased(away / narrow)
    shift = rng.normal(0, 0.03) * away
    x = across - axis - shift
    sources = _squeezed(x, shrink, 0.42)
    carried = np.interp(sources + axis, across, profile)
    level, limb = (
        _level(profile, across),
        _width(profile, across) * (1 + rng.uniform(0.05, 0.45) * _eased(away) * (1 if thigh else -0.5)),
    )
    soft = level * rng.uniform(0.85, 1.05) * _round(np.abs(x) / limb)
    bone = _hollow(x, outer) * rng.uniform(0.35, 0.6)
    if not thigh:
        bone = bone + 0.35 * _hollow(x - rng.choice((-1, 1)) * rng.uniform(0.28, 0.36), outer * 0.4)
    drawn = soft + bone
    turned = rng.uniform(0.75, 0.95) * _eased(away / (1.6 * narrow))
    values = carried * (1 - turned) + drawn * turned
    speckled = 1 + rng.uniform(0.01, 0.04) * grain(rng, rows, len(across), side / 10, side / 50) if rows else 1
    return _joined(values * (1 + (speckled - 1) * np.clip(away / 0.05, 0, 1)), band[0], away)


def _carried(
    band: np.ndarray, across: np.ndarray, rows: int, side: int, rng: np.random.Generator, thigh: bool
) -> np.ndarray:
    """Return rows away from the joint: the band's mean row, tapering along a bowed axis, with the band's grain.

    The arguments are those of `_tube`; the grain runs back and forth over the rows.
    """
    away = (np.arange(rows) / side)[:, None]
    profile = band.mean(0)
    axis = _axis(profile, across)
    taper = 1 - rng.uniform(0.35, 0.6) * np.clip(away / rng.uniform(0.35, 0.8), 0, 1) ** rng.uniform(0.8, 1.3)
    bow = rng.normal(0, 0.02) * away**2 / (1 + away)
    x = across - axis - bow
    bulge = 1 + rng.uniform(0.1, 0.35) * np.sin(np.clip(away / rng.uniform(2.0, 3.5), 0, 1) * math.pi) * (
        1 if thigh else 0.7
    )
    sources = _squeezed(x / bulge, taper, 0.38) + axis
    values = np.interp(sources, across, profile)
    residue = band - profile
    fold = np.abs((np.arange(rows) + len(band)) % (2 * len(band)) - len(band)) if rows else np.zeros(0, int)
    columns = np.clip(np.searchsorted(across, sources), 0, len(across) - 1)
    # Further out, the repetition of the rows would show, so other specks take their place.
    kept = rng.uniform(0.4, 0.8) * (1 - 0.9 * _eased(away / 0.5))
    values = values + kept * residue[np.clip(fold, 0, len(band) - 1)[:, None], columns]
    if rows:
        values = values * (
            1 + rng.uniform(0.02, 0.06) * _eased(away / 0.3) * grain(rng, rows, len(across), side / 4, side / 30)
        )
    edge = np.abs(np.abs(x) - 0.36 * taper)
    values = values + rng.uniform(0.05, 0.2) * np.exp(-((edge / rng.uniform(0.015, 0.035)) ** 2)) * _eased(away / 0.5)
    return _joined(values * (1 - rng.uniform(0, 0.1) * np.clip(away / 3, 0, 1)), band[0], away)


def _joined(values: np.ndarray, first: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Fade the rows in from the crop's own outermost row, so that no seam shows."""
    fade = _eased(away / 0.07)
    return first * (1 - fade) + values * fade


def _squeezed(x: np.ndarray, shrink: np.ndarray, bone: float) -> np.ndarray:
    """Return where a row's columns come from in the profile when the bone within `bone` of the axis shrinks."""
    inside = x / shrink
    beyond = np.sign(x) * (bone + (np.abs(x) - bone * shrink) * (1.0 / (1 + (1 - shrink) * bone)))
    return np.where(np.abs(inside) <= bone, inside, beyond)


def _axis(profile: np.ndarray, across: np.ndarray) -> float:
    """Return the centre of the bright part within the crop's own width."""
    within = np.abs(across) <= 0.5
    weight = np.clip(profile - np.quantile(profile[within], 0.3), 0, None) * within
    return float(np.clip((weight * across).sum() / max(weight.sum(), 1e-6), -0.12, 0.12))


def _level(profile: np.ndarray, across: np.ndarray) -> float:
    """Return the gray of soft tissue: that of the profile at the ends of the crop's width."""
    return float(np.clip(np.median(profile[(np.abs(across) > 0.42) & (np.abs(across) < 0.55)]), 0.12, 0.6))


def _width(profile: np.ndarray, across: np.ndarray) -> float:
    """Return half of the leg's width, to where the profile falls to air."""
    lit = np.abs(across[profile > 0.06])
    return float(np.clip(np.quantile(lit, 0.97) if len(lit) else 0.6, 0.45, 1.0))


def _hollow(x: np.ndarray, outer: float) -> np.ndarray:
    """Return the bone that a ray crosses in a hollow cylinder of radius `outer`, 0..1: most along its edges."""
    inner = 0.6 * outer
    thick = np.sqrt(np.clip(outer**2 - x**2, 0, None)) - 0.75 * np.sqrt(np.clip(inner**2 - x**2, 0, None))
    return thick / math.sqrt(outer**2 - inner**2)


def _round(radius: np.ndarray) -> np.ndarray:
    """Return a solid cylinder's thickness at a distance from its axis in radii, flatter in the centre."""
    return np.clip(1 - np.clip(radius, 0, 1) ** 3, 0, None) ** 0.7


def _eased(values: np.ndarray) -> np.ndarray:
    """Return values clipped to 0..1, with a smooth start and end."""
    clipped = np.clip(values, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)
