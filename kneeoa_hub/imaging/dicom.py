"""DICOM films, by pydicom (extra `dicom`). Of the header only what follows is read; no name, date or id leaves it.

Pixels: DICOM PS3.3 C.7.6.3 (pixel padding, photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT). What the film is:
modality, body part, view and laterality.
"""

import io
from typing import Any

import numpy as np

from ..errors import DamagedFilm, FilmTooLarge, MissingExtra, SeveralFrames, UnsupportedFilm
from .decode import Film, Limits

SIDES = {"L": "left", "R": "right"}
PLAIN_FILM = ("", "CR", "DX", "DR", "RG", "OT", "SC")
"""Modalities that a plain radiograph is filed under: computed, digital, film digitised; other; secondary capture."""
OTHER_PARTS = (
    *("ABDOMEN", "ANKLE", "ARM", "BREAST", "CHEST", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW", "FINGER", "FOOT", "FOREARM", "HAND"),
    *("HEAD", "HEART", "HIP", "HUMERUS", "JAW", "LSPINE", "LUNG", "NECK", "PELVIS", "RIB", "SHOULDER", "SKULL", "SPINE", "SSPINE"),
    *("STERNUM", "THORAX", "TOE", "TOOTH", "TSPINE", "WRIST"),
)
"""Words of Body Part Examined (0018,0015) that rule a knee out. Any other text, in whatever language, rules out nothing."""
OTHER_VIEWS = ("LL", "RL", "LLD", "RLD", "LAT", "LATERAL", "ML", "LM", "AXIAL", "SKYLINE", "SUNRISE", "MERCHANT", "TANGENTIAL")
"""Values of View Position (0018,5101) that are no frontal view."""


def read_dicom(content: bytes, name: str, limits: Limits) -> Film:
    """Pixels after modality and VOI transforms, bright bone (MONOCHROME1 is inverted), with the side when it is given.

    Padding takes the darkest value of the film. Raises MissingExtra without pydicom, UnsupportedFilm without pixels or with
    colour, SeveralFrames, FilmTooLarge, DamagedFilm.
    """
    try:
        import pydicom
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

        from .jpeg import is_uncommon_jpeg, stored_values
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
        stored = stored_values(header) if is_uncommon_jpeg(header) else header.pixel_array
        pixels = np.asarray(apply_voi_lut(apply_modality_lut(stored, header), header), np.float32)
        padding = _padding(stored, header)
        side, ruled_out = SIDES.get(_text(header, "ImageLaterality") or _text(header, "Laterality")), _ruled_out(header)
    except Exception as error:  # a missing decoder, or corrupt pixel data
        raise DamagedFilm(
            f"{name}: the DICOM pixel data can't be decoded ({type(error).__name__}); export it uncompressed, "
            "or install the decoders with: pip install 'kneeoa-hub[dicom]'"
        ) from None
    if pixels.ndim != 2 or not np.isfinite(pixels).all():
        raise DamagedFilm(f"{name} is damaged DICOM (its values are no gray film); export it again.")
    if photometric == "MONOCHROME1":
        pixels = pixels.max() - pixels
    if padding.any() and not padding.all():
        pixels[padding] = pixels[~padding].min()
    return Film(pixels, name, side=side, ruled_out=ruled_out)


def _ruled_out(header: Any) -> str | None:
    """The reason of a refusal when the header itself says that this is no frontal plain film of a knee."""
    if _text(header, "Modality") not in PLAIN_FILM:
        return "other-modality"
    words = _text(header, "BodyPartExamined").replace("_", " ").replace("/", " ").split()
    if any(word in OTHER_PARTS for word in words) and not any("KNEE" in word for word in words):
        return "other-body-part"
    return "not-frontal" if _text(header, "ViewPosition") in OTHER_VIEWS else None


def _text(header: Any, keyword: str) -> str:
    """A header's value in capitals; of several values the first. Read raw: pydicom would log a value that it finds wrong."""
    element = header.get_item(keyword)
    value = element.value if element is not None else b""
    text = value.decode("ascii", "ignore") if isinstance(value, bytes) else str(value or "")
    return text.split("\\")[0].strip(" \0").upper()


def _padding(stored: np.ndarray, header: Any) -> np.ndarray:
    """[H,W] bool: stored values that fill what the detector did not see."""
    if "PixelPaddingValue" not in header:
        return np.zeros(stored.shape, bool)
    first = int(header.PixelPaddingValue)
    last = int(header.get("PixelPaddingRangeLimit", first))
    return (stored >= min(first, last)) & (stored <= max(first, last))
