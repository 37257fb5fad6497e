"""Reads films that are pictures: PNG, JPEG, TIFF, BMP and WebP files, and images that Pillow has opened."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import DamagedFilm, FilmError, FilmTooLarge, KneeOAError, SeveralFrames, UnsupportedFilm
from .bounds import OverBound, bounded, check_picture
from .bounds.tags import check_exif
from .camera import PHOTOGRAPH, is_photograph
from .compression import pillow_quality, webp_quality
from .content import read_content
from .copies import same_film
from .deep_color import ORIENTATION, deep_png, read_values
from .film import Film, Limits, is_finite
from .formats import PILLOW_FORMATS, READABLE_FORMATS, other_format
from .gray import SIDEWAYS, upright_gray
from .header import Header
from .square import stated_aspect
from .tiff import film_page, is_tiff, opened_page, quality_of

GRAY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F", "L")
"""Images in these modes of Pillow hold gray values as they are."""
ARCHIVES = (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!")
"""ZIP, gzip, 7z and RAR files, in which films are often handed over, begin with these bytes."""
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
"""Images in these modes of Pillow hold values that are multiplied by their opacity. The second mode undoes it."""


def read_picture(content: bytes, name: str, limits: Limits) -> Film:
    """Decode a picture's file.

    Args:
        content: The file's bytes.
        name: What messages call the film.
        limits: The limits, which are checked before anything is decoded.

    Raises:
        UnsupportedFilm: The file is in no format that is read.
        DamagedFilm: The file is truncated or corrupt.
        FilmTooLarge: The film has too many pixels.
        SeveralFrames: The file has more than one frame.
        MissingExtra: The film needs imagecodecs, which is not installed.
    """
    with _decoder_errors(name, limits):
        check_picture(content, name, limits.max_pixels)
        page = film_page(content, name) if is_tiff(content) else None
        if page:
            return _from_tiff(content, page, name, limits)
        image = _opened(content)
        if image is None:
            raise UnsupportedFilm(f"{name} is {_unread(content)} send {READABLE_FORMATS}.")
        with image:
            if header := _deep_png(content, image):
                return _from_values(content, header, name, limits)
            film = _from_image(image, name, limits)
            if image.format == "WEBP":
                return replace(film, quality=webp_quality([content]))
            return film


def read_image(image: Image.Image, limits: Limits) -> Film:
    """Decode an image that the caller opened with Pillow; its file may be closed already.

    Raises the errors of `read_picture`, and FilmError for a closed image.
    """
    name = "The image"
    with _decoder_errors(name, limits):
        try:
            if image.format == "TIFF":
                return _from_opened_tiff(image, name, limits)
            return _from_image(image, name, limits)
        except ValueError as error:
            if "closed" not in str(error):  # the word of Pillow for an image, and of Python for its file
                raise
            raise FilmError(f"{name} is closed; open it again.") from None


def _from_opened_tiff(image: Any, name: str, limits: Limits) -> Film:
    """Decode a TIFF that the caller opened, from its file if that is still open, as from any other file."""
    if image.tile and image.fp and not image.tell():
        image.fp.seek(0)
        content, _ = read_content(image.fp, limits)
        return read_picture(content, name, limits)
    return _from_page(image, opened_page(image, name), name, limits)


@contextmanager
def _decoder_errors(name: str, limits: Limits) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into an error of this package."""
    try:
        with bounded(name):
            yield
    except KneeOAError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FilmTooLarge(f"{name} has far more than {limits.max_pixels} pixels; send a smaller film.") from None
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # decoders raise many types for a corrupt file, struct.error among them
        raise DamagedFilm(f"{name} is truncated or damaged ({type(error).__name__}); export it again.") from None


def _opened(content: bytes) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(content), formats=PILLOW_FORMATS)
    except UnidentifiedImageError:
        return None


def _unread(content: bytes) -> str:
    """Return what kind of file it is that Pillow does not open."""
    if other := other_format(content):
        return f"{other}, which is not read;"
    return "an archive; unpack it, and" if content.startswith(ARCHIVES) else "not an image that can be read;"


def _deep_png(content: bytes, image: Image.Image) -> Header | None:
    try:
        return deep_png(content, image)
    except OverBound:
        raise
    except Exception:  # corrupt tags raise many types; Pillow then says what is wrong with the file
        return None


