"""A drawn knee and its shadow on a film.

Anatomy is drawn in millimetres, origin on the middle of the joint line, x growing towards the patient's
medial side and y downwards; the film's pixels are looked up in it. The Kellgren-Lawrence grade changes joint
space, osteophytes and subchondral sclerosis alone; build, pose, texture, exposure and noise come from the seed.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..grades import NUM_GRADES
from .letterbox import Box

CROP_MM = 92.0
"""Width of tissue that a one-knee film shows, and the side of a joint's box."""
# Severity per grade 0..4, each on 0..1; a film's own severity lies around it and reaches into its neighbours'.
NARROWING = (0.0, 0.15, 0.42, 0.76, 1.0)
OSTEOPHYTES = (0.0, 0.15, 0.45, 0.75, 1.0)
SCLEROSIS = (0.0, 0.06, 0.28, 0.65, 1.0)
SEVERITY_SPREAD = 0.4
"""Standard deviation, in grades, of each feature's severity."""

# Outlines in millimetres. Contours give y over x; edges give x over y, at the lateral and at the medial side.
FEMUR_CONTOUR = (
    (-43, -40, -36, -31, -24, -17, -11, -5, 0, 5, 11, 17, 24, 32, 37, 41, 44),
    (-14, -7, -2.2, 0.0, 0.4, -2.0, -5.8, -8.8, -9.9, -9.0, -6.2, -2.2, 0.4, 0.0, -2.2, -7, -14),
)
TIBIA_CONTOUR = (
    (-40, -36, -30, -22, -16, -11, -8, -5, 0, 4, 7, 10, 15, 22, 30, 36, 40),
    (1.4, 0.5, 0.2, 0.2, -0.9, -4.0, -5.9, -5.7, -4.4, -5.8, -7.0, -5.6, -0.9, 1.0, 1.0, 0.2, 1.0),
)
FEMUR_EDGES = (
    (-140, -80, -60, -50, -42, -35, -29, -22, -14, -6, 2),
    (-17, -21, -28, -33, -38, -40.5, -40, -37.5, -38.5, -39, -38),
    (18, 22, 30, 36, 41, 42.5, 41.5, 39.5, 40.5, 40.5, 39),
)
TIBIA_EDGES = (
    (-4, 2, 6, 12, 20, 30, 45, 70, 140),
    (-38.5, -39, -39, -38, -34.5, -29.5, -23, -17, -13),
    (39, 40, 40, 39, 36, 31.5, 25, 18, 14),
)
FIBULA_EDGES = (
    (10, 14, 18, 24, 32, 44, 140),
    (-36, -41, -44.5, -45, -43, -40, -38),
    (-35, -31, -28, -26, -27, -29, -29),
)


@dataclass(frozen=True)
class Disease:
    """What the grade changes. Narrowing and sclerosis per compartment (lateral, medial), osteophytes 0..1,
    `lips`: lengths of the four marginal lips in mm (femur lateral and medial, tibia lateral and medial)."""

    narrowing: tuple[float, float]
    sclerosis: tuple[float, float]
    spines: float
    lips: tuple[float, float, float, float]


def _disease(grade: int, rng: np.random.Generator) -> Disease:
    """Each feature varies by itself around the grade. The same draws are made for every grade."""
    levels = np.arange(NUM_GRADES)
    own = grade + SEVERITY_SPREAD * rng.standard_normal(3).clip(-2, 2)
    narrowing, osteophytes, sclerosis = (
        float(np.interp(level, levels, table))
        for level, table in zip(own, (NARROWING, OSTEOPHYTES, SCLEROSIS), strict=True)
    )
    minor = rng.uniform(0.05, 0.35)
    lateral_first = rng.random() < 0.15
    shares = (1.0, minor) if lateral_first else (minor, 1.0)
    lengths = osteophytes * rng.uniform((1.5, 2.0, 2.0, 3.0), (3.5, 5.0, 4.5, 6.5))
    return Disease(
        (narrowing * shares[0], narrowing * shares[1]),
        (sclerosis * shares[0], sclerosis * shares[1]),
        osteophytes * rng.uniform(0.5, 1.0),
        tuple(lengths.tolist()),
    )


