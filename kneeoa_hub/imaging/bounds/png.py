"""Bounds of PNG: its chunks (PNG, third edition, section 5)."""

from .limit import METADATA_BYTES, at_most

CHUNKS = 100_000
"""Most chunks in all. Encoders put eight kilobytes into a chunk of pixels, so the largest file has 8,000."""
FURTHER_CHUNKS = 1000
"""Most chunks beside those of pixels. Pillow keeps every private one, and unpacks text and profiles."""
PACKED = (b"zTXt", b"iTXt", b"iCCP")
PACKED_CHUNKS = 32
"""Most chunks with packed text or profiles. Pillow unpacks each to as much as a megabyte."""
PIXELS, END = (b"IDAT", b"fdAT"), b"IEND"


def check_png(content: bytes) -> None:
    """Check the chunks of a PNG file. Raises OverBound."""
    at, chunks, further, packed, size = 8, 0, 0, 0, 0
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if kind == END:  # decoders look no further
            return
        chunks += 1
        at_most(CHUNKS, chunks, "chunks")
        if kind not in PIXELS:
            further, size, packed = further + 1, size + length, packed + (kind in PACKED)
            at_most(FURTHER_CHUNKS, further, "chunks beside its pixels")
            at_most(METADATA_BYTES, size, "bytes beside its pixels")
            at_most(PACKED_CHUNKS, packed, "chunks of packed text")
        at += 12 + length
