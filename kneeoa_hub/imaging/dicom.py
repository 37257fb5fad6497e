"""DICOM films, by pydicom (extra `dicom`). No name, date or identifier of the patient leaves the header.

`dicom_header` says what the film is, `pixel_data` decodes its stored values, and `dicom_grays` turns them into the
grays that a viewer shows (DICOM PS3.3 C.7.6.3).
"""

from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from ..errors import DamagedFilm, FilmError, FilmTooLarge, MissingExtra, SeveralFrames, UnsupportedFilm
from .bounds import bounded
from .bounds.dicom import CountedReads, check_values
from .dicom_grays import UNKNOWN_GRAYS, bounds_of, exposed_pixels, shown_grays
from .dicom_header import READ_ELEMENTS, read_statements, text
from .film import Film, Limits
from .formats import DEFLATED
from .pixel_data import BARE_SYNTAXES, SYNTAXES, UNCOMPRESSED, high_bit, stored_values
from .quiet import quiet_warnings

GRAY = ("MONOCHROME1", "MONOCHROME2")
"""Photometric interpretations of gray films; in the first one low values are white."""
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
"""Photometric interpretations of colour pictures."""
CELL_BITS = (8, 16, 32)
"""Bits Allocated of uncompressed films that are read."""


@dataclass(frozen=True)
class _Form:
    """The form of the pixel data, as the header gives it."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    photometric: str
    syntax: str

    @property
    def is_rgb(self) -> bool:
        """Whether the pixels are stored as red, green and blue, as scanners also store gray films."""
        return self.photometric == "RGB" and self.samples == 3 and self.syntax in UNCOMPRESSED


def read_dicom(content: bytes, name: str, limits: Limits) -> Film:
    """Decode a DICOM film.

    Args:
        content: The file's bytes.
        name: What messages call the film.
        limits: The limits, which are checked before the pixels are decoded.

    Returns:
        The film after modality and VOI transforms, with bright bone: MONOCHROME1 is inverted. Declared padding takes
        the darkest value of the film, and `exposed` says where it is not. The film warns where the header leaves open
        whether it is a negative, and where its window cannot be used.

    Raises:
        UnsupportedFilm: The file holds no image, or one in colour or in a transfer syntax that is not read.
        DamagedFilm: The file is truncated or corrupt, or contradicts itself.
        FilmTooLarge: The film has too many pixels.
        SeveralFrames: The film has more than one frame.
        MissingExtra: The film is compressed, and imagecodecs is not installed.
    """
    header, form = _read_header(content, name)
    _check_form(header, form, name, limits)
    try:
        if not 0 < int(header.BitsStored) <= high_bit(header) + 1 <= form.allocated:
            raise DamagedFilm(
                f"{name} is damaged DICOM (its bits allocated, bits stored and high bit contradict each other); export"
                " it again."
            )
        with bounded(name):
            stored = stored_values(header, form.samples)
        if form.is_rgb:
            stored = _single_channel(stored, name)
        exposed = exposed_pixels(stored, header)
        pixels, warnings = shown_grays(stored, exposed, header)
        stated = read_statements(header)
    except FilmError:
        raise
    except ImportError:
        raise MissingExtra(
            f"{name} is compressed DICOM, which needs imagecodecs: pip install 'kneeoa-hub[dicom]'. Or export it"
            " uncompressed."
        ) from None
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # pydicom and the decoders raise many types for corrupt pixel data
        raise DamagedFilm(
            f"{name}: the DICOM pixel data can't be decoded ({type(error).__name__}); export it again, uncompressed."
        ) from None
    if not np.isfinite(pixels).all():
        raise DamagedFilm(f"{name} is damaged DICOM (its values are not finite numbers); export it again.")
    if form.photometric not in (*GRAY, "RGB"):
        warnings += (UNKNOWN_GRAYS,)
    if form.photometric == "MONOCHROME1":  # from the brightest exposed value: padding may lie far beyond it
        np.subtract(pixels.max(where=exposed, initial=-np.inf), pixels, out=pixels)
    bounds = None
    if not exposed.all():
        pixels[~exposed] = pixels.min(where=exposed, initial=np.inf)
        bounds = bounds_of(exposed, limits.min_side)
    return Film(
        pixels,
        name,
        exposed=bounds,
        side=stated.side,
        orientation=stated.orientation,
        ruled_out=stated.ruled_out,
        warnings=warnings,
    )


def _read_header(content: bytes, name: str) -> tuple[Dataset, _Form]:
    """Parse READ_ELEMENTS. Every value is converted here, so that pydicom's warnings about it are suppressed."""
    if DEFLATED in content:
        raise UnsupportedFilm(f"{name} is deflated DICOM; export it uncompressed.")
    try:
        with bounded(name), quiet_warnings():
            header = pydicom.dcmread(CountedReads(content), specific_tags=list(READ_ELEMENTS), force=True)
            check_values(header)
            for element in header:
                _ = element.value
            if "TransferSyntaxUID" not in header.file_meta:
                header.file_meta.TransferSyntaxUID = BARE_SYNTAXES[header.original_encoding]
        form = _Form(
            rows=int(header.get("Rows", 0)),
            columns=int(header.get("Columns", 0)),
            frames=int(header.get("NumberOfFrames") or 1),
            samples=int(header.get("SamplesPerPixel") or 1),
            allocated=int(header.get("BitsAllocated") or 0),
            photometric=text(header, "PhotometricInterpretation"),
            syntax=header.file_meta.TransferSyntaxUID,
        )
    except FilmError:
        raise
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # pydicom raises many types for a corrupt file
        raise DamagedFilm(f"{name} is damaged DICOM ({type(error).__name__}); export it again.") from None
    return header, form


