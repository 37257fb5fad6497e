"""Makes a film of the attenuation of a leg: beam, blur, processing, characteristic curve, noise and bit depth."""

import numpy as np

from .texture import blur


def expose(attenuation: np.ndarray, seed: int, scale: float, bits: int) -> np.ndarray:
    """Make a film of a leg.

    Args:
        attenuation: [H,W] float32, 0 in the air and about 1 in bone.
        seed: The seed of beam, processing and noise.
        scale: Pixels per mm.
        bits: 8 or 16.

    Returns:
        uint8 or uint16 [H,W] with bright bone.
    """
    rng = np.random.default_rng([seed, 5])
    image = blur((attenuation * _beam(rng, *attenuation.shape)).astype(np.float32), rng.uniform(0.12, 0.45) * scale)
    sharpening = rng.uniform(0.0, 0.9)
    image += sharpening * (image - blur(image, 2.0 * scale))
    # Hurter and Driffield: a film answers the logarithm of its exposure with an S-shaped curve.
    curve = 1 / (1 + np.exp(-rng.uniform(2.0, 4.0) * (image - rng.uniform(0.35, 0.65))))
    # A scanner spreads the grays of its film over the range of its bits.
    curve = (curve - curve.min()) / (curve.max() - curve.min())
    image = rng.uniform(0.0, 0.15) + rng.uniform(0.6, 0.85) * curve ** rng.uniform(0.7, 1.2)
    # The deviation of quantum noise grows with the root of the signal. The detector blurs the noise a little.
    noise = blur(rng.standard_normal(attenuation.shape, np.float32), 0.45)
    image += rng.uniform(0.006, 0.02) * np.sqrt(np.clip(image, 0.02, 1)) * noise
    return np.rint(np.clip(image, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _beam(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw the heel effect and a beam that is off centre: a gradient [height,width] around 1."""
    across, down = rng.normal(0, 0.05, 2)
    return 1 + across * np.linspace(-1, 1, width) + down * np.linspace(-1, 1, height)[:, None]
