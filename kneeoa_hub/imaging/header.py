"""Holds what the file of a picture states about it before its pixels are decoded."""

from dataclasses import dataclass

from .tiff_pieces import Pieces


@dataclass(frozen=True)
class Header:
    """Describes a PNG or TIFF file by its own statements.

    Attributes:
        form: "PNG" or "TIFF".
        width: Columns of the stored picture.
        height: Rows of the stored picture.
        orientation: EXIF orientation, 1 to 8.
        gray: Whether there is one channel, or one with transparency.
        white_is_zero: Whether the film is a negative.
        tile: Width and height of a TIFF's tile; (1, 1) if it has none.
        page: Which page of the file is the film.
        pillow: Whether Pillow reads the values as they are. imagecodecs reads the others.
        bits: Bits of a channel.
        channels: How many values a pixel has.
        aspect: Height of a stored pixel over its width.
        pieces: The strips or tiles of a TIFF that are pictures by themselves; None for any other file.
        copies: Smaller pages of a TIFF that may show the same film; `copies.same_film` tells.
        quality: Quality of its compression, see `compression`; None if it lost nothing.
    """

    form: str
    width: int
    height: int
    orientation: int = 1
    gray: bool = False
    white_is_zero: bool = False
    tile: tuple[int, int] = (1, 1)
    page: int = 0
    pillow: bool = False
    bits: int = 8
    channels: int = 1
    aspect: float = 1.0
    pieces: Pieces | None = None
    copies: tuple["Header", ...] = ()
    quality: float | None = None

    @property
    def costly(self) -> str:
        """What makes the decoder need more memory, so that pixels count several times; "" for any other film."""
        if self.pillow:
            return ""
        if self.channels > 1:
            return f"{self.bits} bits in several channels"
        return "64 bits" if self.bits > 32 else ""

    @property
    def times(self) -> int:
        """How often a pixel counts: once for every eight bytes of its values, and at least twice in a costly film."""
        return max(2, -(-self.channels * self.bits // 64)) if self.costly else 1
