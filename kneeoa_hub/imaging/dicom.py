"""Reads DICOM films with pydicom (extra `dicom`). No name, date or identifier of the patient leaves the header.

`dicom_header` says what the film is, `pixel_data` decodes its stored values, and `dicom_grays` turns them into the
grays that a viewer shows (DICOM PS3.3 C.7.6.3). Each part of a header is read separately, so a fault in one part costs
no other part.
"""

import math

import numpy as np
import pydicom
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless

from ..errors import (
    DamagedFilm,
    FilmError,
    FilmTooLarge,
    KneeOAError,
    MissingExtra,
    SeveralFrames,
    UnsupportedFilm,
)
from .bounds import bounded
from .bounds.dicom import CountedReads, check_values
from .compression import jpeg_2000_quality, jpeg_ls_quality, jpeg_quality, stated_quality
from .deflated import inflated
from .dicom_colour import IncompletePalette, gray_of, gray_of_palette
from .dicom_grays import UNKNOWN_GRAYS, bounds_of, exposed_pixels, shown_grays
from .dicom_header import READ_ELEMENTS, read_statements
from .dicom_values import items, numbers, text, whole
from .film import Film, Limits, is_finite
from .formats import is_dicomdir
from .pixel_data import BARE_SYNTAXES, JPEG, JPEG_2000, JPEG_LS, SYNTAXES, UNCOMPRESSED, frame_of, stored_values
from .pixel_form import PixelForm
from .quiet import quiet_warnings
from .stored_bits import Bits

GRAY = ("MONOCHROME1", "MONOCHROME2")
"""Gray films have one of these photometric interpretations. With the first one, low values are white."""
PALETTE = "PALETTE COLOR"
"""Indices into a palette have this photometric interpretation."""
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", PALETTE)
"""Colour pictures have one of these photometric interpretations."""
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
"""An enhanced object describes all its frames, and each of them, in these sequences."""
LOSSY = "01"
"""Lossy Image Compression has this value for a film that lost something."""
WHOLE = (JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL)
"""These transfer syntaxes are JPEG 2000 without loss."""
NEWER_SYNTAXES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}
"""pydicom does not know the names of these transfer syntaxes yet."""
CELL_BITS = (8, 16, 32)
"""Uncompressed films are read if they have one of these numbers of Bits Allocated."""


def read_dicom(content: bytes, name: str, limits: Limits) -> Film:
    """Decode a DICOM film.

    Args:
        content: The file's bytes.
        name: What messages call the film.
        limits: The limits, which are checked before the pixels are decoded.

    Returns:
        The film after modality and VOI transforms, with bright bone: MONOCHROME1 is inverted. Declared padding takes
        the darkest value of the film, and `exposed` says where it is not. The film warns where the header leaves open
        whether it is a negative, where it contradicts the pixels, and where its window cannot be used.

    Raises:
        UnsupportedFilm: The file holds no image, or one in a form or in a transfer syntax that is not read.
        DamagedFilm: The file is truncated or corrupt, or contradicts itself.
        FilmTooLarge: The film has too many pixels.
        SeveralFrames: The film has more than one frame.
        MissingExtra: The film is compressed, and imagecodecs is not installed.
    """
    header, form = _read_header(content, name, limits)
    _check_form(header, form, name, limits)
    try:
        return _film(header, form, name, limits)
    except KneeOAError:
        raise
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # a value of a type that no header should have
        raise DamagedFilm(
            f"{name} is DICOM whose header contradicts itself ({type(error).__name__}); export it again."
        ) from None


def _film(header: Dataset, form: PixelForm, name: str, limits: Limits) -> Film:
    stored, colour, form, warnings = _decoded(header, form, name, limits)
    quality = _quality(header, form, stored)
    del header.PixelData  # unless `stored` is a view of them, they would be in memory a second time
    pixels, exposed, faults = _shown(stored, header, form, name, limits.min_side)
    stated = read_statements(header)
    unknown = () if form.photometric in (*GRAY, *COLOUR) else (UNKNOWN_GRAYS,)
    return Film(
        pixels,
        name,
        colour=colour,
        exposed=exposed,
        side=stated.side,
        orientation=stated.orientation,
        ruled_out=stated.ruled_out,
        warnings=(*warnings, *faults, *unknown, *stated.warnings),
        quality=quality,
        aspect=stated.aspect,
    )


