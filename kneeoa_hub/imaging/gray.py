"""Makes a gray film of what a file stores: it combines channels, turns the picture upright, and measures its colour.

A film that was scanned on its blue base, or toned, has one hue throughout, so its channels follow from its brightness.
It is as gray as any other. The channels of a photograph do not follow from its brightness.
"""

from collections.abc import Callable

import numpy as np

from .film import BLOCK_ROWS, new_pixels

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Red, green and blue have these weights in the gray value (ITU-R BT.601)."""
UPRIGHT_AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}
"""For each EXIF orientation, this gives the view of an upright picture [H,W] that lies as the file stores it. An
upright film is filled through this view, without a copy.
"""
SIDEWAYS = (5, 6, 7, 8)
"""These EXIF orientations exchange width and height."""
SAMPLE_SIDE = 512
"""Colour is measured over at most about 512 rows and columns."""
NOISE = 4
"""Colour is averaged over squares of four pixels a side, since each channel of a scanner or camera has its own noise.
The hue of a photograph differs over larger parts."""
LEVELS = 64
"""One hue is looked for within each of 64 levels of brightness."""
MOST_TINT = 0.75
"""Channels of a toned film differ by at most 75% of the brightest one. Blue base and sepia have about a third. A
picture in pure red, as no film is, has 100%."""
ONE_HUE = 0.02
"""Channels of a toned film differ by at most this if the brightness is the same. Blue base and sepia have under 0.007,
also in JPEG. Noise of 8 grays in each channel adds 0.013. The photograph that comes nearest to one hue, of a retina,
has 0.031.
"""


def upright_gray(
    values: Callable[[slice], np.ndarray], shape: tuple[int, int], orientation: int, largest: float
) -> tuple[np.ndarray, float]:
    """Turn a stored picture upright and gray, block by block.

    Args:
        values: A function from a slice of the stored rows to their values, [h,W] gray or [h,W,3] colour.
        shape: Height and width of the stored picture.
        orientation: Its EXIF orientation, 1 to 8.
        largest: The largest value that a channel can have.

    Returns:
        The film, [H,W] float32 in its own units, and how colourful it is, 0 (gray) to 1, see `colourfulness`.
    """
    pixels = new_pixels(shape[::-1] if orientation in SIDEWAYS else shape)
    stored = UPRIGHT_AS_STORED.get(orientation, np.asarray)(pixels)
    steps = tuple(slice(None, None, -(-side // SAMPLE_SIDE)) for side in shape)
    sample: list[np.ndarray] = []
    for start in range(0, len(stored), BLOCK_ROWS):
        part = values(slice(start, start + BLOCK_ROWS))
        if part.ndim == 3:
            sample.append(part[steps].astype(np.float32))
            one = part[..., 0]
            gray = np.array_equal(one, part[..., 1]) and np.array_equal(one, part[..., 2])
            part = one if gray else part.astype(np.float32) @ LUMA
        stored[start : start + BLOCK_ROWS] = part
    return pixels, colourfulness(np.concatenate(sample) / max(largest, 1e-30)) if sample else 0.0


def colourfulness(picture: np.ndarray) -> float:
    """Return the mean difference between the largest and the smallest channel of a picture [H,W,3] of 0 to 1.

    In a toned film it is what remains after each channel's mean at the same brightness is taken off.
    """
    sample = _without_noise(picture).reshape(-1, 3)
    spread = float(np.ptp(sample, 1).mean())
    if spread > MOST_TINT * sample.max(1).mean():
        return spread
    brightness = sample @ LUMA
    low, high = brightness.min(), brightness.max()
    level = np.minimum((brightness - low) / max(float(high - low), 1e-30) * LEVELS, LEVELS - 1).astype(int)
    counts = np.maximum(np.bincount(level, minlength=LEVELS), 1)
    offsets = sample - brightness[:, None]
    means = np.stack([np.bincount(level, offset, LEVELS) / counts for offset in offsets.T], 1)
    unexplained = float(np.ptp(offsets - means[level], 1).mean())
    return unexplained if unexplained <= ONE_HUE else spread


def _without_noise(picture: np.ndarray) -> np.ndarray:
    """Return the means of a picture over squares of NOISE pixels. A smaller picture comes back as it is."""
    down, across = (side // NOISE for side in picture.shape[:2])
    if not down or not across:
        return picture
    return picture[: down * NOISE, : across * NOISE].reshape(down, NOISE, across, NOISE, 3).mean((1, 3))
