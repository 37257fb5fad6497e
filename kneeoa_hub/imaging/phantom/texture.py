"""Draws the texture of bone and film: noise of several scales, blur, and bright lines.

The package does not depend on SciPy, so the filters are written in NumPy.
"""

import math

import numpy as np

TRABECULAE = ((1.0, 0.9, 0.25), (0.8, 0.3, 0.3), (0.35, 3.0, 0.6), (0.25, 2.0, 2.0))
"""Each layer of the trabecular texture has a deviation, and a sigma along and across the leg in mm. Most run along the
leg.
"""


def trabeculae(rng: np.random.Generator, height: int, width: int, scale: float) -> np.ndarray:
    """Draw trabecular texture [height,width] of standard deviation 1.

    Args:
        rng: Draws the noise.
        height: Height in pixels.
        width: Width in pixels.
        scale: Pixels per mm.
    """
    return smooth_noise(
        rng, height, width, tuple((deviation, along * scale, across * scale) for deviation, along, across in TRABECULAE)
    )


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, layers: tuple[tuple[float, float, float], ...]
) -> np.ndarray:
    """Draw smooth noise.

    Args:
        rng: Draws the noise.
        height: Rows in pixels.
        width: Columns in pixels.
        layers: The scales that are added up: deviation, vertical sigma and horizontal sigma in pixels.

    Returns:
        float32 [height,width] of mean 0 and standard deviation 1.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), np.float32))
    vertical, horizontal = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    shape = 0.0
    for deviation, sigma_y, sigma_x in layers:
        rows, columns = (np.exp(-2 * (np.pi * s * f) ** 2) for s, f in ((sigma_y, vertical), (sigma_x, horizontal)))
        # White noise of deviation 1 keeps this much of its deviation after the blur.
        kept = math.sqrt((rows**2).mean() * (columns**2).mean())
        shape = shape + (deviation / kept * rows[:, None] * columns).astype(np.float32)
    spectrum *= shape
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width))
    return (noise / noise.std()).astype(np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an image [H,W] by a Gaussian of `sigma` pixels. Beyond its edges the image goes on with its edge values."""
    reach = max(1, math.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.2)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if axis == other else (0, 0) for other in (0, 1)]
        padded, length = np.pad(image, padding, mode="edge"), image.shape[axis]
        parts = (padded[at : at + length] if axis == 0 else padded[:, at : at + length] for at in range(len(taps)))
        image, room = np.zeros_like(image), np.empty_like(image)
        for tap, part in zip(taps, parts, strict=True):
            image += np.multiply(tap, part, out=room)
    return image


def smooth(line: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a line [N] by a Gaussian of `sigma` samples."""
    reach = int(4 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(line, reach, mode="edge"), taps / taps.sum(), mode="valid")


def ridge(distance: np.ndarray, width: float) -> np.ndarray:
    """Return the brightness of a line, 1 on it, at a distance from it; `width` is in the unit of `distance`."""
    return np.exp(-np.square(distance / width))
