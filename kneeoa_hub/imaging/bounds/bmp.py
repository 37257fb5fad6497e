"""Bounds BMP files with run lengths, which Pillow unpacks in Python, a pair of bytes at a time."""

from .limit import at_most

RUN_LENGTHS = (1, 2)
"""The header's field of compression has one of these values for runs of 8 or of 4 bits."""
RUN_LENGTH_BYTES = 8 * 2**20
"""A file with run lengths has at most 8 MB, which take about six seconds. A film has noise, which run lengths do not
make smaller."""


def check_bmp(content: bytes) -> None:
    """Check the size of a BMP file in run lengths. Raises OverBound."""
    if int.from_bytes(content[30:34], "little") in RUN_LENGTHS:
        at_most(RUN_LENGTH_BYTES, len(content), "bytes in run lengths")
