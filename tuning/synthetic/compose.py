"""Whole-leg and bilateral films are composed from real films of one knee, with the true box of every joint.

The data hold only crops around the joint, and a locator must find joints in whole legs. Composed films show real
knees: they exist in memory, and a run keeps only their arrays, as a training keeps its letterboxed films.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kneeoa_hub.imaging.letterbox import Box

from . import shafts, surrounds

SHOWN = 0.45
"""A film shows a joint when it holds at least this fraction of its box's width and height."""
CUT_OFF = 0.2
"""Of a leg at its edge that does not count, a film shows at most this fraction of the joint's width."""
SKIN = 0.12
"""A leg hides the background completely from this gray on."""
LEAST_SIDE = 130
"""A film's shorter side has at least 130 pixels."""


@dataclass(frozen=True)
class Style:
    """A style says how films are composed.

    Attributes:
        shaft: One of shafts.KINDS.
        surround: One of surrounds.KINDS.
        side: Pixels of the side of a joint's box, least and most.
        longest: Pixels of a film's longer side at most.
    """

    shaft: str
    surround: str
    side: tuple[float, float]
    longest: int


TRAINING = Style("tubes", "plain", (40, 150), 320)
"""A locator is trained on films of this style."""
HELD_OUT = Style("texture", "odd", (120, 224), 1200)
"""A locator is measured on films of this style."""


@dataclass(frozen=True)
class Knee:
    """A knee is the film of one knee.

    Attributes:
        crop: [n,n] float32, 0..1, bright bone.
        side: The patient's side: "left", "right" or "".
    """

    crop: np.ndarray
    side: str = ""


