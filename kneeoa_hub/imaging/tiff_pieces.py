"""Decodes TIFF pages whose strips or tiles are pictures by themselves.

They are in JPEG 2000 or PNG, as scanners of slides write them, or in JPEG of more than 8 bits. libtiff reads none of
them. Each piece is decoded into an array of the size that the page gives it. A piece that claims another size is
refused before it takes any memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .bounds.tiff import JPEG_2000, LENGTHS, PNG, STARTS
from .dicom_colour import rgb_of_ybr

WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, ROWS, PLANES = 256, 257, 258, 259, 277, 278, 284
TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT, JPEG_TABLES = 322, 323, 339, 347
READ = (WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, ROWS, PLANES, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT, JPEG_TABLES)
"""The tags of these numbers are read, beside STARTS and LENGTHS."""
IN_PLANES, SIGNED, WHOLE, YCBCR, JPEG = 2, 2, (1, 2, 4), 33003, 7
"""The first is a value of PLANES. SAMPLE_FORMAT has the next two for signed and for any whole numbers. COMPRESSION has
the last two for JPEG 2000 of brightness and colour differences, and for JPEG.
"""
MOST_CHANNELS, MOST_BITS = 4, 16
"""SAMPLES and BITS are read up to these values."""


@dataclass(frozen=True)
class Pieces:
    """Holds the strips or tiles of a page.

    Attributes:
        compression: One of bounds.tiff.JPEG_2000, or PNG or JPEG.
        starts: Where each lies in the file.
        lengths: How many bytes each has.
        size: Height and width of the page.
        step: Height and width of a tile, or of a strip other than the last one.
        tiled: Whether they are tiles, which are all of one size.
        channels: How many values a pixel has.
        planes: Whether the channels follow each other, each in pieces of its own.
        kind: The type of the values.
        tables: A JPEG with the tables that all pieces share, b"" for none.
    """

    compression: int
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    size: tuple[int, int]
    step: tuple[int, int]
    tiled: bool
    channels: int
    planes: bool
    kind: np.dtype[Any]
    tables: bytes = b""

    def decode(self, content: bytes) -> np.ndarray:
        """Return the values of the page, [H,W] or [H,W,C].

        Raises ValueError if a piece is missing or has another form. The decoders raise errors of their own too.
        """
        decoded = _decoder(self.compression, self.tables)
        depth = 1 if self.planes else self.channels
        values = np.empty((*self.size, self.channels), self.kind)
        places = list(self._places())
        if not len(places) == len(self.starts) == len(self.lengths):
            raise ValueError(f"{len(self.starts)} pieces of {len(places)}")
        for (rows, columns, channels), at, length in zip(places, self.starts, self.lengths, strict=True):
            part = values[rows, columns, channels]
            shape = self.step if self.tiled else part.shape[:2]
            room = np.empty(shape if depth == 1 else (*shape, depth), self.kind)
            decoded(content[at : at + length], out=room)
            part[...] = room.reshape(*shape, depth)[: part.shape[0], : part.shape[1]]
        if self.channels == 1:
            return values[..., 0]
        if self.compression == YCBCR and self.channels == 3:
            most = np.iinfo(self.kind).max
            return np.clip(np.rint(rgb_of_ybr(values.astype(np.float32), most)), 0, most).astype(self.kind)
        return values

    def _places(self) -> Iterator[tuple[slice, slice, slice]]:
        """Yield the rows, columns and channels of each piece."""
        for channels in [slice(one, one + 1) for one in range(self.channels)] if self.planes else [slice(None)]:
            for top in range(0, self.size[0], self.step[0]):
                for left in range(0, self.size[1], self.step[1]):
                    yield slice(top, top + self.step[0]), slice(left, left + self.step[1]), channels


def pieces_of(tags: Mapping[int, Sequence[float]]) -> Pieces | None:
    """Return the pieces of a page by the numbers of its tags, or None for a page in another compression.

    Raises KeyError if a tag is missing, and ValueError for more channels or bits than a piece can hold.
    """
    compression = _first(tags, COMPRESSION, 1)
    deep_jpeg = compression == JPEG and max(tags.get(BITS, [1])) > 8
    if not deep_jpeg and compression not in (*JPEG_2000, PNG):
        return None
    bits, channels, sample_format = max(tags[BITS]), _first(tags, SAMPLES, 1), _first(tags, SAMPLE_FORMAT, 1)
    if not 0 < channels <= MOST_CHANNELS or bits > MOST_BITS or sample_format not in WHOLE:
        raise ValueError(f"{channels} channels of {bits} bits")
    width, length, tiled = _first(tags, WIDTH), _first(tags, LENGTH), TILE_WIDTH in tags
    starts, lengths = (tuple(map(int, tags[either[tiled]])) for either in (STARTS, LENGTHS))
    step = (_first(tags, TILE_LENGTH), _first(tags, TILE_WIDTH)) if tiled else (_first(tags, ROWS, length), width)
    return Pieces(
        compression=compression,
        starts=starts,
        lengths=lengths,
        size=(length, width),
        step=(max(1, step[0]), max(1, step[1])),
        tiled=tiled,
        channels=channels,
        planes=_first(tags, PLANES, 1) == IN_PLANES,
        kind=np.dtype(f"{'i' if sample_format == SIGNED else 'u'}{1 if bits <= 8 else 2}"),
        tables=bytes(map(int, tags.get(JPEG_TABLES, ()))) if deep_jpeg else b"",
    )


def _first(tags: Mapping[int, Sequence[float]], number: int, default: int | None = None) -> int:
    return int(tags[number][0]) if number in tags or default is None else default


def _decoder(compression: int, tables: bytes) -> Callable[..., Any]:
    from imagecodecs import jpeg2k_decode, jpeg_decode, png_decode

    if compression == JPEG:
        return partial(jpeg_decode, tables=tables or None)
    return png_decode if compression == PNG else jpeg2k_decode
