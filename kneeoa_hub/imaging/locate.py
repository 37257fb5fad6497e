"""Locates the knees in a film, which may show one tight joint, a whole leg or both legs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..bundle import InputConfig, LocatorConfig
from ..runtime import open_graph
from .letterbox import Box, Region, letterbox, standardise
from .percentiles import percentiles

TWO_KNEES_FROM = 1.5
"""A film may show both knees from this ratio of width to height on."""
GAP_DARKNESS = 0.55
"""The columns between two legs have less than 55% of the intensity of the columns through the legs."""
PROFILE_WIDTH = 64
"""The gap between two legs is looked for in the mean intensity of 64 bands of columns."""
MOST_KNEES = 4
"""A film may show at most four joints. A radiograph shows two knees, and a bad locator would fill the film."""
REDUCED_TO = 4
"""A large film first loses rows and columns, down to at least four times the network's input, and is then shrunk
exactly. This is quick, and too fine to alias."""
WINDOW = 2.0
"""A joint is located a second time in a window whose side is twice the joint's."""
LARGE_ENOUGH = 0.8
"""If that window has at least 80% of the film's longer side, the first look was as close."""
FAINT = 0.4
"""A faint joint has a peak of at least 40% of the locator's threshold. Most such places are no joints."""
DISTINCT = 0.5
"""Two peaks that lie closer together than half of a joint's side are one joint."""
LEAST_SHOWN = 0.1
"""A film shows at least a tenth of a joint's width and height. What is found beyond that lies in the padding beside the
film, and its frame would show nothing."""
FILLED = 0.85, 0.85
"""A single joint fills the film if its box has these proportions of the film's width and height. The film is then a
crop of the knee. No real crop has less than 0.94.
"""
STRIP_FILLED = 0.5, 0.7
"""A joint fills a strip round the joint line from these proportions on. Such a strip is graded as a whole, since
networks learnt from strips. All but a few in a hundred of the real strips with one knee have more.
"""


@dataclass(frozen=True)
class Joint:
    """Describes a located joint.

    Attributes:
        x: Column of the middle, in pixels of the film.
        y: Row of the middle, in pixels of the film.
        side: Side of its square box, in pixels of the film.
        score: The locator's peak, 0 to 1, which says how surely this is a joint.
    """

    x: float
    y: float
    side: float
    score: float


class Locator:
    """Runs the network `locator.onnx` of a bundle, which threads may share.

    The graph takes `image` [N,H,W,1] and gives two values for each cell of a coarse grid: `heat` [N,h,w], how surely
    the middle of a joint is in the cell, and `shape` [N,h,w,3], how far to the right and down the middle is, in sides
    of the joint, and log(side / W). The constructor raises BundleError for a graph of another form.
    """

    def __init__(self, path: Path, config: LocatorConfig, threads: int = 0, square: bool = False):
        self._config, self._square = config, square
        self._graph = open_graph(path, (config.input.height, config.input.width), ("heat", "shape"), threads)

    def find(self, pixels: np.ndarray) -> tuple[Region, ...]:
        """Return the boxes of the knees in a [H,W] film with bright bone, from left to right. There may be none.

        If the locator was made so, the boxes are squares, which may reach beyond the film. Otherwise they are boxes of
        whole pixels within the film.
        """
        joints = self.joints(pixels)
        return squares(joints) if self._square else joint_boxes(joints, pixels.shape)

    def find_faint(self, pixels: np.ndarray) -> tuple[Region, ...]:
        """Return what `find` returns, and boxes of possible knees below the locator's threshold; see FAINT."""
        joints = self.joints(pixels, replace(self._config, threshold=FAINT * self._config.threshold))
        return squares(joints) if self._square else joint_boxes(joints, pixels.shape)

    def joints(self, pixels: np.ndarray, config: LocatorConfig | None = None) -> tuple[Joint, ...]:
        """Return the joints of a [H,W] film from left to right, before their boxes are cut at the film's edges.

        Their peaks reach the threshold of `config`, which is the bundle's own by default. A film and its mirror image
        have the same joints, mirrored: the network sees both with the brighter half on the right.
        """
        config = config or self._config
        if not _brighter_on_the_left(pixels):
            return self._joints(pixels, config)
        joints = self._joints(pixels[:, ::-1], config)
        return tuple(replace(joint, x=pixels.shape[1] - joint.x) for joint in reversed(joints))

    def _joints(self, pixels: np.ndarray, config: LocatorConfig) -> tuple[Joint, ...]:
        """Return the joints of a [H,W] film as the network sees it."""
        refined = (self._second_look(pixels, joint, config) for joint in self._first_look(pixels, config))
        surest_first = sorted(refined, key=lambda joint: -joint.score)
        return tuple(sorted(_distinct(surest_first), key=lambda joint: joint.x))

    def _first_look(self, pixels: np.ndarray, config: LocatorConfig) -> list[Joint]:
        """Return the joints that the network sees in a [H,W] film as a whole."""
        image, scale, (left, top) = locator_input(pixels, config.input)
        scores, shape = self._graph.run(("heat", "shape"), image[None])
        found = peaks(scores[0], shape[0], config)
        joints = (Joint((one.x - left) / scale, (one.y - top) / scale, one.side / scale, one.score) for one in found)
        return [joint for joint in joints if _shown(joint, pixels.shape)]

    def _second_look(self, pixels: np.ndarray, joint: Joint, config: LocatorConfig) -> Joint:
        """Return a joint as located in a window that it nearly fills.

        A joint in a whole leg covers few pixels of the input, so the second look is closer.
        """
        reach = joint.side * WINDOW / 2
        left, top = max(0, round(joint.x - reach)), max(0, round(joint.y - reach))
        window = pixels[top : round(joint.y + reach), left : round(joint.x + reach)]
        if not window.size or min(window.shape) >= LARGE_ENOUGH * max(pixels.shape):
            return joint
        again = [
            Joint(other.x + left, other.y + top, other.side, joint.score) for other in self._first_look(window, config)
        ]
        away = [np.hypot(other.x - joint.x, other.y - joint.y) / joint.side for other in again]
        return again[int(np.argmin(away))] if away and min(away) < DISTINCT else joint


