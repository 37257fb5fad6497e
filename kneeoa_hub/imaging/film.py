"""Describes a decoded film, and limits what is read as one."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from ..settings import Settings

MIN_SIDE = 128
"""A film has at least 128 pixels on its shorter side. A smaller picture shows too little of the joint space to
grade."""
BLOCK_ROWS = 64
"""Code works on 64 rows at a time, so that a large film needs little memory beside its pixels and each block stays in
the processor's cache."""


Room = Callable[[tuple[int, ...]], np.ndarray]
"""Such a function makes an array [H,W] float32, not filled yet, for a height and a width."""
_ROOM: ContextVar[Room] = ContextVar("room", default=lambda shape: np.empty(shape, np.float32))


def new_pixels(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array [H,W] float32 for the pixels of a film, not filled yet; see `pixels_in`."""
    return _ROOM.get()(shape)


@contextmanager
def pixels_in(room: Room) -> Iterator[None]:
    """Let a function make the arrays for the pixels of films that are decoded in the block."""
    token = _ROOM.set(room)
    try:
        yield
    finally:
        _ROOM.reset(token)


def is_finite(pixels: np.ndarray) -> bool:
    """Tell whether all pixels [H,W] are finite numbers, without an array of answers as large as the film."""
    return not pixels.size or (math.isfinite(pixels.min()) and math.isfinite(pixels.max()))


@dataclass(frozen=True)
class Limits:
    """Sets the limits on one film, which are checked before it is decoded.

    Attributes:
        max_bytes: Most bytes of the file.
        max_pixels: Most pixels. Those of WebP, of JPEG 2000 in colour, and of 16 bits in several channels count twice,
            since their decoders need twice the memory; deeper ones count once for every eight bytes. Of a tiled TIFF
            whole tiles count.
        min_side: Fewest pixels on the shorter side.
    """

    max_bytes: int = Settings.max_bytes
    max_pixels: int = Settings.max_pixels
    min_side: int = MIN_SIDE


@dataclass(frozen=True)
class Film:
    """Holds a decoded film, and what its file says about it.

    Attributes:
        pixels: [H,W] float32 in the file's own units, with bright bone. `decode.decode` makes its pixels square.
        name: What messages call the film.
        colour: Mean difference between the largest and the smallest channel of a pixel, 0 (gray) to 1.
        exposed: Left, top, right and bottom of what is not declared padding; None if the file declares none.
        side: "left" or "right" if the file names the patient's side.
        orientation: Where in the patient the picture's right and bottom edges lie, each "L", "R", "A", "P", "H" or
            "F"; "" if the file does not say.
        ruled_out: The reason for a refusal, a key of `refusal.MESSAGES`, if the file itself says that it does not show
            a frontal knee.
        warnings: What the reader of the grade should know about the decoding.
        quality: Quality of the compression on the scale of libjpeg, about 1 to 100, see `compression`; None if the
            file lost nothing.
        aspect: Height of a stored pixel over its width, as the file says.
        scale: Columns and rows of `pixels` for each column and row of the film as it was given.
        given: The film as it was given, [H,W] float32, if `pixels` were made from it; None if it is `pixels`.
    """

    pixels: np.ndarray
    name: str
    colour: float = 0.0
    exposed: tuple[int, int, int, int] | None = None
    side: str | None = None
    orientation: tuple[str, str] = ("", "")
    ruled_out: str | None = None
    warnings: tuple[str, ...] = ()
    quality: float | None = None
    aspect: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    given: np.ndarray | None = None

    @property
    def as_given(self) -> np.ndarray:
        """The film as it was given, [H,W] float32, in whose pixels callers give and get boxes."""
        return self.pixels if self.given is None else self.given

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.pixels.shape[1]
