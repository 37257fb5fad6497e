"""Reads burnt-in markers: the letters R and L that a radiographer lays on the cassette, or adds at the console.

The places network proposes places on the reduced film, and the letters network reads these places at the film's own
resolution. Both, `markers_find.onnx` and `markers_read.onnx`, are beside this module. `python -m tuning markers` trains
them on composed films. No grade follows from a letter, so the networks are part of the package and not of a bundle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ..bundle import InputConfig
from ..runtime import Graph, open_graph
from .letterbox import LEAST_SPREAD, Box
from .percentiles import percentiles

PLACES_NETWORK, LETTERS_NETWORK = "markers_find.onnx", "markers_read.onnx"
SIDE = 768
"""A letter is 8 to 34 pixels high on a film whose longer side has 768 pixels."""
INPUT = InputConfig(SIDE // 2, SIDE // 2, low=0.5, high=99.8)
"""The places network sees the film at this size."""
WINDOW = 56
"""The letters network sees a place as a square with 56 pixels a side, on a film of SIDE."""
LETTERS = ("R", "L")
"""The outputs of the letters network stand for these letters in this order, after the output for no letter."""
PLACES_OUTPUT, LETTERS_OUTPUT = "places", "letters"
STRIDE = 4
"""Each cell of the places network's output stands for four pixels of its input."""
WORTH_READING = 0.4
"""A place is read if it is a letter with at least this probability."""
MOST_PLACES = 6
"""The six likeliest places of a film are read at most."""
SURE = 0.9
"""A letter counts from this probability on. docs/pacs.md says how many letters this misses or reads wrongly."""
APART = 3
"""Two places are at least three cells apart."""
REDUCED_TO = 1.25
"""A film first loses rows and columns, down to 1.25 times the size that the networks see."""
LEAST_SIDE = 400
"""A film whose longer side is shorter is not searched. It is the crop of a joint, without a marker."""
JOINT = 0.8
"""The middle of a knee's box, 80% as wide and high, is not searched, since no marker lies on a joint."""


@dataclass(frozen=True)
class Marker:
    """Describes a letter on a film.

    Attributes:
        letter: "R" or "L".
        x: Column of the letter's middle, in pixels of the film.
        y: Row of the letter's middle, in pixels of the film.
        probability: The probability of this letter.
    """

    letter: str
    x: float
    y: float
    probability: float


class MarkerReader:
    """Reads upright letters that are not mirrored. Threads may share it.

    Args:
        threads: Threads of one forward pass. 0 lets onnxruntime choose.
        folder: The folder of the networks; by default that of the package.
        sure: Probability from which a letter is read.
    """

    def __init__(self, threads: int = 0, folder: Path = Path(__file__).parent, sure: float = SURE):
        self._threads, self._folder, self._sure = threads, folder, sure

    def __call__(self, pixels: np.ndarray, knees: Sequence[Box] = ()) -> tuple[Marker, ...]:
        """Return the markers of an upright film [H,W] with bright bone, the surest first.

        Args:
            pixels: The film.
            knees: The boxes of its knees.
        """
        places = self.places(pixels, knees) if max(pixels.shape) >= LEAST_SIDE else []
        if not places:
            return ()
        reach = WINDOW / 2 * max(pixels.shape) / SIDE
        seen = np.stack([window(pixels, x, y, reach) for x, y in places])
        (probabilities,) = self._letters_network.run((LETTERS_OUTPUT,), seen)
        read = (
            Marker(LETTERS[row.argmax()], x, y, float(row.max()))
            for (x, y), row in zip(places, probabilities[:, 1:], strict=True)
        )
        return tuple(sorted((one for one in read if one.probability >= self._sure), key=lambda one: -one.probability))

    def places(self, pixels: np.ndarray, knees: Sequence[Box] = ()) -> list[tuple[float, float]]:
        """Return column and row of each place on a film that may be a letter, the likeliest first."""
        scale = INPUT.width / max(pixels.shape)
        (found,) = self._places_network.run((PLACES_OUTPUT,), _reduced(pixels, scale)[None])
        outside = found[0, ..., 0].copy()
        for left, top, right, bottom in knees:
            rows, columns = (
                slice(*(round(scale / STRIDE * (middle + sign * half)) for sign in (-1, 1)))
                for middle, half in (
                    ((top + bottom) / 2, JOINT * (bottom - top) / 2),
                    ((left + right) / 2, JOINT * (right - left) / 2),
                )
            )
            outside[rows, columns] = 0
        return [(STRIDE * (x + 0.5) / scale, STRIDE * (y + 0.5) / scale) for x, y in peaks(outside)]

    @cached_property
    def _places_network(self) -> Graph:
        return open_graph(self._folder / PLACES_NETWORK, (INPUT.height, INPUT.width), (PLACES_OUTPUT,), self._threads)

    @cached_property
    def _letters_network(self) -> Graph:
        return open_graph(self._folder / LETTERS_NETWORK, (WINDOW, WINDOW), (LETTERS_OUTPUT,), self._threads)


def window(pixels: np.ndarray, x: float, y: float, reach: float) -> np.ndarray:
    """Return a place as the letters network sees it: float32 [WINDOW,WINDOW,1] of mean 0 and standard deviation 1.

    The contrast of a letter is measured against its surroundings, not the film, since a dark letter may lie on a light
    ground.

    Args:
        pixels: The film [H,W].
        x: Column of the middle.
        y: Row of the middle.
        reach: Pixels of the film from the middle to each edge.
    """
    step = max(1, int(2 * reach / (REDUCED_TO * WINDOW)))
    rows, columns = (
        np.clip(np.arange(round(middle - reach), round(middle + reach), step), 0, length - 1)
        for middle, length in ((y, pixels.shape[0]), (x, pixels.shape[1]))
    )
    part = Image.fromarray(pixels[rows[:, None], columns].astype(np.float32))
    seen = np.asarray(part.resize((WINDOW, WINDOW), Image.Resampling.BILINEAR), np.float64)  # of any unit
    return ((seen - seen.mean()) / max(float(seen.std()), LEAST_SPREAD)).astype(np.float32)[..., None]


def peaks(probabilities: np.ndarray, least: float = WORTH_READING) -> list[tuple[int, int]]:
    """Return column and row of the highest peaks of probabilities [h,w] from `least` on, each of them once."""
    left, found = probabilities.copy(), []
    while len(found) < MOST_PLACES:
        row, column = divmod(int(left.argmax()), left.shape[1])
        if left[row, column] < least:
            break
        found.append((column, row))
        left[max(0, row - APART) : row + APART + 1, max(0, column - APART) : column + APART + 1] = 0
    return found


def _reduced(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Return a film as the places network sees it.

    It lies in the upper left corner of the input, float32 [h,w,1], standardised.
    """
    step = max(1, int(1 / (scale * REDUCED_TO)))
    coarse = np.ascontiguousarray(pixels[::step, ::step], np.float32)
    low, high = map(float, percentiles(coarse[::2, ::2], (INPUT.low, INPUT.high)))
    height, width = (min(INPUT.width, max(1, round(length * scale))) for length in pixels.shape)
    fine = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
    fine = (np.clip(fine, low, high) - low) / max(high - low, LEAST_SPREAD)
    seen = np.zeros((INPUT.height, INPUT.width, 1), np.float32)
    seen[:height, :width, 0] = (fine - fine.mean()) / max(float(fine.std()), 1 / 255)
    return seen