def _brighter_on_the_left(pixels: np.ndarray) -> bool:
    """Tell which half of a [H,W] film is brighter, by every REDUCED_TO-th row; a middle column counts in neither."""
    half = pixels.shape[1] // 2
    rows = pixels[::REDUCED_TO]
    return bool(rows[:, :half].sum(dtype=np.float64) > rows[:, pixels.shape[1] - half :].sum(dtype=np.float64))


def _shown(joint: Joint, shape: tuple[int, ...]) -> bool:
    """Tell whether a film of `shape` shows enough of a joint's square; see LEAST_SHOWN."""
    reach = (0.5 - LEAST_SHOWN) * joint.side
    return -reach < joint.x < shape[1] + reach and -reach < joint.y < shape[0] + reach


def locator_input(pixels: np.ndarray, config: InputConfig) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Prepare a [H,W] film for the locator.

    Returns:
        The input, float32 [height,width,1]; how many of its pixels are one pixel of the film; and the column and row
        at which the film begins in it.
    """
    step = max(1, max(pixels.shape) // (REDUCED_TO * max(config.height, config.width)))
    reduced = pixels[::step, ::step]
    fitted = letterbox(reduced, (0, 0, reduced.shape[1], reduced.shape[0]), config)
    left, top, right, bottom = fitted.content
    scale = max((right - left) / pixels.shape[1], (bottom - top) / pixels.shape[0])
    return standardise(fitted.pixels, fitted.content)[..., None], scale, (left, top)


def peaks(scores: np.ndarray, shape: np.ndarray, config: LocatorConfig) -> list[Joint]:
    """Return the joints at the highest peaks of the locator's output, each of them once.

    Args:
        scores: How surely the middle of a joint is in each cell, [h,w], 0 to 1.
        shape: Where the middle is and how large the joint is, [h,w,3], see `Locator`.
        config: The score from which a peak is a joint, and the input's size.

    Returns:
        At most MOST_KNEES joints in pixels of the input, from left to right.
    """
    columns = scores.shape[1]
    kept: list[Joint] = []
    for cell in np.argsort(scores, axis=None)[::-1]:
        row, column = divmod(int(cell), columns)
        if scores[row, column] < config.threshold or len(kept) == MOST_KNEES:
            break
        around = np.s_[max(0, row - 1) : min(row + 2, scores.shape[0]), max(0, column - 1) : min(column + 2, columns)]
        if scores[around].max() > scores[row, column]:
            continue
        kept = _distinct([*kept, _joint_at(scores, shape, around, config.input.width)])
    return sorted(kept, key=lambda joint: joint.x)


def _distinct(joints: Iterable[Joint]) -> list[Joint]:
    """Leave out every joint that lies on one before it."""
    kept: list[Joint] = []
    for joint in joints:
        if all(
            np.hypot(joint.x - other.x, joint.y - other.y) > DISTINCT * max(joint.side, other.side) for other in kept
        ):
            kept.append(joint)
    return kept


def _joint_at(scores: np.ndarray, shape: np.ndarray, around: tuple[slice, slice], width: int) -> Joint:
    """Average what the cells around a peak say of their joint, weighted by their scores."""
    weight, cell_side = scores[around] / scores[around].sum(), width / scores.shape[1]
    side = width * np.exp((weight * shape[around][..., 2]).sum())
    rows, columns = np.mgrid[around]
    x = (weight * ((columns + 0.5) * cell_side + side * shape[around][..., 0])).sum()
    y = (weight * ((rows + 0.5) * cell_side + side * shape[around][..., 1])).sum()
    return Joint(float(x), float(y), float(side), float(scores[around].max()))


def squares(joints: tuple[Joint, ...]) -> tuple[Region, ...]:
    """Return each joint's square, which may reach beyond the film.

    Its edges are not rounded to pixels: on a small film half a pixel moves a probability by more than a hundredth.
    """
    halves = [(joint, max(1.0, joint.side) / 2) for joint in joints]
    return tuple((joint.x - half, joint.y - half, joint.x + half, joint.y + half) for joint, half in halves)


def middle(region: Region) -> tuple[float, float]:
    """Return the column and the row of a region's middle."""
    left, top, right, bottom = region
    return (left + right) / 2, (top + bottom) / 2


