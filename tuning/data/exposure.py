"""Archives hold upright and inverted films, and a file does not say which; the grays of the films tell them apart."""

import numpy as np
from PIL import Image

SIDE = 24
"""The compared thumbnails have 24 pixels per side."""
ROUNDS = 3
"""The typical film is estimated this often; before each further time the inverted films are turned over."""
INVERTED = -0.6
"""A film counts as inverted when its correlation with the typical film is below this.

Of 7,418 OAI knees 98 lie below -.67 and the others above .27. The lowest upright knee of the Gornale set, which shows
legs anywhere in the picture, has -.54."""


def polarity_thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return [SIDE*SIDE] float32 of mean 0 and length 1, from a film [H,W]."""
    values = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)).ravel()
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def inverted(thumbnails: np.ndarray) -> np.ndarray:
    """Return [N] bool: which films look like the negative of the typical film, the median of all.

    thumbnails: [N,SIDE*SIDE], see `polarity_thumbnail`.
    """
    signs = np.ones(len(thumbnails), np.float32)
    correlation = signs
    for _ in range(ROUNDS):
        typical = np.median(thumbnails * signs[:, None], axis=0)
        correlation = thumbnails @ (typical / max(float(np.linalg.norm(typical)), 1e-6))
        signs = np.where(correlation < INVERTED, -1, 1).astype(np.float32)
    return correlation < INVERTED


def brightness(pixels: np.ndarray) -> float:
    """Return the mean of a film [H,W], 0 to 1: over the largest value of 8 bits, or of 16 bits where 8 are too few."""
    return float(pixels.mean()) / (255 if pixels.max() <= 255 else 65535)
