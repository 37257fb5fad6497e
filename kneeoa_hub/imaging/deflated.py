"""Inflates a deflated DICOM data set (PS3.5 A.5) up to a bound, since a few kilobytes may hold gigabytes."""

import io
import struct
import zlib
from collections.abc import Iterator

from .bounds.limit import HEADER_BYTES, OverBound
from .film import Limits
from .formats import DEFLATED, is_part_10

META = 132
"""The file meta information begins here (PS3.10 7.1)."""
LONG_FORMS = (*(b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"), *(b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""These value representations have a length of four bytes (PS3.5 7.1.2)."""
SYNTAX, EXPLICIT = b"\x02\0\x10\0", b"1.2.840.10008.1.2.1\0"
"""The first is the tag of Transfer Syntax UID. The second is the UID of the same data set when it is not deflated."""
PIXEL_BYTES = 3
"""A pixel has at most three bytes in a film of the largest size. A film with more bytes for each pixel, as with three
channels of 16 bits, must be smaller, since its values are in memory three times."""
PIECE_BYTES = 2**20
"""Pixels are inflated 1 MB at a time."""


def is_deflated(content: bytes) -> bool:
    """Tell whether a DICOM file names the deflated syntax."""
    return _data_set_start(content) > 0


def inflated(content: bytes, limits: Limits) -> bytes:
    """Return a DICOM file with its data set inflated. A file that is not deflated comes back as it is.

    Raises OverBound for a data set that is larger than a film, and zlib.error for one that is corrupt.
    """
    if not is_deflated(content):
        return content
    whole = io.BytesIO()  # one buffer, which grows
    for piece in inflated_pieces(content, limits):
        whole.write(piece)
    return whole.getvalue()


def inflated_pieces(content: bytes, limits: Limits) -> Iterator[bytes]:
    """Yield what `inflated` returns in pieces that need little memory. Raises the errors of `inflated`."""
    most, size = PIXEL_BYTES * limits.max_pixels + HEADER_BYTES, 0
    for piece in _pieces(content):
        size += len(piece)
        if size > most and piece is not content:
            raise OverBound(f"over {most} bytes when it is inflated")
        yield piece


def inflated_header(content: bytes) -> bytes:
    """Return a DICOM file whose data set is inflated as far as its header may reach; see `inflated`."""
    if not is_deflated(content):
        return content
    head = io.BytesIO()
    for piece in _pieces(content):
        head.write(piece)
        if head.tell() > HEADER_BYTES:
            break
    return head.getvalue()


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield the pieces of a file, inflated. A file that is not deflated is one piece."""
    start = _data_set_start(content)
    if not start:
        yield content
        return
    meta = SYNTAX + b"UI" + struct.pack("<H", len(EXPLICIT)) + EXPLICIT
    group_length = b"\x02\0\0\0UL" + struct.pack("<HI", 4, len(meta))
    yield content[: _meta_start(content)] + group_length + meta
    stream, rest = zlib.decompressobj(-zlib.MAX_WBITS), content[start:]
    # Writers add a byte behind the end to make the length even; zlib would leave it in `unconsumed_tail` for ever.
    while rest and not stream.eof:
        yield stream.decompress(rest, PIECE_BYTES)
        rest = stream.unconsumed_tail


def _meta_start(content: bytes) -> int:
    """Return where the file meta information begins: at once in a file that was stored without the preamble."""
    return META if is_part_10(content) else 0


def _data_set_start(content: bytes) -> int:
    """Return where the deflated data set begins, or 0 for a file whose meta information names another syntax."""
    at, deflated = _meta_start(content), False
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
