"""Bounds the chunks of PNG (PNG, third edition, section 5)."""

from collections.abc import Iterable, Iterator

from .limit import METADATA_BYTES, at_most

CHUNKS = 100_000
"""A file has at most 100,000 chunks. Encoders put eight kilobytes into a chunk of pixels, so the largest file has
8,000."""
FURTHER_CHUNKS = 1000
"""A file has at most 1,000 chunks beside those of pixels. Pillow keeps every private chunk, and unpacks text and
profiles."""
PACKED = (b"zTXt", b"iTXt", b"iCCP")
PACKED_CHUNKS = 32
"""A file has at most 32 chunks with packed text or profiles. Pillow unpacks each to as much as a megabyte."""
HEADER, PIXELS, END = b"IHDR", (b"IDAT", b"fdAT"), b"IEND"


def check_png(content: bytes) -> None:
    """Check the chunks of a PNG file. Raises OverBound."""
    check_pngs([content])


def check_pngs(files: Iterable[bytes]) -> None:
    """Check the chunks of all PNG files that make up a film together. Raises OverBound."""
    chunks = further = packed = size = 0
    for content in files:
        for kind, length in _chunks(content):
            chunks += 1
            at_most(CHUNKS, chunks, "chunks")
            if kind not in PIXELS:
                further, size, packed = further + (kind != HEADER), size + length, packed + (kind in PACKED)
                at_most(FURTHER_CHUNKS, further, "chunks beside its pixels")
                at_most(METADATA_BYTES, size, "bytes beside its pixels")
                at_most(PACKED_CHUNKS, packed, "chunks of packed text")


def _chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the length of each chunk before the end, behind which decoders do not look."""
    at = 8
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if kind == END:
            return
        yield kind, length
        at += 12 + length
