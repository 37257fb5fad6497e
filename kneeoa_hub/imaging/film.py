"""A decoded film, and the limits on what is read as one."""

from dataclasses import dataclass, field

import numpy as np

from ..settings import Settings

MIN_SIDE = 128
BLOCK = 64
"""Rows that are worked on at a time, so that a large film takes little memory beside its pixels, and they stay near the
processor."""


@dataclass(frozen=True)
class Limits:
    """Most bytes and pixels of one film, and the fewest pixels on its shorter side.

    Pixels of WebP, and of 16 bits in several channels, count twice; of a TIFF in tiles whole tiles count.
    """

    max_bytes: int = Settings.max_bytes
    max_pixels: int = Settings.max_pixels
    min_side: int = MIN_SIDE


@dataclass(frozen=True)
class Film:
    """Decoded pixels: [H,W] float32, bright bone, in the file's own units.

    colour: mean difference between the largest and smallest channel, 0 (gray) to 1. exposed: (left, top, right, bottom)
    of what is not the padding that the file itself declares; None when it declares none. side: "left" or "right" when
    the file itself says so. orientation: where in the patient the picture's right and its bottom lie, each "L", "R",
    "A", "P", "H" or "F"; "" where the file does not say. ruled_out: the reason of a refusal (`gate.MESSAGES`) when the
    file itself says that it shows no frontal knee.
    """

    pixels: np.ndarray
    name: str
    colour: float = 0.0
    exposed: tuple[int, int, int, int] | None = None
    side: str | None = None
    orientation: tuple[str, str] = ("", "")
    ruled_out: str | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.pixels.shape[1]
