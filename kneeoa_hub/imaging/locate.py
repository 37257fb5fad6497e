"""Where the knees are in a film: one tight joint, a whole leg, or both sides."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..bundle import InputConfig, LocatorConfig
from ..runtime import open_graph
from .letterbox import Box, letterbox, standardise

TWO_KNEES_FROM = 1.5
"""Width over height from which a film may show both knees."""
GAP_DARKNESS = 0.55
"""The columns between two legs are darker than this share of the columns through them."""
PROFILE_WIDTH = 64

MOST_KNEES = 4
THINNED_TO = 4
"""A large film is thinned to at least this many times the network's input before it is shrunk exactly: quick, and too
fine to alias."""
WINDOW = 2.0
"""Side of the window in which a joint is looked at again, in sides of the joint."""
LARGE_ENOUGH = 0.8
"""Where that window is this share of the film, the first look was as near."""
APART = 0.5
"""Two peaks nearer to each other than this share of a joint's side are one joint."""
FILLED = 0.85, 0.85
"""A lone joint whose box is this share of the film's width and height fills it: the film is its own crop. No real crop
has less than .94."""
STRIP_FILLED = 0.5, 0.7
"""The same for a strip round the joint line, which is graded whole, since networks learnt from such strips; of real
ones with one knee all but some in a hundred have more."""


@dataclass(frozen=True)
class Joint:
    """A joint that was found: the middle and the side of its square box in film pixels, and its heat, 0..1."""

    x: float
    y: float
    side: float
    heat: float


class Locator:
    """`locator.onnx` of a bundle; threads may share it. Raises BundleError when the graph has not the contract's shape.

    The graph takes `image` [N,H,W,1] and gives, for each place of a coarse grid, `heat` [N,h,w], how surely a joint's
    middle is there, and `shape` [N,h,w,3]: how far right and down the middle is, in sides of the joint, and log(side /
    W).
    """

    def __init__(self, path: Path, config: LocatorConfig, threads: int = 0):
        self._config = config
        self._session = open_graph(path, (config.input.height, config.input.width), ("heat", "shape"), threads)

    def find(self, pixels: np.ndarray) -> tuple[Box, ...]:
        """Boxes of the knees in a [H,W] film, bright bone, left to right in the picture; empty when there is none."""
        return as_boxes(self.joints(pixels), pixels.shape)

    def joints(self, pixels: np.ndarray) -> tuple[Joint, ...]:
        """The joints of a [H,W] film, left to right, before their boxes are cut to the film."""
        found = sorted((self._nearer(pixels, joint) for joint in self._seen(pixels)), key=lambda joint: -joint.heat)
        return tuple(sorted(_apart(found), key=lambda joint: joint.x))

    def _seen(self, pixels: np.ndarray) -> list[Joint]:
        image, scale, (left, top) = locator_input(pixels, self._config.input)
        heat, shape = self._session.run(["heat", "shape"], {"image": image[None]})
        found = peaks(heat[0], shape[0], self._config)
        return [
            Joint((joint.x - left) / scale, (joint.y - top) / scale, joint.side / scale, joint.heat) for joint in found
        ]

    def _nearer(self, pixels: np.ndarray, joint: Joint) -> Joint:
        """The same joint, looked at again in a window of the film that it nearly fills: in a whole leg a joint has few
        input pixels.
        """
        reach = joint.side * WINDOW / 2
        left, top = max(0, round(joint.x - reach)), max(0, round(joint.y - reach))
        window = pixels[top : round(joint.y + reach), left : round(joint.x + reach)]
        if min(window.shape) >= LARGE_ENOUGH * max(pixels.shape):
            return joint
        again = [Joint(other.x + left, other.y + top, other.side, joint.heat) for other in self._seen(window)]
        away = [np.hypot(other.x - joint.x, other.y - joint.y) / joint.side for other in again]
        return again[int(np.argmin(away))] if away and min(away) < APART else joint


