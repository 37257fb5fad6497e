"""Burnt-in markers: the letters R and L that a radiographer lays on the cassette, or adds at the console.

The network `markers.onnx` beside this module reads them. `python -m tuning markers` trains it on composed films. No
grade follows from a letter, so the network is part of the package and not of a bundle.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..bundle import InputConfig
from ..runtime import Graph, open_graph
from .locate import locator_input

GRAPH = Path(__file__).parent / "markers.onnx"
INPUT = InputConfig(768, 768, low=0.5, high=99.8)
"""The film as the network sees it. A letter is 8 to 32 pixels high there."""
LETTERS = ("R", "L")
"""The letters, in the order of the network's channels behind that of the background."""
OUTPUT = "letters"
STRIDE = 4
"""Pixels of the input for each cell of the output."""
SURE = 0.9
"""Probability of a letter from which it is read. See docs/benchmarks.md for what this misses, and reads wrongly."""
APART = 8
"""Cells between two markers at least."""
MOST = 6
"""Most markers that are read on a film."""
REDUCED_TO = 1.25
"""A large film is first reduced by leaving out rows and columns, to at least this many times the network's input."""
LEAST_SIDE = 400
"""A film whose longer side is shorter is not searched: it is the crop of a joint, without a marker."""


@dataclass(frozen=True)
class Marker:
    """A letter on a film.

    Attributes:
        letter: "R" or "L".
        x: Column of its middle, in pixels of the film.
        y: Row of its middle, in pixels of the film.
        probability: How surely it is this letter.
    """

    letter: str
    x: float
    y: float
    probability: float


class MarkerReader:
    """Reads upright letters that are not mirrored. Threads may share it.

    Args:
        threads: Threads of one forward pass. 0 lets onnxruntime choose.
        path: The network; by default the one of the package.
        sure: Probability from which a letter is read.
    """

    def __init__(self, threads: int = 0, path: Path = GRAPH, sure: float = SURE):
        self._threads, self._path, self._sure = threads, path, sure

    def __call__(self, pixels: np.ndarray) -> tuple[Marker, ...]:
        """Return the markers of an upright film [H,W] with bright bone, the surest first."""
        if max(pixels.shape) < LEAST_SIDE:
            return ()
        step = max(1, int(max(pixels.shape) / (REDUCED_TO * INPUT.width)))
        image, scale, (left, top) = locator_input(pixels[::step, ::step], INPUT)
        scale /= step
        (letters,) = self._graph.run((OUTPUT,), image[None])
        return tuple(
            Marker(
                letter,
                (STRIDE * (column + 0.5) - left) / scale,
                (STRIDE * (row + 0.5) - top) / scale,
                probability,
            )
            for letter, row, column, probability in _peaks(letters[0], self._sure)
        )

    @cached_property
    def _graph(self) -> Graph:
        return open_graph(self._path, (INPUT.height, INPUT.width), (OUTPUT,), self._threads)


def _peaks(letters: np.ndarray, sure: float) -> list[tuple[str, int, int, float]]:
    """Return letter, row, column and probability of the highest peaks in [h,w,3] from `sure` on, each of them once."""
    heat, found = letters[..., 1:].copy(), []
    while len(found) < MOST:
        row, column, channel = np.unravel_index(int(np.argmax(heat)), heat.shape)
        if heat[row, column, channel] < sure:
            break
        found.append((LETTERS[channel], int(row), int(column), float(heat[row, column, channel])))
        heat[max(0, row - APART) : row + APART + 1, max(0, column - APART) : column + APART + 1] = 0
    return found
