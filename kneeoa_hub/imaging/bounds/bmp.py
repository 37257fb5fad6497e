"""Bounds of BMP: run lengths, which Pillow unpacks in Python, a pair of bytes at a time."""

from .limit import at_most

RUN_LENGTHS = (1, 2)
"""Values of the header's field of compression for runs of 8 and of 4 bits."""
RUN_LENGTH_BYTES = 8 * 2**20
"""Most bytes of a file in run lengths: some six seconds. A film has noise, which run lengths do not make smaller."""


def check_bmp(content: bytes) -> None:
    """Check the size of a BMP file in run lengths. Raises OverBound."""
    if int.from_bytes(content[30:34], "little") in RUN_LENGTHS:
        at_most(RUN_LENGTH_BYTES, len(content), "bytes in run lengths")
