"""Recognises a picture that shows a page: a report, a print or a web page with a film on it, beside words.

The words are no markers. The locator can miss the knee on a page, since the film covers little of it and is darker.
"""

from itertools import pairwise

import numpy as np

from .letterbox import Box

PAGE, LIGHT = 0.25, 0.6
"""A picture shows a page if at least the first proportion of it has one light gray, which lies beyond the second
proportion of the way from its darkest to its brightest gray."""
GRAYS = 32
"""That gray is looked for in 32 steps of brightness."""
SAMPLE = 256
"""The brightness of a picture is measured over at most 256 rows and columns."""
COVERED = 0.2
"""A line of the picture meets the film if at least a fifth of it has other grays than the page. Words cover less, or
fewer lines."""
ANOTHER = 0.5
"""A second part of the page with at least half as many such lines as the film is another film. No film is found then,
since the lines of one may be those of the other."""
PASSES = 2
"""The film's rows are looked for again among its columns, since words beside it are left out then."""


def gray_steps(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the brightness of pixels in GRAYS steps, from 0.

    Args:
        pixels: Pixels of any shape and unit.
        low: The gray at which the first step begins.
        high: The gray at which the last step ends.
    """
    return np.clip((pixels.astype(np.float64) - low) / (high - low) * GRAYS, 0, GRAYS - 1).astype(int)


def page_gray(pixels: np.ndarray) -> tuple[float, float, int] | None:
    """Return the darkest and the brightest gray of a picture [H,W], and the step of its page; None without a page."""
    sample = pixels[_strides(pixels)]
    low, high = float(sample.min()), float(sample.max())
    if high <= low:
        return None
    counts = np.bincount(gray_steps(sample, low, high).ravel(), minlength=GRAYS)
    page = int(counts.argmax())
    return (low, high, page) if page >= LIGHT * GRAYS and counts[page] >= PAGE * sample.size else None


def film_on_page(pixels: np.ndarray) -> Box | None:
    """Find the film on a page: the widest part of it whose lines all have other grays than the page.

    Args:
        pixels: A picture [H,W] of any unit.

    Returns:
        Left, top, right and bottom of the film, or None if the picture shows no page, or several films on one.
    """
    found = page_gray(pixels)
    if not found:
        return None
    low, high, page = found
    strides = _strides(pixels)
    film = abs(gray_steps(pixels[strides], low, high) - page) > 1
    rows, columns = slice(0, film.shape[0]), slice(0, film.shape[1])
    for _ in range(PASSES):
        rows = _longest_run(film[:, columns].mean(1) >= COVERED)
        if rows:
            columns = _longest_run(film[rows].mean(0) >= COVERED)
        if not rows or not columns:
            return None
    down, across = (stride.step for stride in strides)
    height, width = pixels.shape
    return columns.start * across, rows.start * down, min(columns.stop * across, width), min(rows.stop * down, height)


def _strides(pixels: np.ndarray) -> tuple[slice, slice]:
    height, width = pixels.shape
    return slice(None, None, -(-height // SAMPLE)), slice(None, None, -(-width // SAMPLE))


def _longest_run(lines: np.ndarray) -> slice | None:
    """Return the longest run of True in booleans [N]; None if none is True, or if another run is nearly as long."""
    changes = np.flatnonzero(np.diff(lines, prepend=False, append=False))
    runs = [slice(int(start), int(stop)) for start, stop in pairwise(changes) if lines[start]]
    runs.sort(key=lambda run: run.start - run.stop)
    lengths = [run.stop - run.start for run in runs]
    return runs[0] if runs and not any(length >= ANOTHER * lengths[0] for length in lengths[1:]) else None
