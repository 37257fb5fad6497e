"""Simulated knee replacements lie on films of knees: bright metal in place of one or both condyles, and a tray below.

A replaced joint has no Kellgren-Lawrence grade, so a gate learns to refuse it. No film of an implant was drawn from;
the shapes follow the common parts: a femoral component whose lower edge is round, a tibial tray with a stem or a keel,
and a gap between them, since polyethylene hardly shows.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ..data.variation import gray_bytes

WIDTH = 0.46, 0.72
"""The tibial plateau has at least the first and at most the second of these widths, over the width of a film that a
knee fills."""
ONE_SIDE = 0.5
"""One compartment alone is replaced on half of the films."""
FINER = 3
"""Shapes are drawn three times as large as the film and shrunk, so that their edges are smooth."""

Point = tuple[float, float]


def implanted(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a film [H,W] float32 of a knee with metal in the place of its joint, in grays 0 to 255."""
    film, (height, width) = gray_bytes(film).astype(np.float32), film.shape
    plateau = rng.uniform(*WIDTH) * width
    layer = Image.new("L", (FINER * width, FINER * height))
    middle = (width / 2 + rng.normal(0, 0.03) * width, height / 2 + rng.normal(0, 0.03) * height)
    joint = _Joint(ImageDraw.Draw(layer), middle, plateau, np.radians(rng.normal(0, 4)))
    if rng.random() < ONE_SIDE:
        side = rng.choice((-1, 1))
        _condyle(joint, side * rng.uniform(0.22, 0.32), rng.uniform(0.22, 0.38), rng)
        _tray(joint, side * rng.uniform(0.2, 0.3), rng.uniform(0.28, 0.42), rng.uniform(0.08, 0.2), rng)
    else:
        for side in (-1, 1):
            _condyle(joint, side * rng.uniform(0.2, 0.28), rng.uniform(0.4, 0.56), rng)
        _shield(joint, rng)
        _tray(joint, rng.normal(0, 0.02), rng.uniform(0.75, 1.0), rng.uniform(0.15, 0.7), rng)
    cover = np.asarray(layer.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    cover = gaussian_filter(cover, rng.uniform(0, 0.006) * plateau) * rng.uniform(0.75, 1.0)
    metal = float(np.percentile(film, 99)) * rng.uniform(0.9, 1.3)
    metal = metal + rng.choice((0.0, 4.0)) * rng.standard_normal(film.shape)
    # A console that sets its window by the metal leaves the bone darker.
    darker = rng.uniform(0.45, 1.0)
    return np.clip(darker * film * (1 - cover) + metal * cover, 0, 255).astype(np.float32)


class _Joint:
    """A joint draws in plateau widths from the middle of the joint line, turned with the knee."""

    def __init__(self, draw: ImageDraw.ImageDraw, middle: Point, plateau: float, turn: float):
        self._draw, self._middle, self._plateau, self._turn = draw, middle, plateau, turn

    def polygon(self, points: list[Point], fill: int = 255) -> None:
        """Fill a polygon."""
        cos, sin, (x, y) = np.cos(self._turn), np.sin(self._turn), self._middle
        corners = [
            (x + self._plateau * (cos * right - sin * down), y + self._plateau * (sin * right + cos * down))
            for right, down in points
        ]
        self._draw.polygon([(FINER * right, FINER * down) for right, down in corners], fill=fill)


def _condyle(joint: _Joint, x: float, width: float, rng: np.random.Generator) -> None:
    """Draw a femoral component: round below, with a flat, slanted or round upper edge."""
    bottom, tall = rng.uniform(-0.06, 0.03), rng.uniform(0.25, 0.6)
    angles = np.linspace(0, np.pi, 24)
    deep = rng.uniform(0.35, 0.7) * width
    lower = [(x + width / 2 * np.cos(a), bottom - deep + deep * np.sin(a) ** rng.choice((0.7, 1.0))) for a in angles]
    slant = rng.uniform(-0.12, 0.12)
    narrow = rng.uniform(0.5, 1.0)
    upper = [(x - narrow * width / 2, bottom - tall + slant), (x + narrow * width / 2, bottom - tall - slant)]
    joint.polygon([*lower, *upper])
    if rng.random() < 0.4:  # a peg that fixes it
        peg, long = rng.uniform(0.03, 0.07), rng.uniform(0.1, 0.3)
        left = x + rng.uniform(-0.3, 0.3) * width
        top = bottom - tall - long
        joint.polygon([(left, top), (left + peg, top), (left + peg, bottom - tall + 0.1), (left, bottom - tall + 0.1)])


def _shield(joint: _Joint, rng: np.random.Generator) -> None:
    """Draw the part between both condyles, in front of the femur."""
    half, top = rng.uniform(0.22, 0.4), -rng.uniform(0.4, 0.7)
    notch = rng.uniform(-0.3, -0.12)
    joint.polygon([(-half, top), (half, top), (half + 0.06, notch), (-half - 0.06, notch)], int(rng.integers(200, 256)))


def _tray(joint: _Joint, x: float, width: float, long: float, rng: np.random.Generator) -> None:
    """Draw a tibial tray with a stem or a keel, below the gap."""
    top = rng.uniform(0.03, 0.16)
    thick = rng.uniform(0.03, 0.09)
    left, right, below = x - width / 2, x + width / 2, top + thick
    joint.polygon([(left, top), (right, top), (right, below), (left, below)])
    wide = rng.uniform(0.04, 0.14)
    ends = rng.uniform(0.3, 1.0) * wide
    joint.polygon([(x - wide, below), (x + wide, below), (x + ends / 2, top + long), (x - ends / 2, top + long)])
    if rng.random() < 0.5:  # cement about it, less bright
        ragged = [(x + width / 2 * t, below + rng.uniform(0.02, 0.16)) for t in np.linspace(1, -1, 9)]
        joint.polygon([(left, below), (right, below), *ragged], int(rng.integers(120, 220)))
