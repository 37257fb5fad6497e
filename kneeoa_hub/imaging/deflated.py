"""Deflated DICOM (PS3.5 A.5): the data set is inflated up to a bound, since a few kilobytes may hold gigabytes."""

import struct
import zlib

from .bounds.limit import OverBound
from .film import Limits
from .formats import DEFLATED

META = 132
"""Where the file meta information begins (PS3.10 7.1)."""
LONG_FORMS = (b"OB", b"OW", b"UN", b"SQ", b"UT")
"""Value representations with a length of four bytes (PS3.5 7.1.2)."""
SYNTAX, EXPLICIT = b"\x02\0\x10\0", b"1.2.840.10008.1.2.1\0"
"""Tag of Transfer Syntax UID, and the UID of the same data set when it is not deflated."""
PIXEL_BYTES = 6
"""Bytes of a pixel in three channels of 16 bits."""
HEADER_BYTES = 2**20
"""Most bytes of all elements beside the pixels."""


def is_deflated(content: bytes) -> bool:
    """Tell whether a DICOM file names the deflated syntax."""
    return _data_set_start(content) > 0


def inflated(content: bytes, limits: Limits) -> bytes:
    """Return a DICOM file with its data set inflated; a file that is not deflated as it is.

    Raises OverBound for a data set that is larger than a film, and zlib.error for one that is corrupt.
    """
    start = _data_set_start(content)
    if not start:
        return content
    most = PIXEL_BYTES * limits.max_pixels + HEADER_BYTES
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = stream.decompress(content[start:], most)
    if stream.unconsumed_tail:
        raise OverBound(f"over {most} bytes when it is inflated")
    meta = SYNTAX + b"UI" + struct.pack("<H", len(EXPLICIT)) + EXPLICIT
    group_length = b"\x02\0\0\0UL" + struct.pack("<HI", 4, len(meta))
    return content[:META] + group_length + meta + data


def _data_set_start(content: bytes) -> int:
    """Return where the deflated data set begins; 0 for a file whose meta information names another syntax."""
    at, deflated = META, False
    while content[at : at + 2] == b"\x02\0":
        kind = content[at + 4 : at + 6]
        head, form = (12, "<8xI") if kind in LONG_FORMS else (8, "<6xH")
        if len(content) < at + head:
            return 0
        (length,) = struct.unpack(form, content[at : at + head])
        if content[at : at + 4] == SYNTAX:
            deflated = content[at + head : at + head + length].rstrip(b"\0 ") == DEFLATED
        at += head + length
    return at if deflated else 0