def apart(one: Region, other: Region) -> bool:
    """Tell whether two regions are of two joints; see DISTINCT."""
    (x, y), (other_x, other_y) = middle(one), middle(other)
    side = max(one[2] - one[0], one[3] - one[1], other[2] - other[0], other[3] - other[1])
    return bool(np.hypot(x - other_x, y - other_y) > DISTINCT * side)


def clipped(region: Region, shape: tuple[int, ...]) -> Box:
    """Return a region in whole pixels, at least one, within a film of `shape` (height, width)."""
    left, top = (min(max(0, round(first)), side - 1) for first, side in zip(region[:2], shape[::-1], strict=True))
    return left, top, max(left + 1, min(shape[1], round(region[2]))), max(top + 1, min(shape[0], round(region[3])))


def joint_boxes(joints: tuple[Joint, ...], shape: tuple[int, ...]) -> tuple[Box, ...]:
    """Return each joint's box within a film of `shape` (height, width), or the whole film if one joint fills it."""
    height, width = shape
    boxes = []
    for joint in joints:
        half = joint.side / 2
        left, top = max(0, round(joint.x - half)), max(0, round(joint.y - half))
        right, bottom = min(width, round(joint.x + half)), min(height, round(joint.y + half))
        if left < right and top < bottom:
            boxes.append((left, top, right, bottom))
    if len(boxes) == 1 and _fills(boxes[0], height, width, FILLED):
        return ((0, 0, width, height),)
    return tuple(boxes)


def graded_regions(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> tuple[Box, ...]:
    """Return the region that is graded for each found box of a film of `shape` (height, width).

    It is the box itself, or the whole film if one joint fills it; see `one_fills`.
    """
    height, width = shape
    return ((0, 0, width, height),) if one_fills(boxes, shape) else boxes


def one_fills(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> bool:
    """Return whether one box within a film of `shape` (height, width) fills it: a crop, or a strip round one joint."""
    height, width = shape
    filled = STRIP_FILLED if width >= TWO_KNEES_FROM * height else FILLED
    return len(boxes) == 1 and _fills(boxes[0], height, width, filled)


def _fills(box: Box, height: int, width: int, proportions: tuple[float, float]) -> bool:
    across, down = proportions
    return box[2] - box[0] >= across * width and box[3] - box[1] >= down * height


def find_knees(pixels: np.ndarray) -> tuple[Box, ...]:
    """Find the knees of a [H,W] film with bright bone by a rule, without a network.

    A wide film whose middle is dark between two bright halves shows both knees, and is cut at the darkest column near
    the middle. Any other film is taken as one joint. The rule serves the audit, and bundles without a locator.

    Returns:
        One or two boxes, from left to right.
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
    """Return the mean intensity of PROFILE_WIDTH bands of columns, above the 1st percentile of the film."""
    edges = np.linspace(0, pixels.shape[1], PROFILE_WIDTH + 1).astype(int)
    columns = pixels.mean(0) - percentiles(pixels[:, :: max(1, pixels.shape[1] // 512)], (1,))[0]
    return np.array([columns[start:stop].mean() for start, stop in pairwise(edges)])