def locator_input(pixels: np.ndarray, config: InputConfig) -> tuple[np.ndarray, float, tuple[int, int]]:
    """A [H,W] film as the locator's input: [height,width,1] float32, input pixels per film pixel, and where the film
    begins in it.
    """
    step = max(1, max(pixels.shape) // (THINNED_TO * max(config.height, config.width)))
    thin = pixels[::step, ::step]
    fitted = letterbox(thin, (0, 0, thin.shape[1], thin.shape[0]), config)
    left, top, right, bottom = fitted.content
    scale = max((right - left) / pixels.shape[1], (bottom - top) / pixels.shape[0])
    return standardise(fitted.pixels, fitted.content)[..., None], scale, (left, top)


def peaks(heat: np.ndarray, shape: np.ndarray, config: LocatorConfig) -> list[Joint]:
    """Joints in input pixels, left to right, from heat [h,w] and shape [h,w,3]: the highest peaks, none of them
    twice.
    """
    columns = heat.shape[1]
    cell = config.input.width / columns
    kept: list[Joint] = []
    for place in np.argsort(heat, axis=None)[::-1]:
        row, column = divmod(int(place), columns)
        if heat[row, column] < config.threshold or len(kept) == MOST_KNEES:
            break
        around = np.s_[max(0, row - 1) : min(row + 2, heat.shape[0]), max(0, column - 1) : min(column + 2, columns)]
        if heat[around].max() > heat[row, column]:
            continue
        kept = _apart([*kept, _read(heat, shape, around, cell, config.input.width)])
    return sorted(kept, key=lambda joint: joint.x)


def _apart(joints: Iterable[Joint]) -> list[Joint]:
    """The joints but for those that lie on one before them."""
    kept: list[Joint] = []
    for joint in joints:
        if all(np.hypot(joint.x - other.x, joint.y - other.y) > APART * max(joint.side, other.side) for other in kept):
            kept.append(joint)
    return kept


def _read(heat: np.ndarray, shape: np.ndarray, around: tuple[slice, slice], cell: float, width: int) -> Joint:
    """What the places about a peak say of its joint, on average by their heat."""
    weight = heat[around] / heat[around].sum()
    side = width * np.exp((weight * shape[around][..., 2]).sum())
    rows, columns = np.mgrid[around]
    x = (weight * ((columns + 0.5) * cell + side * shape[around][..., 0])).sum()
    y = (weight * ((rows + 0.5) * cell + side * shape[around][..., 1])).sum()
    return Joint(float(x), float(y), float(side), float(heat[around].max()))


def as_boxes(joints: tuple[Joint, ...], shape: tuple[int, ...]) -> tuple[Box, ...]:
    """(left, top, right, bottom) of each joint within a film of this shape; the whole film when one joint fills it."""
    height, width = shape
    boxes = []
    for joint in joints:
        half = joint.side / 2
        box = (
            max(0, round(joint.x - half)),
            max(0, round(joint.y - half)),
            min(width, round(joint.x + half)),
            min(height, round(joint.y + half)),
        )
        if box[0] < box[2] and box[1] < box[3]:
            boxes.append(box)
    if len(boxes) == 1 and _fills(boxes[0], height, width, FILLED):
        return ((0, 0, width, height),)
    return tuple(boxes)


def regions(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> tuple[Box, ...]:
    """What is graded of a film [H,W] for each box that was found in it: the box, or the whole film where it is a strip
    round one joint.
    """
    height, width = shape
    strip = len(boxes) == 1 and width >= TWO_KNEES_FROM * height and _fills(boxes[0], height, width, STRIP_FILLED)
    return ((0, 0, width, height),) if strip else boxes


def _fills(box: Box, height: int, width: int, shares: tuple[float, float]) -> bool:
    across, down = shares
    return box[2] - box[0] >= across * width and box[3] - box[1] >= down * height


def find_knees(pixels: np.ndarray) -> tuple[Box, ...]:
    """Boxes of the knees in a [H,W] film, bright bone, left to right in the picture: without a network.

    A wide film whose middle is dark between two bright halves shows both knees and is cut at the darkest
    column near the middle; any other film is taken as one joint. It serves the audit, and bundles without a locator.
    """
    height, width = pixels.shape
    whole = (0, 0, width, height)
    if width < TWO_KNEES_FROM * height:
        return (whole,)
    profile = _column_profile(pixels)
    middle = slice(PROFILE_WIDTH * 3 // 8, PROFILE_WIDTH * 5 // 8)
    gap = PROFILE_WIDTH * 3 // 8 + int(profile[middle].argmin())
    legs = min(profile[:gap].max(), profile[gap + 1 :].max())
    if profile[gap] > GAP_DARKNESS * legs:
        return (whole,)
    cut = round((gap + 0.5) * width / PROFILE_WIDTH)
    return ((0, 0, cut, height), (cut, 0, width, height))


def _column_profile(pixels: np.ndarray) -> np.ndarray:
    """Mean intensity of PROFILE_WIDTH bands of columns, above the film's darkest hundredth."""
    edges = np.linspace(0, pixels.shape[1], PROFILE_WIDTH + 1).astype(int)
    columns = pixels.mean(0) - np.percentile(pixels[:, :: max(1, pixels.shape[1] // 512)], 1)
    return np.array([columns[a:b].mean() for a, b in pairwise(edges)])
