"""Draws the texture of bone and film: noise of several scales, blur, and bright lines.

The package does not depend on SciPy, so the filters are written in NumPy.
"""

import math

import numpy as np


def rough(
    rng: np.random.Generator,
    height: int,
    width: int,
    scale: float,
    slope: float,
    stretch: float = 1.0,
    longest: float = 15.0,
) -> np.ndarray:
    """Draw a rough texture, whose strength falls with a power of the frequency as in pictures of bone.

    Args:
        rng: Draws the noise.
        height: Rows in pixels.
        width: Columns in pixels.
        scale: Pixels per mm.
        slope: The power by which the amplitude falls. 0 is white noise, and 2 is smooth.
        stretch: How many times longer the structures are along the leg than across it.
        longest: Longer structures than this, in mm, are no stronger.

    Returns:
        float32 [height,width] of mean 0 and standard deviation 1.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), np.float32))
    along, across = scale * stretch * np.fft.fftfreq(height)[:, None], scale * np.fft.rfftfreq(width)
    spectrum *= (along**2 + across**2 + longest**-2) ** (-slope / 2)
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


def dome(depth: np.ndarray) -> np.ndarray:
    """Return the height of a dome, 0 at its edge and 1 from a depth of 1 on."""
    return np.sqrt(1 - np.square(1 - np.clip(depth, 0, 1)))
