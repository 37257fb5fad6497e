"""Decodes a film, in whatever form it is given, into a gray array that keeps its bit depth."""

import os
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..errors import FilmError, FilmTooLarge, FilmTooSmall, MissingExtra
from .content import read_content
from .film import Film, Limits, is_finite
from .formats import is_dicom
from .picture import read_image, read_picture
from .quiet import quiet_logs
from .square import squared

FilmInput = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray
"""A film can be a path, bytes, a binary file, a PIL image or an array."""
CHANNELS = 4
"""A pixel has at most four values. An array with four or fewer along its last axis is one picture."""
FileDecoder = Callable[[bytes, str, Limits], Film]
"""Such a function decodes the bytes of a file, which come with the name that messages use."""


def is_one_film(films: Any) -> bool:
    """Tell whether one film was given in place of several. Its rows or letters are no films."""
    if isinstance(films, np.ndarray):
        return films.ndim == 2 or (films.ndim == 3 and films.shape[2] <= CHANNELS)
    return isinstance(films, str | bytes | os.PathLike | Image.Image) or hasattr(films, "read")


def decode_file(content: bytes, name: str, limits: Limits) -> Film:
    """Decode a film's file in this process; see `decode`.

    Args:
        content: The bytes of the file.
        name: The name of the file in errors.
        limits: The bounds on size and pixels.

    Raises:
        KneeOAError: The errors of `decode`.
    """
    if not is_dicom(content):
        return read_picture(content, name, limits)
    try:
        from .dicom import read_dicom
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    return read_dicom(content, name, limits)


def decode(film: FilmInput, limits: Limits = Limits(), file_decoder: FileDecoder = decode_file) -> Film:
    """Read a film.

    Args:
        film: A path, bytes, a binary file, a PIL image, or an array [H,W] of uint8, uint16 or finite floats.
        limits: The limits on bytes and pixels, checked before anything is decoded.
        file_decoder: Decodes the bytes of a file, in this process or as `decode_process.DecodeProcesses`.

    Returns:
        The film, upright as its file says, in gray, with square pixels.

    Raises:
        FilmError: What was received cannot be read. The subclass says why: EmptyFilm, UnsupportedFilm, DamagedFilm,
            FilmTooLarge, FilmTooSmall, SeveralFrames or FilmNotFound.
        MissingExtra: The film needs a package that is not installed.
    """
    with quiet_logs(), np.errstate(all="ignore"):  # a value beyond float32 raises an error below, so it need not warn
        decoded = squared(_decoded(film, limits, file_decoder), limits)
    height, width = decoded.as_given.shape
    # A film of flat pixels has few rows of them, but it has to have as many pixels as the least square film.
    if min(decoded.pixels.shape) < limits.min_side or height * width < limits.min_side**2:
        raise FilmTooSmall(
            f"{decoded.name} is {width}x{height} px; a knee film needs at least {limits.min_side} px on its shorter"
            " side."
        )
    return decoded


def _decoded(film: FilmInput, limits: Limits, file_decoder: FileDecoder) -> Film:
    if isinstance(film, np.ndarray):
        return _from_array(film, limits)
    if isinstance(film, Image.Image):
        return read_image(film, limits)
    return file_decoder(*read_content(film, limits), limits)


def _from_array(array: np.ndarray, limits: Limits) -> Film:
    described = f"An array of shape {array.shape} and type {array.dtype}"
    if array.ndim != 2 or 0 in array.shape:
        raise FilmError(f"{described} is not a film; give [height, width].")
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise FilmError(f"{described} is not a film; give uint8, uint16 or float values.")
    if array.size > limits.max_pixels:
        raise FilmTooLarge(f"{described} has over {limits.max_pixels} pixels; give a smaller film.")
    pixels = np.array(array, np.float32)  # a plain array, also of a subclass such as a masked one
    if not is_finite(pixels):
        raise FilmError(f"{described} holds values that are not finite; replace them first.")
    return Film(pixels, "The array")