def attenuation(grade: int, seed: int, side: str, height: int, width: int, field_mm: float) -> tuple[np.ndarray, Box]:
    """Attenuation [height,width] float32 (air 0, bone about 1) of one leg, and its joint's box."""
    # One stream each, so that the grade, the size or the side leaves all that it does not concern as it was.
    which = ("right", "left").index(side)
    build, pose, texture = (np.random.default_rng([seed, *key]) for key in ((1,), (2, which), (3, which)))
    disease = _disease(grade, np.random.default_rng([seed, 4, which]))
    scale = width / field_mm
    x, y, box = _grid(pose, side, height, width, scale)
    size = build.uniform(0.94, 1.05)
    x, y = x / size, y / size

    femur_contour, tibia_contour = _joint_line(x, y, disease, build)
    femur = _rounded(femur_contour, *_sides(x, y, FEMUR_EDGES, disease.lips[:2], -5.5, build.uniform(-1, 8)))
    tibia = _rounded(tibia_contour, *_sides(x, y, TIBIA_EDGES, disease.lips[2:], 4.5, build.uniform(-1, 8)))
    fibula = _rounded(
        y - build.uniform(12, 19) - 0.03 * np.square(x + 36), *_sides(x, y, FIBULA_EDGES, (0.0, 0.0), 0.0, 0.0)
    )

    mottle = 1 + 0.35 * _field(texture, height, width, ((1.0, 4 * scale, 4 * scale),))
    grain = _trabeculae(texture, height, width, scale) * build.uniform(0.004, 0.016)
    edge = build.uniform(0.05, 0.11)
    bone = _bone(femur, edge * mottle, grain) + _bone(tibia, edge * mottle, grain)
    bone += 0.5 * _bone(fibula, edge * mottle, grain)
    marks = _landmarks(x, y, femur, tibia, tibia_contour, build, mottle)
    marks += _sclerosis(x, femur_contour, tibia_contour, femur, tibia, disease, build)
    leg = _soft_tissue(x, y, build) * (0.97 + 0.03 * mottle)
    return (leg + bone + marks).astype(np.float32), box


def _grid(
    rng: np.random.Generator, side: str, height: int, width: int, scale: float
) -> tuple[np.ndarray, np.ndarray, Box]:
    """Anatomical x and y (mm) of each pixel after the leg's own turn and shift, and the box round the joint."""
    turn = math.radians(rng.uniform(-4, 4))
    centre_x = width / 2 + scale * rng.uniform(-2.5, 2.5)
    centre_y = height * 0.56 + scale * rng.uniform(-3, 3) * min(1.0, height / width)
    columns = ((np.arange(width) + 0.5 - centre_x) / scale).astype(np.float32)
    rows = ((np.arange(height) + 0.5 - centre_y) / scale).astype(np.float32)
    x = columns * math.cos(turn) + rows[:, None] * math.sin(turn)
    y = rows[:, None] * math.cos(turn) - columns * math.sin(turn)
    half = CROP_MM / 2 * scale
    box = (
        max(0, round(centre_x - half)),
        max(0, round(centre_y - half)),
        min(width, round(centre_x + half)),
        min(height, round(centre_y + half)),
    )
    return (x if side == "right" else -x), y, box


def _joint_line(x: np.ndarray, y: np.ndarray, disease: Disease, rng: np.random.Generator) -> list[np.ndarray]:
    """Depth in mm from the joint's surfaces into the femur and into the tibia."""
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
    # The distance along y becomes the one along the contour's normal.
    return [
        sign * (y - _lookup(x, across, line)) * _lookup(x, across, 1 / np.hypot(1, np.gradient(line, across)))
        for sign, line in ((-1, femur), (1, tibia))
    ]


