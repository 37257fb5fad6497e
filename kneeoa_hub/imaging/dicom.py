"""DICOM films, by pydicom (extra `dicom`). Of the header only what follows is read; no name, date or id leaves it.

Pixels: DICOM PS3.3 C.7.6.3 (pixel padding, photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT). What
the film is: modality, body part, view, laterality and patient orientation (C.7.6.1.1.1).
"""

import io
import re
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..errors import DamagedFilm, FilmError, FilmTooLarge, MissingExtra, SeveralFrames, UnsupportedFilm
from .film import BLOCK, Film, Limits
from .quiet import unwarned

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""UID of the transfer syntax Deflated Explicit VR Little Endian."""
READ = (
    *(
        "Modality",
        "BodyPartExamined",
        "ViewPosition",
        "Laterality",
        "ImageLaterality",
        "Rows",
        "Columns",
        "NumberOfFrames",
        "SamplesPerPixel",
    ),
    *(
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelPaddingValue",
    ),
    *(
        "PixelPaddingRangeLimit",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "ModalityLUTSequence",
        "WindowCenter",
        "WindowWidth",
    ),
    *(
        "PatientOrientation",
        "VOILUTFunction",
        "VOILUTSequence",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "PixelData",
    ),
)
"""The header's elements that are read; all others are passed over unseen."""
GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
CELLS = (8, 16, 32)
"""Bits Allocated of films that are read uncompressed."""
UNKNOWN_GRAYS = "The film's header does not say whether its low values are black or white; they are taken as black."
NO_WINDOW = "The film's own window can't be applied; its values are taken as they are."
MISSED_WINDOW = "The film's own window shows hardly any of its values; they are taken as they are."
NARROW, FEW = 0.1, 0.5
"""A window misses the film when it holds less than these shares of the spread of its values and of its pixels."""
SAMPLE = 512
"""A window is judged over at most this many rows and columns."""
SIDES = {"L": "left", "R": "right"}
PLAIN_FILM = ("", "CR", "DX", "DR", "RG", "OT", "SC")
"""Modalities that a plain radiograph is filed under: computed, digital, film digitised; other; secondary capture."""
OTHER_PARTS = {
    *(
        "BRAIN",
        "CRANIUM",
        "FACIAL",
        "HEAD",
        "HEADNECK",
        "JAW",
        "MANDIBLE",
        "MASTOID",
        "MAXILLA",
        "NOSE",
        "ORBIT",
        "SINUS",
        "SKULL",
        "TEETH",
        "TMJ",
    ),
    *(
        "TOOTH",
        "ZYGOMA",
        "CERVICAL",
        "COCCYX",
        "CSPINE",
        "CTSPINE",
        "LSPINE",
        "LSSPINE",
        "LUMBAR",
        "NECK",
        "SACRUM",
        "SPINE",
        "SSPINE",
        "THORACIC",
    ),
    *(
        "THORACOLUMBAR",
        "TLSPINE",
        "TSPINE",
        "VERTEBRA",
        "VERTEBRAE",
        "ABDOMEN",
        "ABDOMENPELVIS",
        "BREAST",
        "CHEST",
        "CHESTABDOMEN",
        "CHESTABDPELVIS",
    ),
    *(
        "HEART",
        "LUNG",
        "NECKCHEST",
        "NECKCHESTABDOMEN",
        "NECKCHESTABDPELV",
        "RIB",
        "STERNUM",
        "THORAX",
        "ACJOINT",
        "ARM",
        "CLAVICLE",
        "ELBOW",
        "FINGER",
    ),
    *(
        "FOREARM",
        "HAND",
        "HUMERUS",
        "LOWERARM",
        "METACARPAL",
        "METACARPUS",
        "RADIUS",
        "RADIUSULNA",
        "SCAPULA",
        "SCJOINT",
        "SHOULDER",
        "THUMB",
        "ULNA",
    ),
    *(
        "UPPERARM",
        "WRIST",
        "HIP",
        "ILIUM",
        "PELVIS",
        "SIJOINT",
        "ANKLE",
        "CALCANEUS",
        "FEET",
        "FOOT",
        "FOREFOOT",
        "HEEL",
        "HINDFOOT",
        "METATARSAL",
    ),
    *("METATARSUS", "TALUS", "TARSUS", "TOE"),
}
"""Words of Body Part Examined (0018,0015) that rule a knee out: of the skeletal terms of PS3.16 Annex L those of parts
that lie away from it, and common names of the same parts. A selection: any other text, in whatever language, rules out
nothing ("FACE" not, which is French for frontal)."""
ABOVE_THE_KNEE = {"HIP", "PELVIS"}
BELOW_THE_KNEE = {"ANKLE", "CALCANEUS", "FEET", "FOOT", "HEEL", "TALUS", "TOE"}
"""From one of these to one of those is a whole leg, with its knee."""
OTHER_VIEWS = {"LL", "RL", "ML", "LM"}
"""Values of View Position (0018,5101) that are no frontal view; among other words they may mean something else, as the
lower limb."""
OTHER_VIEW_WORDS = {
    *(
        "LLD",
        "RLD",
        "LLO",
        "RLO",
        "LPO",
        "RPO",
        "LAO",
        "RAO",
        "MLO",
        "LMO",
        "OBL",
        "OBLIQUE",
        "LAT",
        "LATERAL",
        "MEDIOLATERAL",
        "LATEROMEDIAL",
    ),
    *(
        "AXIAL",
        "INFEROSUPERIOR",
        "SUPEROINFERIOR",
        "TANGENTIAL",
        "SKYLINE",
        "SUNRISE",
        "MERCHANT",
        "CROSS",
        "CROSSTABLE",
    ),
}
"""Words of it that say so: defined terms of PS3.3 C.8.1.1, views of PS3.16 CID 4010 and 4014, and the names of views of
the kneecap."""


