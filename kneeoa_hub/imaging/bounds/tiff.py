"""Bounds the strips or tiles of TIFF, beside its tags."""

from .jpeg import SCAN_PIXELS, scan_pixels
from .jpeg2000 import check_codestreams
from .limit import OverBound, at_most
from .png import check_pngs
from .tags import TagReader, check_tags, readers

STRIP_BYTES = 256 * 2**20
"""All strips or tiles together have at most 256 MB. Several may share their bytes, and the decoder reads each anew."""
COMPRESSION, JPEG, JPEG_2000, PNG = 259, (6, 7), (33003, 33004, 33005, 34712), 34933
"""The first number is the tag of the compression. The others are its values for strips or tiles that are pictures by
themselves.
"""
PICTURES = 4096
"""A file has at most 4,096 strips or tiles in JPEG 2000 or PNG. A film of the largest size in tiles of 128 x 128 pixels
has 2,500."""
SIZES = (256, 257, 258, 277, 322, 323)
"""These tags give the size of the picture and of its tiles, and the bits and the number of its channels."""
STARTS, LENGTHS = (273, 324), (279, 325)
"""These tags give the offsets and the byte counts of strips and of tiles."""


def check_tiff(content: bytes) -> None:
    """Check the tags of a TIFF file, and the strips or tiles that they name. Raises OverBound."""
    check_tags(content)
    for reader in readers(content):
        size = 0
        for directory in dict.fromkeys((reader.first, *reader.directories())):
            size = _check_strips(reader, directory, size)


def _check_strips(reader: TagReader, directory: int, size: int) -> int:
    """Check the strips or tiles of a directory.

    `size` is the number of bytes of earlier directories. The sum with this directory's bytes comes back.
    """
    known: dict[int, list[int]] = {}
    for tag in reader.tags(directory):
        if tag.number in (COMPRESSION, *SIZES, *STARTS, *LENGTHS):
            if tag.number in known:  # Pillow would take the last, libtiff the first
                raise OverBound("tags that are given twice")
            known[tag.number] = reader.numbers(tag)
    within = set(known.get(COMPRESSION, ()))
    for start, length_tag in zip(STARTS, LENGTHS, strict=True):
        starts, lengths = known.get(start, []), known.get(length_tag, [])
        size += sum(lengths)
        at_most(STRIP_BYTES, size, "bytes in its strips or tiles")
        pieces = (reader.content[at : at + length] for at, length in zip(starts, lengths, strict=False))
        if within & set(JPEG):
            pixels = 0
            for piece in pieces:
                pixels += scan_pixels(piece)
                at_most(SCAN_PIXELS, pixels, "pixels in all scans")
        elif within & {*JPEG_2000, PNG}:
            at_most(PICTURES, len(starts), "strips or tiles")
            if PNG in within:
                check_pngs(pieces)
            else:
                check_codestreams(pieces)
    return size
