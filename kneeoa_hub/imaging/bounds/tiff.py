"""Bounds of TIFF: its strips or tiles, beside its tags."""

from .jpeg import SCAN_PIXELS, scan_pixels
from .limit import OverBound, at_most
from .tags import TagReader, check_tags, readers

STRIP_BYTES = 256 * 2**20
"""Most bytes of all strips or tiles together. Several may share their bytes, and the decoder reads each anew."""
COMPRESSION, JPEG = 259, (6, 7)
SIZES = (256, 257, 258, 277, 322, 323)
"""Tags for the size of the picture and of its tiles, and for the bits and the number of its channels."""
STARTS, LENGTHS = (273, 324), (279, 325)
"""Tags for the offsets and the byte counts of strips and of tiles."""


def check_tiff(content: bytes) -> None:
    """Check the tags of a TIFF file, and the strips or tiles that they name. Raises OverBound."""
    check_tags(content)
    for reader in readers(content):
        for directory in dict.fromkeys((reader.first, *reader.directories())):
            _check_strips(reader, directory)


def _check_strips(reader: TagReader, directory: int) -> None:
    known: dict[int, list[int]] = {}
    for tag in reader.tags(directory):
        if tag.number in (COMPRESSION, *SIZES, *STARTS, *LENGTHS):
            if tag.number in known:  # Pillow would take the last, libtiff the first
                raise OverBound("tags that are given twice")
            known[tag.number] = reader.numbers(tag)
    in_jpeg = bool(set(known.get(COMPRESSION, ())) & set(JPEG))
    for start, length in zip(STARTS, LENGTHS, strict=True):
        lengths = known.get(length, [])
        at_most(STRIP_BYTES, sum(lengths), "bytes in its strips or tiles")
        pixels = 0
        for at, size in zip(known.get(start, []) if in_jpeg else (), lengths, strict=False):
            pixels += scan_pixels(reader.content[at : at + size])
            at_most(SCAN_PIXELS, pixels, "pixels in all scans")
