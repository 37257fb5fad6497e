"""Films that are pictures: PNG, JPEG, TIFF, BMP and WebP files, and images that Pillow has opened."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from ..errors import DamagedFilm, FilmError, FilmTooLarge, KneeOAError, SeveralFrames, UnsupportedFilm
from .bounds import OverBound, bounded, check_picture
from .bounds.tags import check_exif
from .deep_color import ORIENTATION, WHITE_IS_ZERO, DeepHeader, deep_header, read_channels, tile_size
from .film import BLOCK_ROWS, Film, Limits
from .formats import PILLOW_FORMATS, READABLE_FORMATS

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in the gray value (ITU-R BT.601)."""
GRAY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F", "L")
"""Pillow's modes whose values are gray as they are."""
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
"""Pillow's modes whose values are multiplied by their opacity, and the modes that undo it."""
UPRIGHT_AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}
"""For each EXIF orientation the view of an upright picture [H,W] that lies as the file stores it. An upright film is
filled through this view, without a copy."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


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
        image = _opened(content)
        if header := _deep_header(content, image):
            return _from_channels(content, header, name, limits)
        if image is None:
            raise UnsupportedFilm(f"{name} is not an image that can be read; send {READABLE_FORMATS}.")
        with image:
            return _from_image(image, name, limits)


def read_image(image: Image.Image, limits: Limits) -> Film:
    """Decode an image that the caller opened with Pillow; its file may be closed already.

    Raises the errors of `read_picture`, and FilmError for a closed image.
    """
    name = "The image"
    with _decoder_errors(name, limits):
        try:
            return _from_image(image, name, limits)
        except ValueError as error:
            if "closed" not in str(error):  # the word of Pillow for an image, and of Python for its file
                raise
            raise FilmError(f"{name} is closed; open it again.") from None


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


def _deep_header(content: bytes, image: Image.Image | None) -> DeepHeader | None:
    try:
        return deep_header(content, image)
    except OverBound:
        raise
    except Exception:  # corrupt tags raise many types; Pillow then says what is wrong with the file
        return None


def _check_size(size: tuple[int, int], name: str, limits: Limits, costly: str, tile: tuple[int, int]) -> None:
    """Raise FilmTooLarge before anything is decoded.

    Args:
        size: Width and height in pixels.
        name: What messages call the film.
        limits: The limits.
        costly: What makes the decoder need twice the memory, so that pixels count twice; "" for any other film.
        tile: Width and height of a TIFF's tile. Whole tiles are decoded, however little of them the film covers.
    """
    width, height = size
    across, down = (-(-side // step) * step for side, step in zip(size, tile, strict=True))
    if across * down * (2 if costly else 1) <= limits.max_pixels:
        return
    counted = f" in tiles of {tile[0]}x{tile[1]}" if tile != (1, 1) else ""
    counted = f" of {costly}, which count twice" if costly else counted
    raise FilmTooLarge(
        f"{name} is {width}x{height} px{counted}, over {limits.max_pixels} pixels; send a smaller film, or raise"
        " KNEEOA_MAX_PIXELS."
    )


def _check_frames(several: bool, name: str) -> None:
    if several:
        raise SeveralFrames(f"{name} has several frames; send one film a file.")


def _from_channels(content: bytes, header: DeepHeader, name: str, limits: Limits) -> Film:
    _check_size((header.width, header.height), name, limits, "16 bits in several channels", header.tile)
    _check_frames(header.pages, name)
    values = read_channels(content, header, name)
    pixels, colour = _gray(lambda rows: values[rows], values.shape[:2], header.orientation, int(values.max()))
    return Film(_negative(pixels) if header.white_is_zero else pixels, name, colour=colour)


def _from_image(image: Image.Image, name: str, limits: Limits) -> Film:
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    _check_size(image.size, name, limits, "WebP" if image.format == "WEBP" else "", tile_size(tags))
    # A phone's JPEG (MPO) holds previews behind its first picture. Frames are not counted: a file can hold millions.
    _check_frames(getattr(image, "is_animated", False) and image.format != "MPO", name)
    white_is_zero = tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    image.load()  # turns a TIFF upright, and reads the chunks of a PNG that follow its pixels

    def values(rows: slice) -> np.ndarray:
        part = image.crop((0, rows.start, image.width, min(rows.stop, image.height)))
        if part.mode in PREMULTIPLIED:
            part = part.convert(PREMULTIPLIED[part.mode])
        part.info.pop("transparency", None)  # Pillow would warn of it; transparency is always ignored
        return np.asarray(part if part.mode in GRAY_MODES else part.convert("L" if part.mode == "1" else "RGB"))

    check_exif(image.info)
    pixels, colour = _gray(values, (image.height, image.width), image.getexif().get(ORIENTATION, 1), 255)
    # Pillow inverts 8-bit films by itself, and no other ones.
    if white_is_zero and image.mode in GRAY_MODES and image.mode != "L":
        pixels = _negative(pixels)
    if not np.isfinite(pixels).all():
        raise DamagedFilm(f"{name} holds values that are not finite numbers; export it again.")
    return Film(pixels, name, colour=colour)


def _gray(
    values: Callable[[slice], np.ndarray], shape: tuple[int, int], orientation: int, largest: int
) -> tuple[np.ndarray, float]:
    """Turn a stored picture upright and gray, block by block.

    Args:
        values: A function from a slice of the stored rows to their values, [h,W] gray or [h,W,3] colour.
        shape: Height and width of the stored picture.
        orientation: Its EXIF orientation, 1 to 8.
        largest: The largest value that a channel can have.

    Returns:
        The film, [H,W] float32 in its own units, and how colourful it is, 0 (gray) to 1.
    """
    pixels, colour = np.empty(shape[::-1] if orientation in SIDEWAYS else shape, np.float32), 0.0
    stored = UPRIGHT_AS_STORED.get(orientation, np.asarray)(pixels)
    for start in range(0, len(stored), BLOCK_ROWS):
        part = values(slice(start, start + BLOCK_ROWS))
        if part.ndim == 3:
            red, green, blue = np.moveaxis(part, -1, 0)
            spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
            colour += float(spread.sum(dtype=np.float64))
            part = part.astype(np.float32) @ LUMA if spread.any() else red
        stored[start : start + BLOCK_ROWS] = part
    return pixels, colour / max(pixels.size * largest, 1)


def _negative(pixels: np.ndarray) -> np.ndarray:
    """Invert float32 [H,W] in place."""
    return np.subtract(pixels.max(), pixels, out=pixels)
