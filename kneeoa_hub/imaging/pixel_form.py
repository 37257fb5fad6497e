"""Describes the form of a DICOM film's pixel data, as its header gives it."""

from dataclasses import dataclass

from .stored_bits import Bits


@dataclass(frozen=True)
class PixelForm:
    """Says how pixel data are stored (PS3.3 C.7.6.3).

    Attributes:
        rows: Rows.
        columns: Columns.
        frames: Frames.
        samples: Channels of a pixel.
        allocated: Bits of a cell.
        bits: The bits of a cell that hold its value.
        planar: Whether each channel is stored as a plane of its own.
        photometric: The meaning of the values, such as MONOCHROME2, in capitals.
        syntax: UID of the transfer syntax.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    bits: Bits
    planar: bool
    photometric: str
    syntax: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns
