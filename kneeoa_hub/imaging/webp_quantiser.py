"""Reads from a WebP file how coarsely it rounds its film (RFC 6386, sections 7, 9.2, 9.3 and 9.6; RFC 9649)."""

import re

LOSSY, ANIMATED = b"VP8 ", b"ANMF"
"""A chunk of the first kind is a film with loss. One of the second kind has chunks in it, behind the frame's place."""
FILE_HEADER, CHUNK_HEADER, PLACE = 12, 8, 16
"""Chunks begin behind the file's header. Each has its kind and its size in a header of its own."""
FRAME = re.compile(rb".{3}\x9d\x01\x2a.{4}(.{1,32})", re.DOTALL)
"""A film with loss has a tag of three bytes, this start code and the sides before its header, all of which fits into 32
bytes."""
WIDTH = 32
COARSEST = 127


def quantiser(content: bytes) -> float | None:
    """Return the index of the quantiser, 0 (finest) to 127, as the mean over the blocks of the film.

    A file may sort its blocks into four segments, each with a quantiser of its own. The header says which proportion of
    the blocks each one has. None means that the file lost nothing.
    """
    frame = FRAME.match(_lossy_film(content))
    if not frame:
        return None
    header = _Header(frame[1])
    header.number(2)  # the kind of colours and of clamping
    levels, shares, absolute = [0, 0, 0, 0], [1.0, 1.0, 1.0], False
    if header.number(1):  # there are segments
        has_map, has_levels = header.number(1), header.number(1)
        if has_levels:
            absolute = header.number(1) == 1
            levels = [header.signed(7) for _ in levels]
            header.skip_signed(6, times=4)  # the filter of each segment
        if has_map:
            shares = [header.number(8) / 255 if header.number(1) else 1.0 for _ in shares]
    header.number(10)  # the filter
    if header.number(1) and header.number(1):
        header.skip_signed(6, times=8)
    header.number(2)  # how many partitions there are
    base = header.number(7)
    first, left, right = shares  # of segments 0 and 1, of 0 among them, and of 2 among the other two
    weights = (first * left, first * (1 - left), (1 - first) * right, (1 - first) * (1 - right))
    indices = (min(max(level if absolute else base + level, 0), COARSEST) for level in levels)
    return sum(weight * index for weight, index in zip(weights, indices, strict=True))


def _lossy_film(content: bytes) -> bytes:
    """Return the first chunk with loss, or nothing. Metadata may hold anything, so no other chunk is searched."""
    at, end = FILE_HEADER, min(len(content), CHUNK_HEADER + int.from_bytes(content[4:8], "little"))
    while at + CHUNK_HEADER <= end:
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + CHUNK_HEADER], "little")
        at += CHUNK_HEADER
        if kind == LOSSY:
            return content[at : min(at + size, end)]
        at += PLACE if kind == ANIMATED else size + size % 2
    return b""


class _Header:
    """Decodes the bits of a frame's header, each of which is coded as being 0 as often as 1."""

    def __init__(self, coded: bytes) -> None:
        self.value, self.shift, self.range = int.from_bytes(coded.ljust(WIDTH, b"\0")), 8 * (WIDTH - 1), 255

    def number(self, bits: int) -> int:
        """Return a number of so many bits, the highest first."""
        number = 0
        for _ in range(bits):
            split = (self.range + 1) // 2
            bit = self.value >= split << self.shift
            self.value -= split << self.shift if bit else 0
            self.range = self.range - split if bit else split
            if self.range < 128:
                self.range, self.shift = 2 * self.range, self.shift - 1
            number = 2 * number + bit
        return number

    def signed(self, bits: int) -> int:
        """Return a number that may be left out, which is 0 then, and that has its sign last."""
        if not self.number(1):
            return 0
        size = self.number(bits)
        return -size if self.number(1) else size

    def skip_signed(self, bits: int, times: int) -> None:
        """Pass over numbers that are of no use here."""
        for _ in range(times):
            self.signed(bits)