def _quality(header: Dataset, form: PixelForm, stored: np.ndarray) -> float | None:
    """Return what `compression` estimates from the frame and from the header's statements. None means no loss."""
    found = (_frame_quality(header, form, stored), _stated_quality(header, form, stored))
    return min((one for one in found if one is not None), default=None)


def _stated_quality(header: Dataset, form: PixelForm, stored: np.ndarray) -> float | None:
    """Return the quality of a film that was compressed with loss before (PS3.3 C.7.6.1.1.5)."""
    ratios = [one for one in numbers(header, "LossyImageCompressionRatio") if math.isfinite(one)]
    lossy = text(header, "LossyImageCompression") == LOSSY
    return stated_quality(max(ratios), form.allocated, stored) if lossy and ratios else None


def _frame_quality(header: Dataset, form: PixelForm, stored: np.ndarray) -> float | None:
    frame = frame_of(header, form)
    if frame is None:
        return None
    if form.syntax in JPEG:
        return jpeg_quality(frame)
    if form.syntax in JPEG_LS:
        return jpeg_ls_quality(frame, float(np.ptp(stored)))
    judged = form.syntax in JPEG_2000 and form.syntax not in WHOLE
    return jpeg_2000_quality([frame], stored) if judged else None


def _read_header(content: bytes, name: str, limits: Limits) -> tuple[Dataset, PixelForm]:
    """Parse READ_ELEMENTS. Every value is converted here, so that pydicom's warnings about it are suppressed."""
    try:
        with bounded(name), quiet_warnings():
            whole_file = CountedReads(inflated(content, limits))
            header = pydicom.dcmread(whole_file, specific_tags=[*READ_ELEMENTS, *GROUPS], force=True)
            header.buffer = None  # pydicom keeps the file, which may have been inflated
            check_values(header)
            _add_groups(header)
            for element in header.iterall():  # those of sequences too
                _ = element.value
            if is_dicomdir(header.file_meta):
                raise UnsupportedFilm(
                    f"{name} is a DICOMDIR, the list of the films on a medium, and holds none itself; give its folder,"
                    " or the films that it lists."
                )
            if "TransferSyntaxUID" not in header.file_meta:
                header.file_meta.TransferSyntaxUID = BARE_SYNTAXES[header.original_encoding]
        return header, _form_of(header)
    except FilmError:
        raise
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # pydicom raises many types for a corrupt file
        raise DamagedFilm(f"{name} is damaged DICOM ({type(error).__name__}); export it again.") from None


def _add_groups(header: Dataset) -> None:
    """Add what an enhanced object says of all its frames and of its first, as the shape of a pixel (PS3.3 C.7.6.16)."""
    for group in [group for keyword in GROUPS for group in items(header, keyword)[:1]]:
        for one in [item for macro in group for item in items(group, macro.keyword)]:
            for element in one:
                if element.keyword in READ_ELEMENTS and element.tag not in header:
                    header.add(element)


def _form_of(header: Dataset) -> PixelForm:
    rows, columns = whole(header, "Rows", 0), whole(header, "Columns", 0)
    samples, syntax = whole(header, "SamplesPerPixel", 1), header.file_meta.TransferSyntaxUID
    allocated = whole(header, "BitsAllocated", 0)
    used = max(whole(header, "BitsStored", 0), whole(header, "HighBit", -1) + 1)
    other = {1: 3, 3: 1}.get(samples, 0)
    if syntax in UNCOMPRESSED and _cell_bits(header, rows * columns * other) == allocated != 0:  # the pixels tell
        samples = other
    fitting = _cell_bits(header, rows * columns * samples) if syntax in UNCOMPRESSED else 0
    if 0 < fitting < allocated:  # the pixels tell
        allocated = fitting
    elif allocated < max(1, used) or allocated not in CELL_BITS:
        allocated = fitting or (allocated if syntax in UNCOMPRESSED else 16)
    stored = whole(header, "BitsStored", whole(header, "HighBit", allocated - 1) + 1)
    return PixelForm(
        rows=rows,
        columns=columns,
        frames=whole(header, "NumberOfFrames", 1) or 1,
        samples=samples,
        allocated=allocated,
        bits=Bits(stored, whole(header, "HighBit", stored - 1), whole(header, "PixelRepresentation", 0) == 1),
        planar=whole(header, "PlanarConfiguration", 0) == 1,
        photometric=text(header, "PhotometricInterpretation"),
        syntax=syntax,
    )


