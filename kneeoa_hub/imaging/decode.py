"""A film, in whatever form it is given, as a gray array. Every bit depth is kept; limits are checked first."""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from ..errors import (
    DamagedFilm,
    EmptyFilm,
    FilmError,
    FilmNotFound,
    FilmTooLarge,
    FilmTooSmall,
    KneeOAError,
    SeveralFrames,
    UnsupportedFilm,
)
from .deep_color import ORIENTATION, WHITE_IS_ZERO, DeepHeader, channels, deep_header, tile_of
from .film import BLOCK, Film, Limits
from .quiet import unheard

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
FILM_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dic", ".dicom")
)
"""By which films are told from other files in a folder; a film that is given by itself may have any name."""
READABLE = "PNG, JPEG, TIFF, BMP, WebP or DICOM"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601 weights of red, green and blue."""

GRAY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F", "L")
"""Pillow's modes that are gray as they are."""
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
"""Pillow's modes of which the values have to be put back to what they are without transparency."""
UPRIGHT_AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}
"""By EXIF orientation: the view of an upright picture [H,W] that is as the file holds it, so that it is filled without
a copy."""
ON_ITS_SIDE = (5, 6, 7, 8)
BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|..\0\0)", re.DOTALL)
"""How a data set begins that is filed as it is sent, in little endian: an element of group 2 or 8, with its kind or a
short length."""

FilmInput = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray


def decode(film: FilmInput, limits: Limits = Limits()) -> Film:
    """Read a film: a path, bytes, a binary file, a PIL image, or [H,W] uint8 | uint16 | finite float array.

    Raises a FilmError that says what was received: EmptyFilm, UnsupportedFilm, DamagedFilm, FilmTooLarge,
    FilmTooSmall, SeveralFrames or FilmNotFound.
    """
    with unheard(), np.errstate(all="ignore"):  # values beyond float32 are told as an error, and warn of nothing before
        decoded = _decoded(film, limits)
    if min(decoded.pixels.shape) < limits.min_side:
        raise FilmTooSmall(
            f"{decoded.name} is {decoded.width}x{decoded.height} px; a knee film needs at least {limits.min_side} px on"
            " its shorter side."
        )
    return decoded


def is_dicom(content: bytes) -> bool:
    """Whether a file is DICOM by its mark (PS3.10, 7.1), or by its first element when it has none, as in some older
    archives.
    """
    return content[128:132] == b"DICM" or BARE_DICOM.match(content) is not None


def _decoded(film: FilmInput, limits: Limits) -> Film:
    if isinstance(film, np.ndarray):
        return _from_array(film, limits)
    if isinstance(film, Image.Image):
        with _damage_told("the image", limits, is_open=False):
            return _from_image(film, "the image", limits)
    content, name = _read(film, limits)
    return _from_bytes(content, name, limits)


def _read(film: Any, limits: Limits) -> tuple[bytes, str]:
    """The film's bytes and the name that messages use."""
    if isinstance(film, bytes | bytearray | memoryview):
        content, name = bytes(film), "the film"
    elif isinstance(film, str | os.PathLike):
        path = Path(os.fsdecode(film))
        name = path.name
        try:
            if path.stat().st_size > limits.max_bytes:
                raise _too_many_bytes(name, path.stat().st_size, limits)
            with path.open("rb") as file:
                content = file.read(limits.max_bytes + 1)  # no more, as a pipe or a device tells no size
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FilmNotFound(f"{name or film} can't be read ({reason}); give the path of a film's file.") from None
    elif hasattr(film, "read"):
        name = Path(str(getattr(film, "name", None) or "the film")).name
        content = _read_open(film, name, limits)
    else:
        raise FilmError(f"A {type(film).__name__} is not a film; give a path, bytes, a file, a PIL image or an array.")
    if len(content) > limits.max_bytes:
        raise _too_many_bytes(name, len(content), limits)
    if not content:
        raise EmptyFilm(f"{name} is empty (0 bytes); send it again.")
    return content, name


def _read_open(file: Any, name: str, limits: Limits) -> bytes:
    """To the end of a file, which may give less at a time than it is asked for, or to just beyond the limit."""
    parts: list[bytes] = []
    left = limits.max_bytes + 1
    try:
        while left > 0 and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except Exception as error:  # a file may be anything that can be read
        if isinstance(error, UnicodeDecodeError) or any(isinstance(part, str) for part in parts):
            raise FilmError(f"{name} was opened as text; open it in binary mode, as in open(path, 'rb').") from None
        reason = "it is closed" if getattr(file, "closed", False) else type(error).__name__
        raise FilmError(
            f"{name} can't be read ({reason}); give a file that is open for reading, as by open(path, 'rb')."
        ) from None


def _too_many_bytes(name: str, size: int, limits: Limits) -> FilmTooLarge:
    return FilmTooLarge(
        f"{name} has over {limits.max_bytes / 2**20:.0f} MiB ({size / 2**20:.1f} received); send one film a file, or"
        " raise KNEEOA_MAX_BYTES."
    )


def _from_bytes(content: bytes, name: str, limits: Limits) -> Film:
    if is_dicom(content):
        from .dicom import read_dicom  # pydicom is an extra

        return read_dicom(content, name, limits)
    with _damage_told(name, limits):
        return _from_picture(content, name, limits)


@contextmanager
def _damage_told(name: str, limits: Limits, is_open: bool = True) -> Iterator[None]:
    """What goes wrong with a picture in the block is told as an error of the package.

    is_open: whether nobody can have closed it.
    """
    try:
        yield
    except KneeOAError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FilmTooLarge(f"{name} has far over {limits.max_pixels} pixels; send a smaller film.") from None
    except Exception as error:  # the decoders raise many kinds for a corrupt file
        # Pillow's word of an image, and Python's of its file
        if not is_open and isinstance(error, ValueError) and "closed" in str(error):
            raise FilmError(f"{name} is closed; open it again.") from None
        raise DamagedFilm(f"{name} is truncated or damaged ({type(error).__name__}); export it again.") from None


