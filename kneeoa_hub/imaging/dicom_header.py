"""What a DICOM header says of a film: modality, body part, view, laterality and patient orientation (PS3.3 C.7.6.1).

A header is a pydicom Dataset. It is typed as Any, since type checkers do not know pydicom without the extra `dicom`.
"""

import re
from dataclasses import dataclass
from typing import Any

READ_ELEMENTS = (
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "PatientOrientation",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
)
"""The elements that are read. All others are skipped, so nothing of the patient can leave the header."""
SIDES = {"L": "left", "R": "right"}
"""Laterality (0020,0060) and Image Laterality (0020,0062); other values name no side."""
PLAIN_FILM = ("", "CR", "DX", "DR", "RG", "OT", "SC")
"""Modalities under which plain radiographs are stored: computed, digital, scanned film; other; secondary capture."""
OTHER_PARTS_BY_REGION = {
    "head": (
        "BRAIN CRANIUM FACIAL HEAD HEADNECK JAW MANDIBLE MASTOID MAXILLA NOSE ORBIT SINUS SKULL TEETH TMJ TOOTH ZYGOMA"
    ),
    "spine": (
        "CERVICAL COCCYX CSPINE CTSPINE LSPINE LSSPINE LUMBAR NECK SACRUM SPINE SSPINE THORACIC THORACOLUMBAR TLSPINE"
        " TSPINE VERTEBRA VERTEBRAE"
    ),
    "trunk": (
        "ABDOMEN ABDOMENPELVIS BREAST CHEST CHESTABDOMEN CHESTABDPELVIS HEART LUNG NECKCHEST NECKCHESTABDOMEN"
        " NECKCHESTABDPELV RIB STERNUM THORAX"
    ),
    "arm": (
        "ACJOINT ARM CLAVICLE ELBOW FINGER FOREARM HAND HUMERUS LOWERARM METACARPAL METACARPUS RADIUS RADIUSULNA"
        " SCAPULA SCJOINT SHOULDER THUMB ULNA UPPERARM WRIST"
    ),
    "hip": "HIP ILIUM PELVIS SIJOINT",
    "foot": "ANKLE CALCANEUS FEET FOOT FOREFOOT HEEL HINDFOOT METATARSAL METATARSUS TALUS TARSUS TOE",
}
"""Words of Body Part Examined (0018,0015) that rule out a knee: terms of PS3.16 Annex L for parts away from the knee,
and common names of the same parts. Any other text, in whatever language, rules out nothing. "FACE" is left out, since
it is French for a frontal view."""
OTHER_PARTS = frozenset(word for words in OTHER_PARTS_BY_REGION.values() for word in words.split())
"""All words of OTHER_PARTS_BY_REGION."""
ABOVE_THE_KNEE = {"HIP", "PELVIS"}
"""Body parts that together with one of BELOW_THE_KNEE name a whole leg, with its knee."""
BELOW_THE_KNEE = {"ANKLE", "CALCANEUS", "FEET", "FOOT", "HEEL", "TALUS", "TOE"}
"""Body parts that together with one of ABOVE_THE_KNEE name a whole leg, with its knee."""
OTHER_VIEWS = {"LL", "RL", "ML", "LM"}
"""Values of View Position (0018,5101) that are not frontal. Among other words they may mean something else, such as the
lower limb, so they count alone."""
OTHER_VIEW_WORDS = frozenset(
    word
    for words in (
        "LLD RLD LLO RLO LPO RPO LAO RAO MLO LMO OBL OBLIQUE LAT LATERAL MEDIOLATERAL LATEROMEDIAL",
        "AXIAL INFEROSUPERIOR SUPEROINFERIOR TANGENTIAL SKYLINE SUNRISE MERCHANT CROSS CROSSTABLE",
    )
    for word in words.split()
)
"""Words of View Position that say that the view is not frontal: defined terms of PS3.3 C.8.1.1, views of PS3.16 CID
4010 and 4014, and the names of patella views."""


@dataclass(frozen=True)
class Statements:
    """What the header states about a film; see the attributes of `film.Film` with the same names."""

    side: str | None
    orientation: tuple[str, str]
    ruled_out: str | None


def read_statements(header: Any) -> Statements:
    """Read side, orientation, and whether this is a frontal plain film of a knee."""
    return Statements(_side(header), _orientation(header), _ruled_out(header))


def _ruled_out(header: Any) -> str | None:
    """Return the reason of a refusal where the header says that this is not a frontal plain film of a knee."""
    if text(header, "Modality") not in PLAIN_FILM:
        return "other-modality"
    parts = {word if word in OTHER_PARTS else word.removesuffix("S") for word in _words(header, "BodyPartExamined")}
    whole_leg = parts & ABOVE_THE_KNEE and parts & BELOW_THE_KNEE
    if parts & OTHER_PARTS and not whole_leg and not any("KNEE" in part for part in parts):
        return "other-body-part"
    view = _words(header, "ViewPosition")
    view |= {word.removesuffix("S") for word in view}
    return "not-frontal" if view & OTHER_VIEW_WORDS or (len(view) == 1 and view <= OTHER_VIEWS) else None


def _side(header: Any) -> str | None:
    """Return the side that the header names, "left" or "right"; None where it names none or both."""
    return SIDES.get(text(header, "ImageLaterality") or text(header, "Laterality"))


def _orientation(header: Any) -> tuple[str, str]:
    """Return the direction of rows and of columns in the patient, each as its main letter; "" where it is not said."""
    value = header.get("PatientOrientation")
    letters = [] if isinstance(value, str) else [str(one).strip().upper()[:1] for one in value or ()]
    return (letters[0], letters[1]) if len(letters) == 2 else ("", "")


def text(header: Any, keyword: str) -> str:
    """Return a value in capitals without padding; of several values the first one."""
    value = header.get(keyword)
    first = value if isinstance(value, str) else next(iter(value or ()), "")
    return str(first).strip(" \0").upper()


def _words(header: Any, keyword: str) -> set[str]:
    """Return the runs of letters in all values of an element, in capitals."""
    value = header.get(keyword)
    texts = [value] if isinstance(value, str) else value or ()
    return {word for one in texts for word in re.findall(r"[^\W\d_]+", str(one).upper())}