def _check_form(header: Dataset, form: _Form, name: str, limits: Limits) -> None:
    """Raise the error of a film whose pixels are not to be decoded."""
    if not len(header):
        raise DamagedFilm(f"{name} is DICOM that is empty or cut off; export it again.")
    if not form.rows or not form.columns:
        raise UnsupportedFilm(f"{name} is DICOM without an image; send the radiograph itself.")
    if "PixelData" not in header:
        raise DamagedFilm(f"{name} is DICOM whose pixel data are missing or cut off; export it again.")
    if form.rows * form.columns > limits.max_pixels:
        raise FilmTooLarge(
            f"{name} is {form.columns}x{form.rows} px, over {limits.max_pixels} pixels; send a smaller film."
        )
    if form.frames > 1:
        raise SeveralFrames(f"{name} has {form.frames} frames; send one film a file.")
    if not form.is_rgb and (form.samples != 1 or form.photometric in COLOUR):
        raise _in_colour(name, form.photometric)
    if form.syntax not in SYNTAXES:
        raise UnsupportedFilm(f"{name} is DICOM in a transfer syntax that is not read; export it uncompressed.")
    if form.syntax in UNCOMPRESSED and form.allocated not in CELL_BITS:
        raise UnsupportedFilm(f"{name} is DICOM whose pixels do not take 8, 16 or 32 bits each; export it with 16.")


def _in_colour(name: str, photometric: str) -> UnsupportedFilm:
    kind = photometric if photometric in COLOUR else "of an unknown kind"  # any other text may name the patient
    return UnsupportedFilm(f"{name} is DICOM in colour ({kind}); send the gray radiograph.")


def _single_channel(stored: np.ndarray, name: str) -> np.ndarray:
    """Return [H,W] of [H,W,3]: a gray film that was stored as RGB. Raises UnsupportedFilm for a picture in colour."""
    red, green, blue = np.moveaxis(stored, -1, 0)
    if not np.array_equal(red, green) or not np.array_equal(red, blue):
        raise _in_colour(name, "RGB")
    return red
