"""A gate learns what is not a frontal knee from these simulated radiographs of other parts of the body.

They never serve to judge a grade. A part consists of bones and soft tissue, each a chain of round rods in units of half
the picture's side, with the origin in the centre and y downwards. A rod attenuates as a cylinder does: by the length of
the ray in it, minus its marrow.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

Rod = tuple[float, float, float, float, float, float]
"""A rod has two ends and two radii: x0, y0, r0, x1, y1, r1."""
Part = tuple[list[Rod], list[Rod], list[Rod]]
"""A part has bones, soft tissue, and what is darker than the tissue around it, such as a lung."""
MARROW, MARROW_LOSS = 0.72, 0.75
"""The marrow has this radius, as a fraction of the bone's, and attenuates less than compact bone by this fraction."""
SIDE = 160
"""A picture has 160 pixels per side."""


def body_part(name: str, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Return [side,side] float32, 0 to 1, bright bone: a part of the body, built, placed and exposed at random.

    Args:
        name: One of PARTS.
        rng: Draws the part, its place and its exposure.
        side: Side in pixels.
    """
    bones, tissue, dark = PARTS[name](rng)
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    x, y = _placed(*np.meshgrid(axis, axis), rng)
    depth = rng.uniform(0.5, 1.1) * _solid(x, y, tissue) - rng.uniform(0.3, 0.6) * _solid(x, y, dark)
    for rod in bones:
        depth = depth + rng.uniform(1.2, 2.2) * _bone(x, y, rod)
    depth *= 1 + 0.15 * gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), side / 20) * (side / 20)
    grain = gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), rng.uniform(0.3, 1.2))
    film = 1 - np.exp(-rng.uniform(0.8, 2.5) * np.maximum(depth, 0)) + rng.uniform(0.0, 0.04) * grain
    return _unit(gaussian_filter(film, rng.uniform(0.3, 1.0))) ** rng.uniform(0.6, 1.6)


def _placed(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    turn, scale = np.radians(rng.normal(0, 12)), rng.uniform(0.75, 1.3)
    shift = rng.uniform(-0.15, 0.15, 2)
    if rng.random() < 0.5:
        x = -x
    x, y = (x - shift[0]) * scale, (y - shift[1]) * scale
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _axis_distance(x: np.ndarray, y: np.ndarray, rod: Rod) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared distance of each point from the rod's axis, and the rod's radius there."""
    x0, y0, r0, x1, y1, r1 = rod
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    return (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2, r0 + along * (r1 - r0)


def _bone(x: np.ndarray, y: np.ndarray, rod: Rod) -> np.ndarray:
    away, radius = _axis_distance(x, y, rod)
    outer = np.sqrt(np.maximum(radius**2 - away, 0))
    return outer - MARROW_LOSS * np.sqrt(np.maximum((MARROW * radius) ** 2 - away, 0))


def _solid(x: np.ndarray, y: np.ndarray, rods: list[Rod]) -> np.ndarray:
    """Return the thickness of rods that merge: where several lie on one ray, the thickest counts."""
    thick = np.zeros_like(x)
    for rod in rods:
        away, radius = _axis_distance(x, y, rod)
        thick = np.maximum(thick, np.sqrt(np.maximum(radius**2 - away, 0)))
    return thick


def _unit(film: np.ndarray) -> np.ndarray:
    low, high = np.percentile(film, (0.2, 99.8))
    return np.clip((film - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def _chain(points: list[tuple[float, float]], radius: float, gap: float = 0.0) -> list[Rod]:
    """Return rods from point to point with a gap between them, thicker at their ends as long bones are."""
    rods: list[Rod] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        a, b = gap / 2, 1 - gap / 2
        start, end = (x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        rods += [(*start, radius, *middle, 0.7 * radius), (*middle, 0.7 * radius, *end, radius)]
    return rods


def _rays(
    rng: np.random.Generator, spread: float, length: float, radius: float, root: tuple[float, float]
) -> tuple[list[Rod], list[Rod]]:
    """Return bones and soft tissue of five rays of four bones, as in a hand or a foot."""
    bones, tissue = [], []
    for ray in range(5):
        angle = np.radians((ray - 2) * spread + rng.normal(0, 3) - (25 if ray == 0 else 0) * (spread > 8))
        reach = length * (1 - 0.07 * abs(ray - 2)) * (0.75 if ray == 0 else 1)
        ends = np.array([0.12, 0.5, 0.74, 0.9, 1.0]) * reach
        x0 = root[0] + (ray - 2) * 0.11
        points = [(x0 + r * np.sin(angle), root[1] - r * np.cos(angle)) for r in ends]
        bones += _chain(points, radius * rng.uniform(0.85, 1.15), 0.12)
        tissue.append((*points[0], 2.2 * radius, *points[-1], 1.7 * radius))
    return bones, tissue


def _blobs(
    rng: np.random.Generator, count: int, centre: tuple[float, float], spread: tuple[float, float], radius: float
) -> list[Rod]:
    places = rng.uniform(-1, 1, (count, 2)) * spread + centre
    return [
        (
            x,
            y,
            radius,
            x + rng.uniform(-radius, radius),
            y + rng.uniform(-radius, radius),
            radius * rng.uniform(0.7, 1.2),
        )
        for x, y in places
    ]


def _hand(rng: np.random.Generator) -> Part:
    bones, tissue = _rays(rng, rng.uniform(4, 14), rng.uniform(1.1, 1.4), 0.055, (0.0, 0.5))
    bones += _blobs(rng, 8, (0.0, 0.47), (0.2, 0.07), 0.06)
    bones += [(-0.12, 0.6, 0.11, -0.14, 1.4, 0.07), (0.13, 0.62, 0.07, 0.12, 1.4, 0.06)]
    return bones, [*tissue, (0, 0.1, 0.33, 0, 0.55, 0.24), (0, 0.6, 0.24, 0, 1.5, 0.26)], []


def _foot(rng: np.random.Generator) -> Part:
    bones, tissue = _rays(rng, rng.uniform(1, 6), rng.uniform(1.2, 1.5), 0.06, (0.0, 0.45))
    bones += [*_blobs(rng, 6, (0.0, 0.5), (0.22, 0.1), 0.09), (0.05, 0.7, 0.17, 0.0, 1.1, 0.2)]
    return bones, [*tissue, (0, 0.0, 0.35, 0, 0.9, 0.3)], []


def _chest(rng: np.random.Generator) -> Part:
    bones: list[Rod] = [(0, y, 0.085, 0, y + 0.05, 0.085) for y in np.arange(-1.1, 1.1, 0.16)]
    for sign in (-1, 1):
        for y in np.arange(-0.75, 0.75, rng.uniform(0.15, 0.2)):
            wide = rng.uniform(0.72, 0.8) * (1 - 0.35 * max(0.0, -0.4 - y))
            arc = [(sign * wide * np.sin(t), y - 0.2 * np.cos(t) + 0.3 * t / 3) for t in np.linspace(0.15, 2.6, 7)]
            bones += [(*a, 0.028, *b, 0.028) for a, b in pairwise(arc)]
        bones += [(sign * 0.08, -0.8, 0.04, sign * 0.8, -0.95, 0.05)]
    lungs: list[Rod] = [(sign * 0.38, -0.5, 0.26, sign * 0.42, 0.35, 0.34) for sign in (-1, 1)]
    return (
        bones,
        [(0, -0.6, 0.8, 0, 1.2, 0.9), (0.12, 0.25, 0.33, 0.2, 0.4, 0.3), (0, 0.9, 0.8, 0, 1.3, 0.9)],
        lungs + lungs,
    )


def _pelvis(rng: np.random.Generator) -> Part:
    bones: list[Rod] = [(0, -0.9 + 0.17 * n, 0.12, 0, -0.85 + 0.17 * n, 0.12) for n in range(5)]
    for sign in (-1, 1):
        wing = [
            (sign * x, y) for x, y in ((0.12, -0.1), (0.5, -0.55), (0.85, -0.4), (0.6, 0.05), (0.3, 0.15), (0.12, -0.1))
        ]
        ring = [(sign * x, y) for x, y in ((0.1, 0.3), (0.35, 0.15), (0.5, 0.35), (0.3, 0.6), (0.1, 0.3))]
        bones += [(*a, 0.07, *b, 0.07) for path in (wing, ring) for a, b in pairwise(path)]
        bones += [(sign * 0.58, 0.18, 0.15, sign * 0.6, 0.2, 0.15), (sign * 0.6, 0.2, 0.1, sign * 0.82, 0.32, 0.11)]
        bones += [(sign * 0.82, 0.32, 0.13, sign * rng.uniform(0.7, 0.8), 1.4, 0.1)]
    return (
        bones,
        [(0, -0.9, 0.85, 0, 0.6, 0.95), (-0.65, 0.5, 0.35, -0.6, 1.4, 0.33), (0.65, 0.5, 0.35, 0.6, 1.4, 0.33)],
        [],
    )


def _spine(rng: np.random.Generator) -> Part:
    half, height, bend = rng.uniform(0.16, 0.3), rng.uniform(0.22, 0.34), rng.uniform(-0.2, 0.2)
    bones: list[Rod] = []
    for y in np.arange(-1.3, 1.3, height):
        x = bend * y * y
        bones.append((x - half, y, 0.4 * height, x + half, y, 0.4 * height))
        bones += [(x, y, 0.05, x + sign * (half + 0.2), y + 0.03, 0.035) for sign in (-1, 1)]
    return bones, [(0, -1.4, rng.uniform(0.5, 0.9), 0, 1.4, rng.uniform(0.5, 0.9))], []


def _forearm(rng: np.random.Generator) -> Part:
    apart, bow = rng.uniform(0.1, 0.2), rng.uniform(0, 0.12)
    bones = _chain([(-apart, -1.5), (-apart - bow, 0.0), (-apart, 1.5)], rng.uniform(0.08, 0.13))
    bones += _chain([(apart, -1.5), (apart + bow / 2, 0.1), (apart, 1.5)], rng.uniform(0.06, 0.11))
    return bones, [(0, -1.5, rng.uniform(0.35, 0.5), 0, 1.5, rng.uniform(0.3, 0.45))], []


def _shaft(rng: np.random.Generator) -> Part:
    thick = rng.uniform(0.14, 0.3)
    bones: list[Rod] = [
        (rng.uniform(-0.1, 0.1), -1.5, thick, rng.uniform(-0.1, 0.1), 1.5, thick * rng.uniform(0.8, 1.2))
    ]
    if rng.random() < 0.5:
        bones.append((-0.45, -1.5, 0.07, -0.4, 1.5, 0.07))
    return bones, [(0, -1.5, rng.uniform(0.5, 0.8), 0, 1.5, rng.uniform(0.45, 0.8))], []


def _shoulder(rng: np.random.Generator) -> Part:
    bones: list[Rod] = [
        (0.25, -0.2, 0.24, 0.27, -0.15, 0.24),
        (0.3, -0.1, 0.2, rng.uniform(0.4, 0.6), 1.4, 0.12),
        (-1.2, -0.65, 0.07, 0.15, -0.6, 0.08),
    ]
    blade = [(0.0, -0.25), (-0.5, -0.5), (-0.6, 0.9), (0.0, 0.0)]
    bones += [(*a, 0.06, *b, 0.06) for a, b in pairwise(blade)]
    bones += [(-1.3, y, 0.03, -0.3, y + 0.3, 0.03) for y in np.arange(-0.4, 1.2, 0.22)]
    return (
        bones,
        [(0.25, -0.3, 0.45, 0.5, 1.4, 0.3), (-1.0, -0.2, 0.8, -0.9, 1.3, 0.8)],
        [(-1.0, 0.2, 0.4, -0.9, 1.0, 0.5)],
    )


def _lateral_knee(rng: np.random.Generator) -> Part:
    bend = np.radians(rng.uniform(10, 75))
    away = (1.6 * np.sin(bend), -1.6 * np.cos(bend))
    bones: list[Rod] = [
        (0, 0, 0.34, 0.03, 0.02, 0.33),
        (0, -0.05, 0.27, *away, 0.18),
        (0.02, 0.5, 0.3, 0.05, 0.7, 0.24),
        (0.05, 0.6, 0.22, 0.0, 1.6, 0.15),
    ]
    bones += [(-0.42, -0.28, 0.11, -0.45, -0.1, 0.1), (0.25, 0.65, 0.07, 0.25, 1.6, 0.06)]
    return bones, [(0.05, 0, 0.55, *away, 0.5), (0, 0.3, 0.5, 0.1, 1.6, 0.42)], []


def _elbow(rng: np.random.Generator) -> Part:
    bones: list[Rod] = [
        (0, -1.5, 0.13, 0, -0.35, 0.15),
        (-0.3, -0.08, 0.12, 0.28, -0.05, 0.15),
        (-0.3, -0.2, 0.07, 0, -0.4, 0.1),
    ]
    bones += [
        (-0.12, 0.1, 0.15, rng.uniform(-0.3, -0.1), 1.5, 0.09),
        (0.22, 0.2, 0.11, rng.uniform(0.1, 0.3), 1.5, 0.08),
        (-0.08, -0.3, 0.1, -0.1, 0.1, 0.13),
    ]
    return bones, [(0, -1.5, 0.45, 0, 0, 0.48), (0, 0, 0.48, 0, 1.5, 0.4)], []


def _ankle(rng: np.random.Generator) -> Part:
    bones: list[Rod] = [
        (0.05, -1.5, 0.15, 0.05, -0.2, 0.26),
        (-0.33, -1.5, 0.06, -0.36, 0.15, 0.1),
        (0.33, -0.1, 0.08, 0.34, 0.1, 0.07),
    ]
    bones += [(-0.12, 0.17, 0.18, 0.16, 0.17, 0.18), (0.0, 0.55, 0.22, rng.uniform(-0.1, 0.1), 0.95, 0.24)]
    return bones, [(0, -1.5, 0.45, 0, 0, 0.5), (0, 0.1, 0.48, 0, 1.2, 0.42)], []


def _skull(rng: np.random.Generator) -> Part:
    ring = [(0.72 * np.sin(t), -0.2 + 0.8 * -np.cos(t)) for t in np.linspace(0, 2 * np.pi, 25)]
    bones: list[Rod] = [(*a, 0.06, *b, 0.06) for a, b in pairwise(ring)]
    for sign in (-1, 1):
        eye = [(sign * 0.3 + 0.17 * np.sin(t), 0.05 + 0.15 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 9)]
        bones += [(*a, 0.04, *b, 0.04) for a, b in pairwise(eye)]
        bones += [(sign * 0.55, 0.3, 0.08, sign * 0.3, 0.85, 0.09)]
    bones += [(-0.3, 0.85, 0.09, 0.3, 0.85, 0.09), *_blobs(rng, 12, (0, 0.62), (0.25, 0.07), 0.05)]
    return bones, [(0, -0.2, 0.75, 0, 0.5, 0.6), (0, 0.8, 0.4, 0, 1.5, 0.5)], []


PARTS: dict[str, Callable[[np.random.Generator], Part]] = {
    "hand": _hand,
    "foot": _foot,
    "chest": _chest,
    "pelvis": _pelvis,
    "spine": _spine,
    "forearm": _forearm,
    "shaft": _shaft,
    "shoulder": _shoulder,
    "lateral knee": _lateral_knee,
    "elbow": _elbow,
    "ankle": _ankle,
    "skull": _skull,
}
"""Each function builds the part of its name."""
HELD_OUT_PARTS = ("elbow", "ankle", "skull")
"""A gate is measured on these parts but never trained on them."""