def read_dicom(content: bytes, name: str, limits: Limits) -> Film:
    """Pixels after modality and VOI transforms, bright bone (MONOCHROME1 is inverted), with the side when it is given.

    Padding takes the darkest value of the film, and the rest is told as `exposed`. Raises MissingExtra without pydicom,
    UnsupportedFilm without pixels or with colour, SeveralFrames, FilmTooLarge, DamagedFilm. Warns where the header
    leaves open whether the film is a negative.
    """
    try:
        import pydicom

        from .pixel_data import BARE_SYNTAXES, SYNTAXES, UNCOMPRESSED, high_bit, stored_values
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    if DEFLATED in content:  # it would be inflated as a whole, to whatever size
        raise UnsupportedFilm(f"{name} is deflated DICOM; export it uncompressed.")
    try:
        with unwarned():
            header = pydicom.dcmread(io.BytesIO(content), specific_tags=list(READ), force=True)
            values = {element.keyword: element.value for element in header}  # converts each, now
            if "TransferSyntaxUID" not in header.file_meta:
                header.file_meta.TransferSyntaxUID = BARE_SYNTAXES[header.original_encoding]
            syntax = header.file_meta.TransferSyntaxUID
        rows, columns = int(values.get("Rows", 0)), int(values.get("Columns", 0))
        photometric, samples = _text(values, "PhotometricInterpretation"), int(values.get("SamplesPerPixel") or 1)
        frames, allocated = int(values.get("NumberOfFrames") or 1), int(values.get("BitsAllocated") or 0)
    except Exception as error:  # pydicom raises many kinds for a corrupt file
        raise DamagedFilm(f"{name} is damaged DICOM ({type(error).__name__}); export it again.") from None
    if not values:
        raise DamagedFilm(f"{name} is DICOM that is empty or cut off; export it again.")
    if not rows or not columns:
        raise UnsupportedFilm(f"{name} is DICOM without an image; send the radiograph itself.")
    if "PixelData" not in header:
        raise DamagedFilm(f"{name} is DICOM whose pixel data are missing or cut off; export it again.")
    if rows * columns > limits.max_pixels:
        raise FilmTooLarge(f"{name} is {columns}x{rows} px, over {limits.max_pixels} pixels; send a smaller film.")
    if frames > 1:
        raise SeveralFrames(f"{name} has {frames} frames; send one film a file.")
    channels = photometric == "RGB" and samples == 3 and syntax in UNCOMPRESSED
    if not channels and (samples != 1 or photometric in COLOUR):
        raise _in_colour(name, photometric)
    if syntax not in SYNTAXES:
        raise UnsupportedFilm(f"{name} is DICOM in a transfer syntax that is not read; export it uncompressed.")
    if syntax in UNCOMPRESSED and allocated not in CELLS:
        raise UnsupportedFilm(f"{name} is DICOM whose pixels do not take 8, 16 or 32 bits each; export it with 16.")
    try:
        if not 0 < int(header.BitsStored) <= high_bit(header) + 1 <= allocated:
            raise DamagedFilm(
                f"{name} is damaged DICOM (its bits allocated, bits stored and high bit contradict each other); export"
                " it again."
            )
        stored = stored_values(header, samples)
        if channels:
            stored = _gray(stored, name)
        seen = _seen(stored, values)
        pixels, warnings = _shown(stored, seen, header)
        side, ruled_out = SIDES.get(_text(values, "ImageLaterality") or _text(values, "Laterality")), _ruled_out(values)
        orientation = _orientation(values)
    except FilmError:
        raise
    except Exception as error:  # a missing decoder, or corrupt pixel data
        raise DamagedFilm(
            f"{name}: the DICOM pixel data can't be decoded ({type(error).__name__}); export it uncompressed, "
            "or install the decoders with: pip install 'kneeoa-hub[dicom]'"
        ) from None
    if not np.isfinite(pixels).all():
        raise DamagedFilm(f"{name} is damaged DICOM (its values are no numbers); export it again.")
    if photometric not in (*GRAY, "RGB"):
        warnings += (UNKNOWN_GRAYS,)
    if photometric == "MONOCHROME1":  # by what was seen: padding may lie far beyond it
        np.subtract(pixels.max(where=seen, initial=-np.inf), pixels, out=pixels)
    exposed = None
    if not seen.all():
        pixels[~seen] = pixels.min(where=seen, initial=np.inf)
        exposed = _bounds(seen, limits.min_side)
    return Film(
        pixels, name, exposed=exposed, side=side, orientation=orientation, ruled_out=ruled_out, warnings=warnings
    )