def _cell_bits(header: Dataset, cells: int) -> int:
    """Return how many bits each of so many uncompressed cells takes, or 0 if they do not fill the pixel data."""
    length = len(header.get("PixelData") or b"")
    return next((bits for bits in CELL_BITS if length - bits // 8 * cells in (0, 1)), 0)  # a byte may be added


def _check_form(header: Dataset, form: PixelForm, name: str, limits: Limits) -> None:
    """Raise the error of a film whose pixels are not to be decoded."""
    if not len(header):
        raise DamagedFilm(f"{name} is DICOM that is empty or cut off; export it again.")
    if form.rows <= 0 or form.columns <= 0:
        raise UnsupportedFilm(f"{name} is DICOM without an image; send the radiograph itself.")
    if "PixelData" not in header:
        raise DamagedFilm(f"{name} is DICOM whose pixel data are missing or cut off; export it again.")
    if form.rows * form.columns > limits.max_pixels:
        raise FilmTooLarge(
            f"{name} is {form.columns}x{form.rows} px, over {limits.max_pixels} pixels; send a smaller film."
        )
    if form.frames > 1:
        raise SeveralFrames(f"{name} has {form.frames} frames; send one film a file.")
    if form.samples not in (1, 3):
        kind = form.photometric if form.photometric in COLOUR else "of an unknown kind"  # other text may name a patient
        raise UnsupportedFilm(f"{name} is DICOM in colour ({kind}); send the gray radiograph.")
    if form.syntax not in SYNTAXES:
        raise UnsupportedFilm(f"{name} is DICOM in {_syntax_name(form.syntax)}; export it uncompressed.")
    if form.syntax in UNCOMPRESSED and form.allocated not in CELL_BITS:
        raise UnsupportedFilm(f"{name} is DICOM whose pixels do not take 8, 16 or 32 bits each; export it with 16.")


def _syntax_name(syntax: str) -> str:
    """Return the name of a transfer syntax that is not read. Its element may hold any text."""
    named = NEWER_SYNTAXES.get(syntax) or UID(syntax, validation_mode=IGNORE).name
    known = named != syntax
    return f"the transfer syntax {named}, which is not read" if known else "a transfer syntax that is not read"


def _decoded(
    header: Dataset, form: PixelForm, name: str, limits: Limits
) -> tuple[np.ndarray, float, PixelForm, tuple[str, ...]]:
    """Return the stored values [H,W], how colourful the film is, the form of its values, and warnings."""
    try:
        with bounded(name):
            stored, form, warnings = stored_values(header, form, limits.max_pixels)
            if form.samples == 3:
                return *gray_of(stored, form), form, warnings
            if form.photometric == PALETTE:
                return *gray_of_palette(stored, header, form), form, ()
            return stored, 0.0, form, warnings
    except FilmError:
        raise
    except IncompletePalette:
        raise DamagedFilm(
            f"{name} is DICOM whose colour palette is missing or not complete; export it again."
        ) from None
    except ImportError:
        raise MissingExtra(
            f"{name} is compressed DICOM, which needs imagecodecs: pip install 'kneeoa-hub[dicom]'. Or export it"
            " uncompressed."
        ) from None
    except MemoryError:
        raise FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film.") from None
    except Exception as error:  # the decoders raise many types for corrupt pixel data
        raise DamagedFilm(
            f"{name}: the DICOM pixel data are cut off or corrupt ({type(error).__name__}); export it again."
        ) from None


def _shown(
    stored: np.ndarray, header: Dataset, form: PixelForm, name: str, least: int
) -> tuple[np.ndarray, tuple[int, int, int, int] | None, tuple[str, ...]]:
    """Return the grays [H,W] float32 with bright bone, the bounds of what is not padding, and warnings.

    The bounds are None if a side is shorter than `least`, or if there is no padding.
    """
    exposed = exposed_pixels(stored, header, form)
    pixels, warnings = shown_grays(stored, exposed, header, form)
    if not is_finite(pixels):
        raise DamagedFilm(f"{name} is damaged DICOM (its values are not finite numbers); export it again.")
    if form.photometric == "MONOCHROME1":  # from the brightest exposed value: padding may lie far beyond it
        brightest = pixels.max() if exposed is None else pixels.max(where=exposed, initial=-np.inf)
        np.subtract(brightest, pixels, out=pixels)
    if exposed is None:
        return pixels, None, warnings
    bounds, darkest = bounds_of(exposed, least), pixels.min(where=exposed, initial=np.inf)
    np.copyto(pixels, darkest, where=np.logical_not(exposed, out=exposed))
    return pixels, bounds, warnings