def _from_picture(content: bytes, name: str, limits: Limits) -> Film:
    image = _opened(content)
    if header := _deep(content, image):
        return _from_channels(content, header, name, limits)
    if image is None:
        raise UnsupportedFilm(f"{name} is not an image that can be read; send {READABLE}.")
    with image:
        return _from_image(image, name, limits)


def _opened(content: bytes) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        return None


def _deep(content: bytes, image: Image.Image | None) -> DeepHeader | None:
    try:
        return deep_header(content, image)
    except Exception:  # whatever is wrong with a TIFF, Pillow tells it
        return None


def _check(
    width: int, height: int, several: bool, name: str, limits: Limits, costly: str = "", tile: tuple[int, int] = (1, 1)
) -> None:
    """Before anything is decoded. costly: what takes its decoder twice the memory of any other film, so that its pixels
    count twice.

    tile: width and height of a TIFF's, which is decoded as a whole however little of it the film covers.
    """
    across, down = (-(-side // step) * step for side, step in zip((width, height), tile, strict=True))
    if across * down * (2 if costly else 1) > limits.max_pixels:
        counted = (
            f" of {costly}, which count twice"
            if costly
            else ""
            if tile == (1, 1)
            else f" in tiles of {tile[0]}x{tile[1]}"
        )
        raise FilmTooLarge(
            f"{name} is {width}x{height} px{counted}, over {limits.max_pixels} pixels; send a smaller film, or raise"
            " KNEEOA_MAX_PIXELS."
        )
    if several:
        raise SeveralFrames(f"{name} has several frames; send one film a file.")


def _from_channels(content: bytes, header: DeepHeader, name: str, limits: Limits) -> Film:
    _check(header.width, header.height, header.pages, name, limits, "16 bits in several channels", header.tile)
    values = channels(content, header, name)
    pixels, colour = _gray(lambda rows: values[rows], values.shape[:2], header.orientation, int(values.max()))
    return Film(_bright(pixels) if header.white_is_zero else pixels, name, colour=colour)


def _from_image(image: Image.Image, name: str, limits: Limits) -> Film:
    # A phone's JPEG (MPO) holds previews after its first picture; in other formats a frame is a film. Not counted: a
    # file can hold millions.
    several = getattr(image, "is_animated", False) and image.format != "MPO"
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    _check(*image.size, several, name, limits, "WebP" if image.format == "WEBP" else "", tile_of(tags))
    white_is_zero = tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    image.load()  # which turns a TIFF upright, and brings what a PNG says after its pixels

    def values(rows: slice) -> np.ndarray:
        part = image.crop((0, rows.start, image.width, min(rows.stop, image.height)))
        if part.mode in PREMULTIPLIED:
            part = part.convert(PREMULTIPLIED[part.mode])
        part.info.pop("transparency", None)  # of which Pillow would warn, and which is left out as any other
        return np.asarray(part if part.mode in GRAY else part.convert("L" if part.mode == "1" else "RGB"))

    pixels, colour = _gray(values, (image.height, image.width), image.getexif().get(ORIENTATION, 1), 255)
    # Pillow puts 8 bits right by itself, and leaves the others as they are
    if white_is_zero and image.mode in GRAY and image.mode != "L":
        pixels = _bright(pixels)
    if not np.isfinite(pixels).all():
        raise DamagedFilm(f"{name} holds values that are not numbers; export it again.")
    return Film(pixels, name, colour=colour)


def _gray(
    values: Callable[[slice], np.ndarray], shape: tuple[int, int], orientation: int, largest: int
) -> tuple[np.ndarray, float]:
    """An upright film as float32 [H,W] in its own units, and how colourful it is: 0 (gray) to 1.

    values: of rows of the stored picture, [h,W] or [h,W,3]. shape: of that picture. orientation: as of EXIF. largest:
    that a value can be.
    """
    pixels, colour = np.empty(shape[::-1] if orientation in ON_ITS_SIDE else shape, np.float32), 0.0
    stored = UPRIGHT_AS_STORED.get(orientation, np.asarray)(pixels)
    for start in range(0, len(stored), BLOCK):
        part = values(slice(start, start + BLOCK))
        if part.ndim == 3:
            red, green, blue = np.moveaxis(part, -1, 0)
            spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
            colour += float(spread.sum(dtype=np.float64))
            part = part.astype(np.float32) @ LUMA if spread.any() else red
        stored[start : start + BLOCK] = part
    return pixels, colour / max(pixels.size * largest, 1)


def _bright(pixels: np.ndarray) -> np.ndarray:
    """The negative of float32 [H,W], in its place."""
    return np.subtract(pixels.max(), pixels, out=pixels)


def _from_array(array: np.ndarray, limits: Limits) -> Film:
    described = f"An array of shape {array.shape} and type {array.dtype}"
    if array.ndim != 2 or 0 in array.shape:
        raise FilmError(f"{described} is not a film; give [height, width].")
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise FilmError(f"{described} is not a film; give uint8, uint16 or float values.")
    if array.size > limits.max_pixels:
        raise FilmTooLarge(f"{described} has over {limits.max_pixels} pixels; give a smaller film.")
    pixels = np.array(array, np.float32)  # a plain one, of whatever kind was given
    if not np.isfinite(pixels).all():
        raise FilmError(f"{described} holds values that are not finite; replace them first.")
    return Film(pixels, "the array")