@dataclass(frozen=True)
class ComposedFilm:
    """A composed film shows K joints, left to right in the picture.

    Attributes:
        pixels: [H,W] uint8 or uint16.
        joints: [K,3] float32: centre x, centre y and side of each joint's box in pixels; a box may extend beyond the
            film.
        knees: Which of the given knees each joint is.
    """

    pixels: np.ndarray
    joints: np.ndarray
    knees: tuple[int, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The box (left, top, right, bottom) of each joint, cut to the film."""
        return tuple(_clipped(joint, self.pixels.shape) for joint in self.joints)


def as_knee(pixels: np.ndarray, side: str = "") -> Knee:
    """Return the film of one knee as `compose` takes it: windowed, square about its centre, with bright bone.

    Args:
        pixels: [H,W].
        side: The patient's side: "left", "right" or "".
    """
    rows, columns = pixels.shape
    cut = min(rows, columns)
    top, left = (rows - cut) // 2, (columns - cut) // 2
    crop = pixels[top : top + cut, left : left + cut].astype(np.float32)
    low, high = np.percentile(crop, (0.5, 99.5))
    crop = np.clip((crop - low) / max(float(high - low), 1e-6), 0, 1)
    border = np.median(np.concatenate([crop[:, : cut // 16].ravel(), crop[:, -cut // 16 :].ravel()]))
    middle = np.median(crop[:, cut // 3 : 2 * cut // 3])
    return Knee(1 - crop if border > middle + 0.15 else crop, side)


def compose(knees: Sequence[Knee], style: Style, seed: int) -> ComposedFilm:
    """Return a film with up to four joints; the same arguments give the same film.

    Args:
        knees: The crops that the joints are drawn from.
        style: The range of sizes, shafts and surroundings.
        seed: Seed of everything that is drawn.
    """
    rng = np.random.default_rng([seed, shafts.KINDS.index(style.shaft)])
    places, (width, height), shown = _layout(rng)
    scale = min(rng.uniform(*style.side), style.longest / max(width, height))
    scale = max(scale, LEAST_SIDE / min(width, height))
    size = (round(height * scale), round(width * scale))
    picked = rng.choice(len(knees), len(places), replace=len(places) > len(knees)) if len(places) else np.zeros(0, int)
    film = np.zeros(size, np.float32)
    joints = []
    for number, ((x, y, leg_size), index) in enumerate(zip(places, picked, strict=True)):
        crop = _facing(knees[index], number, len(places), rng)
        joint = np.array([x * scale, y * scale, leg_size * scale], np.float32)
        film = np.maximum(film, _leg(crop, joint, size, style, rng, shown[number]) * rng.uniform(0.85, 1.0))
        joints.append(joint)
    there = [number for number, kept in enumerate(shown) if kept]
    truth = np.array([joints[number] for number in there], np.float32).reshape(-1, 3)
    film = _developed(film, truth, style, rng)
    return ComposedFilm(film, truth, tuple(int(picked[number]) for number in there))


def _layout(rng: np.random.Generator) -> tuple[list[tuple[float, float, float]], tuple[float, float], list[bool]]:
    """Return joints (x, y, side), width and height in units of a joint's side, and which joints count.

    A joint that does not count is cut by the film's edge, or only the shaft of its leg is shown.
    """
    kind = rng.choice(["strip", "knee", "long"], p=[0.2, 0.45, 0.35])
    above, below = (
        {"strip": (-0.15, 0.15), "knee": (0.1, 1.3), "long": (0.8, 4.2)}[str(kind)],
        {"strip": (-0.15, 0.15), "knee": (0.1, 1.3), "long": (0.8, 3.8)}[str(kind)],
    )
    legs = int(rng.choice([1, 2, 3, 4], p=[0.44, 0.5, 0.03, 0.03]))
    left, right, top, bottom = rng.uniform(0.02, 0.9), rng.uniform(0.02, 0.9), rng.uniform(*above), rng.uniform(*below)
    if kind == "long" and legs == 1:
        left, right = rng.uniform(0.05, 1.4), rng.uniform(0.05, 1.4)
    spread = rng.uniform(1.25, 2.6)
    xs = [left + 0.5 + spread * number for number in range(legs)]
    ys = [top + 0.5 + rng.normal(0, 0.06 if kind == "strip" else 0.12) for _ in range(legs)]
    width, height = xs[-1] + 0.5 + right, top + 1 + bottom
    shown = [True] * legs
    fate = rng.random()
    if legs == 2 and fate < 0.12:  # only one joint is in the film
        width, shown[1] = xs[1] - 0.5 + rng.uniform(0, CUT_OFF), False
    elif legs == 2 and fate < 0.18:
        cut = xs[0] + 0.5 - rng.uniform(0, CUT_OFF)
        xs, width, shown[0] = [x - cut for x in xs], width - cut, False
    elif fate > 0.94:  # legs without their joints: the middle of the shafts
        shown = [False] * legs
    elif legs == 2 and fate > 0.9:
        shown[int(rng.integers(2))] = False
    return [(x, y, rng.uniform(0.94, 1.06)) for x, y in zip(xs, ys, strict=True)], (width, height), shown


def _facing(knee: Knee, number: int, legs: int, rng: np.random.Generator) -> np.ndarray:
    """Return the crop, mirrored when its leg would otherwise be on the wrong side of the patient."""
    wanted = ("right", "left")[number % 2]
    mirror = rng.random() < 0.5 if legs == 1 or not knee.side else knee.side != wanted
    return np.ascontiguousarray(knee.crop[:, ::-1]) if mirror else knee.crop


def _leg(
    crop: np.ndarray, joint: np.ndarray, size: tuple[int, int], style: Style, rng: np.random.Generator, shown: bool
) -> np.ndarray:
    """Return one leg on an empty film [H,W], turned slightly about its joint."""
    height, width = size
    x, y, side = joint
    turn = rng.normal(0, 3.0)
    # The joint lies beyond the film, so that only the shaft is shown.
    if not shown and 0.3 * side < x < width - 0.3 * side:
        y = y + rng.choice((-1, 1)) * (height + 1.2 * side)
    spare = round(0.15 * max(size) + 0.2 * side)
    box, left, top = max(8, round(side)), round(x - side / 2), round(y - side / 2)
    far = round(1.1 * side)
    margins = (far, max(0, top) + spare, far, max(0, height - top - box) + spare)
    drawn = shafts.leg(crop, box, margins, style.shaft, rng)
    centre = (far + box / 2, margins[1] + box / 2)
    # The turn includes a shift of less than a pixel, so that the joint lies exactly where its box says.
    offset = (x - box / 2 - left, y - box / 2 - top)
    turned = Image.fromarray(drawn).rotate(turn, Image.Resampling.BICUBIC, center=centre, translate=offset)
    film = np.zeros(size, np.float32)
    first, start = left - far, top - margins[1]
    rows, columns = (
        slice(max(0, start), min(height, start + drawn.shape[0])),
        slice(max(0, first), min(width, first + drawn.shape[1])),
    )
    film[rows, columns] = np.asarray(turned)[
        rows.start - start : rows.stop - start, columns.start - first : columns.stop - first
    ]
    return film


def _developed(film: np.ndarray, joints: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    """From attenuation to a film: background, metal, collimation, letters, exposure, noise and bits."""
    tissue = np.clip(film / SKIN, 0, 1)
    film = film * tissue + surrounds.background(film.shape[0], film.shape[1], style.surround, rng) * (1 - tissue)
    film = surrounds.with_metal(film, joints, style.surround, rng)
    film = surrounds.collimated(film, joints, style.surround, rng)
    film = surrounds.with_letters(film, joints, style.surround, rng)
    film = np.clip(film, 0, 1.2) / 1.2
    film = film ** math.exp(rng.normal(0, 0.3))
    film += rng.uniform(0.002, 0.02) * rng.standard_normal(film.shape, np.float32)
    low, high = rng.uniform(0, 0.25), rng.uniform(0.6, 1.0)
    film = low + (high - low) * np.clip(film, 0, 1)
    bits = int(rng.choice((8, 8, 10, 12, 16)))
    return np.rint(film * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _clipped(joint: np.ndarray, shape: tuple[int, ...]) -> Box:
    """Return the box of a joint within the film."""
    x, y, side = map(float, joint)
    half = side / 2
    return (
        max(0, round(x - half)),
        max(0, round(y - half)),
        min(shape[1], round(x + half)),
        min(shape[0], round(y + half)),
    )
