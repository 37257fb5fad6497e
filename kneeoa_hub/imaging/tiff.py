"""Reads TIFF films: it finds which page of a file is the film, and how its pixels are stored (TIFF 6.0, BigTIFF).

Pillow reads few kinds of TIFF rightly: it takes signed 8 bits for unsigned ones, wraps unsigned 32 bits, exchanges the
bytes of compressed values in big endian, and does not know 64 bits, 16-bit floats, most packed values, and most
negatives of more than 8 bits. imagecodecs (extra `dicom`) reads those.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import SeveralFrames, UnsupportedFilm
from .bounds.tags import PAGES, TagReader, readers
from .bounds.tiff import JPEG, JPEG_2000, LENGTHS, STARTS
from .compression import jpeg_2000_quality, jpeg_quality, webp_quality
from .copies import may_be_copy
from .film import MIN_SIDE
from .header import Header
from .square import X_RESOLUTION, Y_RESOLUTION, aspect_of
from .tiff_pieces import READ as PIECES
from .tiff_pieces import SAMPLES, pieces_of

SUBFILE, OLD_SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
FILL_ORDER, ORIENTATION, SAMPLE_FORMAT, JPEG_TABLES = 266, 274, 339, 347
TILE_WIDTH, TILE_LENGTH = 322, 323
"""The tags that are read have these numbers."""
REDUCED_OR_MASK, OLD_REDUCED = 1 | 4, 2
"""SUBFILE has the first bits for a page that is a preview or a mask. OLD_SUBFILE has the second value for a preview."""
WHITE_IS_ZERO, BLACK_IS_ZERO, YCBCR = 0, 1, 6
"""These photometric interpretations are a gray film that is a negative, any other gray film, and brightness with colour
differences, which Pillow reads in JPEG alone.
"""
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4
"""These sample formats are read. The others are complex numbers."""
UNCOMPRESSED, LERC, WEBP, LSB_FIRST = 1, 34887, 50001, 2
"""The first three are values of COMPRESSION, of which Pillow does not read LERC, and reads WebP only in some builds.
The last is a value of FILL_ORDER.
"""
NOT_READ = {
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    **dict.fromkeys((22610, 34934), "JPEG XR"),
}
"""These values of COMPRESSION are not read, since no bound on what they ask of their decoders is known."""
READ = {
    *(SUBFILE, OLD_SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION),
    *(X_RESOLUTION, Y_RESOLUTION, SAMPLE_FORMAT, TILE_WIDTH, TILE_LENGTH, *STARTS, *LENGTHS, *PIECES),
}
"""The numbers of these tags are read."""
PLACES = tuple(zip(STARTS, LENGTHS, strict=True))
"""These tags give the offsets and the byte counts of strips, and of tiles."""
COPIES = 4
"""A file has at most four previews that are not marked."""
Tags = dict[int, Sequence[float]]
"""The numbers of a page stand here under its tags."""


def is_tiff(content: bytes) -> bool:
    """Tell whether a file is TIFF or BigTIFF."""
    return bool(readers(content))


def film_page(content: bytes, name: str) -> Header:
    """Read the tags of the one page that is the film.

    Previews and masks are left out, and so are pages that are too small to be a film. Smaller pages of the same shape
    may be previews that are not marked: they are `copies` of the header.

    Args:
        content: The file's bytes, checked by `bounds.tiff`.
        name: What messages call the film.

    Raises:
        SeveralFrames: More than one page may be the film.
        UnsupportedFilm: The values are complex numbers, or compressed in a way that is not read.
        KeyError: The page does not say how large it is.
    """
    reader = readers(content)[0]
    pages = [_numbers(reader, directory) for directory in reader.directories()]
    films = [index for index, tags in enumerate(pages) if not _is_preview(tags)] if len(pages) > 1 else [0]
    if not films or len(films) > 1 + COPIES or len(pages) > PAGES:
        raise SeveralFrames(f"{name} has several frames; send one film a file.")
    big_endian = reader.order == "big"
    headers = [_header(pages[page], page, big_endian, name) for page in films]
    # Pillow takes BigTIFF in big endian for another TIFF.
    headers = [replace(one, pillow=one.pillow and not (big_endian and reader.big)) for one in headers]
    film = max(headers, key=lambda one: one.width * one.height)
    copies = tuple(one for one in headers if one is not film)
    if not all(may_be_copy((one.width, one.height), (film.width, film.height)) for one in copies):
        raise SeveralFrames(f"{name} has several frames; send one film a file.")
    return replace(film, copies=copies, quality=_quality(reader, pages[film.page], film.page))


def quality_of(content: bytes, page: Header, pixels: np.ndarray) -> float | None:
    """Return what `compression` estimates for a decoded page, or None if it lost nothing.

    Args:
        content: The file's bytes.
        page: What `film_page` returned for them.
        pixels: The film that the page shows, [H,W].
    """
    pieces = page.pieces
    if not pieces or pieces.compression not in JPEG_2000:
        return page.quality
    places = zip(pieces.starts, pieces.lengths, strict=True)
    return jpeg_2000_quality([content[at : at + length] for at, length in places], pixels)


def opened_page(image: Any, name: str) -> Header:
    """Return the header of a TIFF's page that Pillow has decoded already.

    Raises UnsupportedFilm if Pillow does not read such values rightly.
    """
    tags: Tags = {
        number: [float(one) for one in (value if isinstance(value, tuple) else (value,))]
        for number, value in image.tag_v2.items()
        if number in READ
    }
    header = _header(tags, image.tell(), image.tag_v2.prefix[:2] == b"MM", name)
    if not header.pillow:
        raise UnsupportedFilm(f"{name} is a TIFF whose values Pillow does not read rightly; give its path instead.")
    return replace(header, quality=None)


def _numbers(reader: TagReader, directory: int) -> Tags:
    return {tag.number: reader.values(tag) for tag in reader.tags(directory) if tag.count and tag.number in READ}


def _one(tags: Tags, number: int, default: int) -> int:
    return int(tags.get(number, [default])[0])


def _is_preview(tags: Tags) -> bool:
    flagged = _one(tags, SUBFILE, 0) & REDUCED_OR_MASK or _one(tags, OLD_SUBFILE, 0) == OLD_REDUCED
    return bool(flagged) or min(_one(tags, WIDTH, 0), _one(tags, LENGTH, 0)) < MIN_SIDE


def _header(tags: Tags, page: int, big_endian: bool, name: str) -> Header:
    bits, formats = tags.get(BITS, [1]), set(tags.get(SAMPLE_FORMAT, [UNSIGNED]))
    if not formats <= {UNSIGNED, SIGNED, FLOAT, UNDEFINED}:
        raise UnsupportedFilm(f"{name} is a TIFF of complex numbers; export it with 16 bits.")
    if within := NOT_READ.get(_one(tags, COMPRESSION, UNCOMPRESSED)):
        raise UnsupportedFilm(f"{name} is a TIFF compressed with {within}, which is not read; export it with LZW.")
    try:
        pieces = pieces_of(tags)
    except ValueError as odd:
        raise UnsupportedFilm(
            f"{name} is a TIFF in JPEG, JPEG 2000 or PNG with {odd}; export it as gray of 16."
        ) from None
    photometric = _one(tags, PHOTOMETRIC, BLACK_IS_ZERO)
    across, down = (tags.get(number, [0.0])[0] for number in (X_RESOLUTION, Y_RESOLUTION))
    return Header(
        "TIFF",
        int(tags[WIDTH][0]),
        int(tags[LENGTH][0]),
        orientation=_one(tags, ORIENTATION, 1),
        gray=photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO),
        white_is_zero=photometric == WHITE_IS_ZERO,
        tile=(max(1, _one(tags, TILE_WIDTH, 1)), max(1, _one(tags, TILE_LENGTH, 1))),
        page=page,
        pillow=pieces is None and _pillow_reads(tags, bits, formats, big_endian),
        bits=int(max(bits)),
        channels=max(len(bits), _one(tags, SAMPLES, 1)),
        aspect=aspect_of(across, down) or 1.0,
        pieces=pieces,
    )


def _pillow_reads(tags: Tags, bits: Sequence[float], formats: set[float], big_endian: bool) -> bool:
    """Tell whether Pillow reads the values of a page as they are."""
    if _one(tags, FILL_ORDER, 1) == LSB_FIRST and max(bits) > 8:
        return False
    if _one(tags, COMPRESSION, UNCOMPRESSED) in (LERC, WEBP):
        return False
    if _one(tags, PHOTOMETRIC, BLACK_IS_ZERO) == YCBCR and _one(tags, COMPRESSION, UNCOMPRESSED) not in JPEG:
        return False
    if _one(tags, PHOTOMETRIC, BLACK_IS_ZERO) == WHITE_IS_ZERO and max(bits) > 8 and FLOAT not in formats:
        return not big_endian and bits == [16] and formats <= {UNSIGNED, UNDEFINED}
    if formats <= {UNSIGNED, UNDEFINED}:
        return set(bits) <= {1, 2, 4, 8} or bits == [16]
    exchanged = big_endian and _one(tags, COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED
    return not exchanged and (bits == [32] or (bits, formats) == ([16], {SIGNED}))


def _quality(reader: TagReader, tags: Tags, index: int) -> float | None:
    """Return what `compression` estimates for a page in JPEG or WebP, or None if it lost nothing."""
    compression, given = _one(tags, COMPRESSION, UNCOMPRESSED), [pair for pair in PLACES if pair[0] in tags]
    if compression not in (*JPEG, WEBP) or not given:
        return None
    places = zip(*(map(int, tags.get(number, ())) for number in given[0]), strict=False)
    pieces = [reader.content[at : at + length] for at, length in places]
    if not pieces:
        return None
    if compression in JPEG:
        directory = list(reader.directories())[index]
        shared = (tag for tag in reader.tags(directory) if tag.number == JPEG_TABLES)
        return jpeg_quality(pieces[0], b"".join(reader.content[tag.at : tag.at + tag.size] for tag in shared))
    return webp_quality(pieces)
