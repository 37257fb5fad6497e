"""Bounds the canvas and the chunks of WebP (RFC 9649)."""

from .limit import METADATA_BYTES, OverBound, at_most

CHUNKS = 1000
"""A file has at most 1,000 chunks. A film has one, or a few with its metadata."""
EXTENDED = b"VP8X"
METADATA = (b"EXIF", b"XMP ", b"ICCP")


def check_webp(content: bytes, max_pixels: int) -> None:
    """Check the canvas and the chunks of a WebP file. Raises OverBound."""
    at, chunks, size = 12, 0, 0
    end = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while at + 8 <= end:
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        payload = content[at + 8 : at + 8 + length]
        chunks += 1
        at_most(CHUNKS, chunks, "chunks")
        if kind == EXTENDED:
            width, height = (int.from_bytes(payload[start : start + 3], "little") + 1 for start in (4, 7))
            if width * height > max_pixels:
                raise OverBound(f"a canvas of {width}x{height} pixels, over {max_pixels}")
        elif kind in METADATA:
            size += length
            at_most(METADATA_BYTES, size, "bytes of metadata")
        at += 8 + length + length % 2