def _check_size(
    size: tuple[int, int], name: str, limits: Limits, costly: str = "", times: int = 1, tile: tuple[int, int] = (1, 1)
) -> None:
    """Raise FilmTooLarge before anything is decoded.

    Args:
        size: Width and height in pixels.
        name: What messages call the film.
        limits: The limits.
        costly: What makes the decoder need more memory; "" for any other film.
        times: How often each pixel counts for it.
        tile: Width and height of a TIFF's tile. Whole tiles are decoded, however little of them the film covers.
    """
    width, height = size
    across, down = (-(-side // step) * step for side, step in zip(size, tile, strict=True))
    if across * down * times <= limits.max_pixels:
        return
    counted = f" in tiles of {tile[0]}x{tile[1]}" if tile != (1, 1) else ""
    often = "twice" if times == 2 else f"{times} times"
    counted = f" of {costly}, which count {often}" if costly else counted
    raise FilmTooLarge(
        f"{name} is {width}x{height} px{counted}, over {limits.max_pixels} pixels; send a smaller film, or raise"
        " KNEEOA_MAX_PIXELS."
    )


def _check_frames(several: bool, name: str) -> None:
    if several:
        raise SeveralFrames(f"{name} has several frames; send one film a file.")


def _from_values(content: bytes, header: Header, name: str, limits: Limits) -> Film:
    """Decode a film that Pillow does not read as it is."""
    _check_size((header.width, header.height), name, limits, header.costly, header.times, header.tile)
    values = read_values(content, header, name)
    return _film(lambda rows: values[rows], header, float(values.max()), name)


def _from_tiff(content: bytes, page: Header, name: str, limits: Limits) -> Film:
    """Decode a TIFF's page. Raises SeveralFrames if a smaller page of the same shape shows something else."""
    if not page.pillow:
        film = _from_values(content, page, name, limits)
        film = replace(film, quality=quality_of(content, page, film.pixels))
    else:
        image = _opened(content)
        if image is None:
            raise UnsupportedFilm(f"{name} is a TIFF that cannot be read; send {READABLE_FORMATS}.")
        with image:
            film = _from_page(image, page, name, limits)
    for copy in page.copies:
        _check_frames(not same_film(film.pixels, _from_tiff(content, copy, name, limits).pixels), name)
    return film


def _from_page(image: Image.Image, page: Header, name: str, limits: Limits) -> Film:
    """Decode a TIFF's page with Pillow, which turns it upright."""
    _check_size((page.width, page.height), name, limits, tile=page.tile)
    if image.tell() != page.page:
        image.seek(page.page)
    image.load()
    aspect = 1 / page.aspect if page.orientation in SIDEWAYS else page.aspect
    # Pillow inverts 8-bit films by itself, and no other ones.
    negative = page.white_is_zero and image.mode in GRAY_MODES and image.mode != "L"
    width, height = image.size
    upright = replace(page, width=width, height=height, orientation=1, aspect=aspect, white_is_zero=negative)
    return _film(_values_of(image), upright, 255, name)


def _from_image(image: Image.Image, name: str, limits: Limits) -> Film:
    """Decode an image of another format, or one that the caller opened."""
    costly = "WebP" if image.format == "WEBP" else ""
    _check_size(image.size, name, limits, costly, times=2 if costly else 1)
    # A phone's JPEG (MPO) holds previews behind its first picture. Frames are not counted: a file can hold millions.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise SeveralFrames(f"{name} has several frames; send one film a file.")
    image.load()  # reads the chunks of a PNG that follow its pixels
    check_exif(image.info)
    exif = image.getexif()
    quality = pillow_quality(getattr(image, "quantization", None) or {}, getattr(image, "layer", None) or ())
    header = Header(
        str(image.format),
        *image.size,
        orientation=exif.get(ORIENTATION, 1),
        aspect=stated_aspect(image.info, exif),
        quality=quality,
    )
    film = _film(_values_of(image), header, 255, name)
    return replace(film, warnings=(PHOTOGRAPH,)) if is_photograph(exif) else film


def _values_of(image: Image.Image) -> Callable[[slice], np.ndarray]:
    """Return a function from a slice of a loaded image's rows to their values, gray or RGB."""

    def values(rows: slice) -> np.ndarray:
        part = image.crop((0, rows.start, image.width, min(rows.stop, image.height)))
        if part.mode in PREMULTIPLIED:
            part = part.convert(PREMULTIPLIED[part.mode])
        part.info.pop("transparency", None)  # Pillow would warn of it; transparency is always ignored
        return np.asarray(part if part.mode in GRAY_MODES else part.convert("L" if part.mode == "1" else "RGB"))

    return values


def _film(values: Callable[[slice], np.ndarray], header: Header, largest: float, name: str) -> Film:
    """Make the film of stored values, see `gray.upright_gray`."""
    pixels, colour = upright_gray(values, (header.height, header.width), header.orientation, largest)
    if header.white_is_zero:
        np.subtract(pixels.max(), pixels, out=pixels)
    if not is_finite(pixels):
        raise DamagedFilm(f"{name} holds values that are not finite numbers; export it again.")
    aspect = 1 / header.aspect if header.orientation in SIDEWAYS else header.aspect
    return Film(pixels, name, colour=colour, quality=header.quality, aspect=aspect)
