"""DICOM films, by pydicom (extra `dicom`). Of the header only laterality is read; no name, date or id leaves it."""

import io

import numpy as np

from ..errors import DamagedFilm, FilmTooLarge, MissingExtra, SeveralFrames, UnsupportedFilm
from .decode import Film, Limits

SIDES = {"L": "left", "R": "right"}


def read_dicom(content: bytes, name: str, limits: Limits) -> Film:
    """Pixels after modality and VOI transforms, bright bone (MONOCHROME1 is inverted), with the side when it is given.

    Raises MissingExtra without pydicom, UnsupportedFilm without pixels or with colour, SeveralFrames,
    FilmTooLarge, DamagedFilm.
    """
    try:
        import pydicom
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    try:
        header = pydicom.dcmread(io.BytesIO(content))
        rows, columns = int(header.get("Rows", 0)), int(header.get("Columns", 0))
        photometric = str(header.get("PhotometricInterpretation", ""))
        frames = int(header.get("NumberOfFrames", None) or 1)
    except Exception as error:  # pydicom raises many kinds for a corrupt file
        raise DamagedFilm(f"{name} is damaged DICOM ({type(error).__name__}); export it again.") from None
    if not rows or not columns or "PixelData" not in header:
        raise UnsupportedFilm(f"{name} is DICOM without an image; send the radiograph itself.")
    if rows * columns > limits.max_pixels:
        raise FilmTooLarge(f"{name} is {columns}x{rows} px, over {limits.max_pixels} pixels; send a smaller film.")
    if frames > 1:
        raise SeveralFrames(f"{name} has {frames} frames; send one film a file.")
    if not photometric.startswith("MONOCHROME"):
        raise UnsupportedFilm(f"{name} is DICOM in colour ({photometric}); send the gray radiograph.")
    try:
        pixels = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
    except Exception as error:  # a missing decoder, or corrupt pixel data
        raise DamagedFilm(
            f"{name}: the DICOM pixel data can't be decoded ({type(error).__name__}); export it uncompressed, "
            "or install the decoders with: pip install 'kneeoa-hub[dicom]'"
        ) from None
    pixels = np.asarray(pixels, np.float32)
    if photometric == "MONOCHROME1":
        pixels = pixels.max() - pixels
    letter = str(header.get("ImageLaterality", "") or header.get("Laterality", "")).upper()
    return Film(pixels, name, side=SIDES.get(letter))
