"""Bounds JPEG 2000 (ITU-T T.800), as a frame of a DICOM film or in strips or tiles of a TIFF.

The bounds count what OpenJPEG allocates before it decodes, in all frames of a film together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .limit import OverBound, at_most

TILES = 4096
"""A film has at most 4,096 tiles. OpenJPEG keeps six kilobytes for each, and another for each of its components. A film
of the largest size in tiles of 128 x 128 pixels has 2,500."""
COMPONENTS = 4
"""A film has at most four components, usually one."""
CODE_BLOCKS = 200_000
"""All tiles have at most 200,000 code-blocks, which take up to a kilobyte each. A film of the largest size in blocks of
32 x 32 has 52,000."""
PRECINCTS = 100_000
"""All tiles have at most 100,000 precincts, which take up to a kilobyte each. A film has one for each resolution, or
some thousands."""
PACKETS = 1_000_000
"""All tiles have at most a million packets. A packet is a layer of a precinct, and OpenJPEG marks each that it has
read."""
MARKERS = 40_000
"""A film has at most 40,000 marker segments, those of tile parts included. A TIFF of the largest size in tiles of 128 x
128 pixels has 20,000."""
MOST = {
    "tiles": TILES,
    "code-blocks": CODE_BLOCKS,
    "precincts": PRECINCTS,
    "packets": PACKETS,
    "marker segments": MARKERS,
}
"""All frames of a film together hold at most these numbers of each."""
CODESTREAMS = 8
"""Up to eight places of a JP2 file may look like the beginning of a codestream."""
CODESTREAM = b"\xff\x4f\xff\x51"
"""Every codestream begins with these markers, SOC and SIZ."""
REVERSIBLE = 1
"""This wavelet loses nothing."""
SIZ, COD, COC, SOT, SOD, EOC = 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9


@dataclass(frozen=True)
class _Size:
    width: int
    height: int
    tile_width: int
    tile_height: int
    components: int

    @property
    def tiles(self) -> int:
        return -(-self.width // self.tile_width) * -(-self.height // self.tile_height)


@dataclass(frozen=True)
class _Coding:
    """Holds the exponents of two for the sides of code-blocks, and of precincts by resolution, the smallest first."""

    levels: int
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]


def is_reversible(stream: bytes) -> bool:
    """Tell whether a codestream has the wavelet without loss (T.800, table A.20); it may still be cut to a rate."""
    coding = (payload for marker, payload in _markers(stream, Counter()) if marker == COD)
    return next((payload[9] == REVERSIBLE for payload in coding if len(payload) > 9), True)


def check_codestreams(frames: Iterable[bytes]) -> None:
    """Check the frames of a film, each a codestream or a JP2 file that may hold several. Raises OverBound."""
    counts = Counter[str]()
    for frame in frames:
        found, at = 0, frame.find(CODESTREAM)
        while at >= 0:
            found += 1
            at_most(CODESTREAMS, found, "codestreams")
            _check_codestream(frame[at:], counts)
            at = frame.find(CODESTREAM, at + 4) if at else -1


def _check_codestream(stream: bytes, counts: Counter[str]) -> None:
    """Add what a codestream has to the counts of those before it, and check the sum."""
    size, layers = None, 1
    codings: list[_Coding] = []
    for marker, payload in _markers(stream, counts):
        if marker == SIZ:
            size = _size(payload)
            at_most(COMPONENTS, size.components, "components")
            _add(counts, "tiles", size.tiles)
        elif marker == COD:
            layers = max(layers, int.from_bytes(payload[2:4]))
            codings.append(_coding(payload[0], payload[5:]))
        elif marker == COC:
            codings.append(_coding(payload[1], payload[2:]))
    if size and codings:
        each = [_count_coding(size, coding, layers) for coding in codings]
        for what in each[0]:
            _add(counts, what, max(one[what] for one in each))


def _add(counts: Counter[str], what: str, count: int) -> None:
    counts[what] += count
    at_most(MOST[what], counts[what], what)


def _markers(stream: bytes, counts: Counter[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the marker segments of the main header and of all tile parts, without their data."""
    at, part_end = 2, len(stream)
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        _add(counts, "marker segments", 1)
        marker = stream[at + 1]
        if marker == SOD:
            at = part_end
            continue
        if marker == EOC:
            return
        length = max(2, int.from_bytes(stream[at + 2 : at + 4]))
        payload = stream[at + 4 : at + 2 + length]
        if marker == SOT:
            part_end = at + (int.from_bytes(payload[2:6]) or len(stream))
        yield marker, payload
        at += 2 + length


def _size(payload: bytes) -> _Size:
    right, bottom, left, top, tile_width, tile_height, _, _ = (
        int.from_bytes(payload[start : start + 4]) for start in range(2, 34, 4)
    )
    if not (left < right and top < bottom and tile_width and tile_height):
        raise OverBound("a size of no pixels")
    return _Size(right - left, bottom - top, tile_width, tile_height, int.from_bytes(payload[34:36]))


def _coding(style: int, payload: bytes) -> _Coding:
    levels, sides = payload[0], payload[5:]
    precincts = tuple((one & 15, one >> 4) for one in sides[: levels + 1]) if style & 1 else ((15, 15),) * (levels + 1)
    return _Coding(levels, ((payload[1] & 15) + 2, (payload[2] & 15) + 2), precincts)


def _count_coding(size: _Size, coding: _Coding, layers: int) -> dict[str, int]:
    """Count precincts, code-blocks and packets of all tiles as if each had this coding (T.800, B.5 to B.7)."""
    tile = min(size.tile_width, size.width), min(size.tile_height, size.height)
    every = size.tiles * size.components
    precincts = blocks = most = 0
    for resolution, sides in enumerate(coding.precincts):
        bands = 3 if resolution else 1
        step = coding.levels - resolution
        extent = [-(-side // 2**step) for side in tile]
        here = _cells(extent, sides)
        most = max(most, here)
        precincts += bands * here
        inner = [side - 1 if resolution else side for side in sides]
        block = [max(0, min(pair)) for pair in zip(coding.block, inner, strict=True)]
        blocks += bands * max(here, _cells([-(-side // (2 if resolution else 1)) for side in extent], block))
    return {
        "precincts": precincts * every,
        "code-blocks": blocks * every,
        "packets": layers * (coding.levels + 1) * most * every,
    }


def _cells(extent: list[int], powers: tuple[int, ...] | list[int]) -> int:
    across, down = (-(-side // 2**power) for side, power in zip(extent, powers, strict=True))
    return across * down