def _lookup(at: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.interp(at, places, values).astype(np.float32)


def _outline(
    at: np.ndarray, points: tuple[tuple[float, ...], tuple[float, ...]], rng: np.random.Generator
) -> np.ndarray:
    """A smooth line through jittered points, at evenly spaced places of 0.25 mm."""
    values = np.asarray(points[1]) + rng.normal(0, 0.35, len(points[1]))
    return _smooth(np.interp(at, points[0], values), 6)


def _smooth(line: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(4 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(line, reach, mode="edge"), taps / taps.sum(), mode="valid")


def _sides(
    x: np.ndarray,
    y: np.ndarray,
    edges: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]],
    lips: tuple[float, ...],
    lip_at: float,
    stout: float,
) -> list[np.ndarray]:
    """Depth in mm from a bone's lateral and from its medial edge. `lips` stand out at y = lip_at; away
    from the joint the bone is wider by `stout` on both sides."""
    along = np.linspace(-140, 140, 1121)
    lip = np.exp(-0.5 * ((along - lip_at) / 1.7) ** 2)
    wider = stout * np.clip((np.abs(along) - 8) / 30, 0, 1)
    lateral = _smooth(np.interp(along, edges[0], edges[1]) - wider, 8) - lips[0] * lip
    medial = _smooth(np.interp(along, edges[0], edges[2]) + wider, 8) + lips[1] * lip
    return [x - _lookup(y, along, lateral), _lookup(y, along, medial) - x]


def _rounded(*depths: np.ndarray) -> np.ndarray:
    """Smooth minimum of depths in mm: the depth inside all of them, with corners rounded."""
    return -np.log(sum(np.exp(-np.clip(depth, -25, 60)) for depth in depths))


def _bone(depth: np.ndarray, edge: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """A bone's attenuation: rises with depth into it, a bright cortex along its edge, trabeculae inside."""
    inside = np.clip(depth, 0, None)
    body = 0.115 * -np.expm1(-inside / 0.9) + 0.085 * -np.expm1(-inside / 9)
    return body + edge * _line(depth - 0.7, 0.55) + grain * np.clip(depth / 1.5, 0, 1)


def _trabeculae(rng: np.random.Generator, height: int, width: int, scale: float) -> np.ndarray:
    """Texture of deviation 1: mostly along the leg, at several scales."""
    layers = ((1.0, 0.9, 0.25), (0.8, 0.3, 0.3), (0.35, 3.0, 0.6), (0.25, 2.0, 2.0))
    return _field(rng, height, width, tuple((share, long * scale, thin * scale) for share, long, thin in layers))


def _field(
    rng: np.random.Generator, height: int, width: int, layers: tuple[tuple[float, float, float], ...]
) -> np.ndarray:
    """Smooth noise [height,width] float32 of mean 0 and deviation 1; layers of (deviation, sigma_y, sigma_x) in px."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), np.float32))
    down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    shape = 0.0
    for share, sigma_y, sigma_x in layers:
        rows, columns = (np.exp(-2 * (np.pi * s * f) ** 2) for s, f in ((sigma_y, down), (sigma_x, across)))
        # White noise of deviation 1 keeps this share of its power after the blur.
        kept = math.sqrt((rows**2).mean() * (columns**2).mean())
        shape = shape + (share / kept * rows[:, None] * columns).astype(np.float32)
    spectrum *= shape
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width))
    return (noise / noise.std()).astype(np.float32)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, sigma in pixels; beyond its border the image goes on as it ends."""
    reach = max(1, math.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.2)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if axis == other else (0, 0) for other in (0, 1)]
        padded, length = np.pad(image, padding, mode="edge"), image.shape[axis]
        parts = (padded[at : at + length] if axis == 0 else padded[:, at : at + length] for at in range(len(taps)))
        image = np.sum([tap * part for tap, part in zip(taps, parts, strict=True)], axis=0)
    return image


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-np.square(distance / width))