def _in_colour(name: str, photometric: str) -> UnsupportedFilm:
    kind = photometric if photometric in COLOUR else "of an unknown kind"
    return UnsupportedFilm(f"{name} is DICOM in colour ({kind}); send the gray radiograph.")


def _gray(stored: np.ndarray, name: str) -> np.ndarray:
    """[H,W] of [H,W,3]: a gray film that was filed as RGB, as scanners do. Raises UnsupportedFilm for colour."""
    red, green, blue = np.moveaxis(stored, -1, 0)
    if not np.array_equal(red, green) or not np.array_equal(red, blue):
        raise _in_colour(name, "RGB")
    return red


def _shown(stored: np.ndarray, seen: np.ndarray, header: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """[H,W] float32 after modality and VOI transforms, and a warning where the film has a window or table that is of no
    use.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    thin = tuple(slice(None, None, -(-side // SAMPLE)) for side in stored.shape)
    sample, warnings = stored[thin][seen[thin]], ()
    try:
        with unwarned():  # converts the elements of tables, now
            values = apply_modality_lut(sample, header)
            windowed = apply_voi_lut(values, header)
        if _misses(values, windowed, header):
            warnings = (MISSED_WINDOW,)
    # as of a width of 0, which machines do write
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError):
        warnings = (NO_WINDOW,)
    shown = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), BLOCK):  # pydicom works in float64
        rows = apply_modality_lut(stored[start : start + BLOCK], header)
        with unwarned() if "VOILUTSequence" in header else nullcontext():  # of which it warns after any rescaling
            shown[start : start + BLOCK] = rows if warnings else apply_voi_lut(rows, header)
    return shown, warnings


def _misses(values: np.ndarray, windowed: np.ndarray, header: Any) -> bool:
    """Whether a film's window or table leaves hardly anything of its values [N] to be seen."""
    if not values.size:
        return False
    if not np.isfinite(windowed).all() or (np.ptp(windowed.astype(np.float32)) == 0 < np.ptp(values)):
        return True
    if "WindowCenter" not in header or "VOILUTSequence" in header:
        return False
    centre, width = (float(np.atleast_1d(value)[0]) for value in (header.WindowCenter, header.WindowWidth))
    first, last = centre - width / 2, centre + width / 2
    # undeclared padding, shutters and plain air say nothing of the knee
    between = values[(values > values.min()) & (values < values.max())]
    values = between if between.size else values
    low, high = np.percentile(values, (1, 99))
    narrow = min(last, high) - max(first, low) < NARROW * (high - low)
    return bool(narrow and ((values > first) & (values < last)).mean() < FEW)


def _ruled_out(values: dict[str, Any]) -> str | None:
    """The reason of a refusal when the header itself says that this is no frontal plain film of a knee."""
    if _text(values, "Modality") not in PLAIN_FILM:
        return "other-modality"
    parts = {word if word in OTHER_PARTS else word.removesuffix("S") for word in _words(values, "BodyPartExamined")}
    whole_leg = parts & ABOVE_THE_KNEE and parts & BELOW_THE_KNEE
    if parts & OTHER_PARTS and not whole_leg and not any("KNEE" in part for part in parts):
        return "other-body-part"
    view = _words(values, "ViewPosition")
    view |= {word.removesuffix("S") for word in view}
    return "not-frontal" if view & OTHER_VIEW_WORDS or (len(view) == 1 and view <= OTHER_VIEWS) else None


def _text(values: dict[str, Any], keyword: str) -> str:
    """A value in capitals; of several the first."""
    value = values.get(keyword)
    text = value if isinstance(value, str) else next(iter(value or ()), "")
    return str(text).strip(" \0").upper()


def _words(values: dict[str, Any], keyword: str) -> set[str]:
    """The runs of letters in a value, or in several, in capitals."""
    value = values.get(keyword)
    texts = [value] if isinstance(value, str) else value or ()
    return {word for text in texts for word in re.findall(r"[^\W\d_]+", str(text).upper())}


def _orientation(values: dict[str, Any]) -> tuple[str, str]:
    """Where rows and columns point: of each the letter that says the most."""
    value = values.get("PatientOrientation")
    letters = [] if isinstance(value, str) else [str(one).strip().upper()[:1] for one in value or ()]
    return (letters[0], letters[1]) if len(letters) == 2 else ("", "")


def _bounds(mask: np.ndarray, least: int) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of what is True in [H,W]; None when that is the whole, or has a side under `least`."""
    across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    whole = box == (0, 0, mask.shape[1], mask.shape[0])
    return None if whole or min(box[2] - box[0], box[3] - box[1]) < least else box


def _as_stored(value: int, values: dict[str, Any]) -> int:
    """A padding value as the film's values are, of which the highest alone may have been filled up to the whole cell; a
    sign may be left untold.
    """
    allocated, highest = int(values["BitsAllocated"]), 2 ** int(values["BitsStored"]) - 1
    if values["PixelRepresentation"]:
        return value - 2**allocated if value >= 2 ** (allocated - 1) else value
    return highest if value & highest == highest else value


def _seen(stored: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """[H,W] bool: what the detector saw, as the stored values there are not those that pad; all of it when nothing else
    is left.
    """
    if values.get("PixelPaddingValue") is None:
        return np.ones(stored.shape, bool)
    first = _as_stored(int(values["PixelPaddingValue"]), values)
    last = _as_stored(int(values.get("PixelPaddingRangeLimit", first)), values)
    seen = (stored < min(first, last)) | (stored > max(first, last))
    return seen if seen.any() else ~seen