def _landmarks(
    x: np.ndarray,
    y: np.ndarray,
    femur: np.ndarray,
    tibia: np.ndarray,
    plateau: np.ndarray,
    rng: np.random.Generator,
    mottle: np.ndarray,
) -> np.ndarray:
    """Shadows that lie over the bones whatever the grade: patella, notch, growth scars, the plateau's far rim."""
    in_femur, in_tibia = (np.clip(depth / 2, 0, 1) for depth in (femur, tibia))
    # Patella: a rounded square over the femur, a little to the lateral side.
    across, up = x - rng.uniform(-7, 1), y + rng.uniform(35, 44)
    size = rng.uniform(17, 21)
    patella = size - np.hypot(across, 1.05 * up)
    marks = rng.uniform(0.02, 0.08) * np.clip(patella / 4, 0, 1) + 0.02 * _line(patella - 0.8, 0.8) * mottle
    # Intercondylar notch: thinner bone between two bright walls.
    notch = 9.5 - np.abs(x) - 0.02 * (y + 15) ** 2
    reach = np.clip((y + rng.uniform(30, 36)) / 6, 0, 1) * np.clip(-y / 4, 0, 1)
    wall = _line(notch, 0.7) * mottle
    marks += in_femur * reach * (rng.uniform(0.01, 0.045) * wall - 0.02 * np.clip(notch / 3, 0, 1))
    # Growth scars: faint uneven lines across both bones.
    for inside, level, curve in ((in_femur, rng.uniform(-36, -29), -0.004), (in_tibia, rng.uniform(13, 19), 0.003)):
        bend = level + curve * x**2 + 0.8 * np.sin(x / rng.uniform(4, 7))
        marks += inside * rng.uniform(0.005, 0.03) * _line(y - bend, 0.7) * np.clip(mottle - 0.6, 0, 1) * 2
    # Far rim of the plateau under its near one, and the thinner spines.
    rim = rng.uniform(2.0, 3.6) + 0.0012 * x**2
    marks += (
        in_tibia * rng.uniform(0.02, 0.07) * _line(plateau - rim, 0.6) * mottle * np.clip((np.abs(x) - 9) / 6, 0, 1)
    )
    return marks - 0.07 * in_tibia * np.clip((2 - y) / 8, 0, 1)


def _sclerosis(
    x: np.ndarray,
    femur_contour: np.ndarray,
    tibia_contour: np.ndarray,
    femur: np.ndarray,
    tibia: np.ndarray,
    disease: Disease,
    rng: np.random.Generator,
) -> np.ndarray:
    """Bright bands under the joint's surfaces: the plate that every knee has, and what the disease adds."""
    medial = 1 / (1 + np.exp(-x / 3))
    # Within a compartment, clear of the spines.
    weight = np.clip((np.abs(x) - 8) / 8, 0, 1)
    amount = weight * ((1 - medial) * disease.sclerosis[0] + medial * disease.sclerosis[1])
    plate = rng.uniform(0.05, 0.12) * weight * np.exp(-np.clip(tibia_contour, 0, None) / 1.5)
    bands = []
    for contour, strength in ((femur_contour, 0.11), (tibia_contour, 0.18)):
        bands.append(strength * amount * np.exp(-np.clip(contour, 0, None) / (1.0 + 3.0 * amount)))
    return np.clip(femur, 0, 1) * bands[0] + np.clip(tibia, 0, 1) * (plate + bands[1])


def _soft_tissue(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Attenuation of the leg as a cylinder, wider above the joint than below it; 0 in the air."""
    lateral, medial = rng.uniform(47, 59), rng.uniform(47, 59)
    taper = 1 - 0.0016 * np.clip(y, -100, 100)
    across = x / (np.where(x < 0, np.float32(lateral), np.float32(medial)) * taper)
    return rng.uniform(0.42, 0.56) * np.sqrt(np.clip(1 - across**2, 0, None))


def exposed(shadow: np.ndarray, seed: int, scale: float, bits: int) -> np.ndarray:
    """From attenuation to a film: beam, blur, processing, characteristic curve, quantum noise, bits."""
    rng = np.random.default_rng([seed, 5])
    height, width = shadow.shape
    # The heel effect and a beam that is off centre: a gradient across the film.
    across, down = rng.normal(0, 0.05, 2)
    beam = 1 + across * np.linspace(-1, 1, width) + down * np.linspace(-1, 1, height)[:, None]
    spot = rng.uniform(0.10, 0.35) * scale
    image = _blur((shadow * beam).astype(np.float32), spot)
    image += rng.uniform(0.0, 1.2) * (image - _blur(image, 2.0 * scale))
    # Hurter and Driffield: a film answers the logarithm of its exposure with an S.
    curve = 1 / (1 + np.exp(-rng.uniform(3.5, 9.0) * (image - rng.uniform(0.25, 0.60))))
    image = rng.uniform(0.0, 0.15) + rng.uniform(0.65, 0.95) * curve ** rng.uniform(0.7, 1.3)
    # Quanta: the deviation goes with the root of the signal. The detector blurs them a little.
    noise = _blur(rng.standard_normal((height, width), np.float32), 0.45)
    image += rng.uniform(0.006, 0.02) * np.sqrt(np.clip(image, 0.02, 1)) * noise
    white = 2**bits - 1
    return np.rint(np.clip(image, 0, 1) * white).astype(np.uint8 if bits == 8 else np.uint16)
