"""Reads what a DICOM header states about a film: modality, body part, view, laterality, orientation (PS3.3 C.7.6.1).

A header is a pydicom Dataset. It is typed as Any, since type checkers do not know pydicom without the extra `dicom`.
"""

import re
from dataclasses import dataclass
from typing import Any

from .dicom_codes import REGION, coded_words, named_words
from .dicom_values import numbers, several, text
from .dicom_views import READ_ELEMENTS as VIEW_ELEMENTS
from .dicom_views import is_not_frontal
from .square import CONTRADICTION, agree, aspect_of, first_not_square

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
"""These elements give height and width of a pixel (PS3.3 10.7.1.3 and C.7.6.3.1.7). The first one that is there counts.
"""
PALETTES = tuple(
    f"{kind}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for kind, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)
"""These elements make up a palette (PS3.3 C.7.9)."""
READ_ELEMENTS = (
    "Modality",
    "PresentationIntentType",
    "BodyPartExamined",
    *VIEW_ELEMENTS,
    *REGION,
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
    *SPACINGS,
    *PALETTES,
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
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
)
"""Only these elements are read. All others are skipped, so nothing about the patient can leave the header."""
FILM_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
"""Plain films have one of these SOP classes: Computed Radiography, Digital X-Ray for presentation and for processing,
Secondary Capture.
"""
RAW = "FOR PROCESSING"
"""A film with the values of the detector has this Presentation Intent Type (PS3.3 C.8.11.1)."""
UNPROCESSED = (
    "The film's header says that its grays are not processed yet; the model learnt from films as readers see them. Send"
    " the film for presentation."
)
"""A film with the values of the detector gets this warning."""
SIDES = {"L": "left", "R": "right"}
"""Laterality (0020,0060) and Image Laterality (0020,0062) name a side by these values. Other values name no side."""
CODED_SIDES = {"LEFT": "left", "RIGHT": "right"}
"""These words of a coded body part or its modifier name the side."""
PLAIN_FILM = ("", "CR", "DX", "DR", "RG", "OT", "SC")
"""Plain radiographs are stored under these modalities: computed, digital, scanned film, other, secondary capture."""
OTHER_PARTS_BY_REGION = {
    "head": (
        "BRAIN CRANIUM EYE FACIAL HEAD HEADNECK JAW MANDIBLE MASTOID MAXILLA NASAL NOSE ORBIT ORBITAL PARANASAL PAROTID"
        " SELLA SINUS SKULL TEETH TMJ TOOTH ZYGOMA"
        " CABECA CABEZA CRANE CRANEO CRANIO CZASZKA KOPF SCHADEL SCHAEDEL TESTA TETE ГОЛОВА ЧЕРЕП"
    ),
    "spine": (
        "CERVICAL COCCYX CSPINE CTSPINE LSPINE LSSPINE LUMBAR NECK SACRUM SPINE SSPINE THORACIC THORACOLUMBAR TLSPINE"
        " TSPINE VERTEBRA VERTEBRAE"
        " CSP LSP TSP BWS COLONNA COLUMNA COLUNA HWS KREGOSLUP LWS RACHIS WIRBELSAEULE WIRBELSAULE ПОЗВОНОЧНИК"
    ),
    "trunk": (
        "ABDOMEN ABDOMENPELVIS BLADDER BREAST BRONCHUS CHEST CHESTABDOMEN CHESTABDPELVIS HEART LUNG NECKCHEST"
        " NECKCHESTABDOMEN COLON DUODENUM ESOPHAGUS GALLBLADDER ILEUM INTESTINE JEJUNUM KIDNEY LARYNX LIVER"
        " MEDIASTINUM NECKCHESTABDPELV PANCREAS PROSTATE RECTUM RIB STERNUM STOMACH THORAX TRACHEA URETER URETHRA"
        " URINARY UTERUS"
        " ABD CXR ABDOME ADDOME BAUCH BRUST BRUSTKORB POLMONE POUMON PULMAO PULMON TORACE TORAX VENTRE ГРУДЬ"
    ),
    "arm": (
        "ACJOINT ARM CLAVICLE ELBOW FINGER FOREARM HAND HUMERUS LOWERARM METACARPAL METACARPUS RADIUS RADIUSULNA"
        " SCAPULA SCJOINT SHOULDER THUMB ULNA UPPERARM UPPERLIMB WRIST"
        " BARK BRACO BRAS BRAZO CODO COTOVELO COUDE DAUMEN DEDO DITO DOIGT ELLENBOGEN EPAULE GOMITO HANDGELENK HOMBRO"
        " LOKIEC ŁOKIEC MAIN MANI MANO MAO MUNECA NADGARSTEK OBERARM OMBRO POIGNET POLSO PUNHO REKA SCHULTER SPALLA"
        " ELB SHLD WRS UNTERARM КИСТЬ ЛОКОТЬ ПЛЕЧО"
    ),
    "hip": (
        "HIP ILIUM PELV PELVIS SIJOINT ANCA BACINO BASSIN BECKEN BIODRO CADERA HANCHE HUEFTE HUFTE MIEDNICA QUADRIL ТАЗ"
    ),
    "foot": (
        "ANK ANKLE CALCANEUS FEET FOOT FOREFOOT HEEL HINDFOOT METATARSAL METATARSUS TALUS TARSUS TOE"
        " CAVIGLIA CHEVILLE FUESSE FUSS FUSSE ORTEIL PE PIE PIED PIEDE SPRUNGGELENK STOPA TOBILLO TORNOZELO ZEHE СТОПА"
    ),
}
"""These words of a body part rule out a knee. They have no accents. They are terms of PS3.16 Annex L for parts away
from the knee, short forms that some machines write, and common names of the same parts in several languages. Any other
text rules out nothing. "FACE" is left out, since it is French for a frontal view.
"""
OTHER_PART_SIGNS = re.compile("[手肩肘腕指髋髖胸腹頭头颈頸腰踝足]|骨盆|骨盤|股関節")
"""These Chinese and Japanese signs stand for parts away from the knee. Words in these languages have no space between
them.
"""
KNEE = re.compile("KNEE|KNIE|GENOU|RODILLA|GINOCCHI|JOELHO|KOLAN|КОЛЕН|膝|무릎")
"""A word for the knee begins with one of these, or is one of them."""
OTHER_PARTS = frozenset(word for words in OTHER_PARTS_BY_REGION.values() for word in words.split())
"""These are all words of OTHER_PARTS_BY_REGION."""
ABOVE_THE_KNEE = frozenset(OTHER_PARTS_BY_REGION["hip"].split())
"""One of these body parts, together with one of BELOW_THE_KNEE, names a whole leg with its knee."""
BELOW_THE_KNEE = frozenset(OTHER_PARTS_BY_REGION["foot"].split())
"""One of these body parts, together with one of ABOVE_THE_KNEE, names a whole leg with its knee."""
LEG = ABOVE_THE_KNEE | BELOW_THE_KNEE
"""A film of the whole leg may name these body parts beside the knee."""
LIMB = {"LIMB", "EXTREMITY", "EXTREMITIE"}
"""These words mean an arm or a leg. "Upper" makes an arm of them."""


@dataclass(frozen=True)
class Statements:
    """Holds what the header states about a film. `film.Film` describes the attributes of the same names."""

    side: str | None
    orientation: tuple[str, str]
    ruled_out: str | None
    aspect: float
    warnings: tuple[str, ...]


def read_statements(header: Any) -> Statements:
    """Read side, orientation, the shape of a pixel, and whether this is a frontal plain film of a knee."""
    aspects = [aspect for keyword in SPACINGS if (aspect := _aspect(header, keyword))]
    warnings = () if agree(aspects) else (CONTRADICTION,)
    if text(header, "PresentationIntentType") == RAW:
        warnings = (*warnings, UNPROCESSED)
    return Statements(_side(header), _orientation(header), _ruled_out(header), first_not_square(aspects), warnings)


def _aspect(header: Any, keyword: str) -> float | None:
    sides = numbers(header, keyword)
    return aspect_of(*sides) if len(sides) == 2 else None


def _ruled_out(header: Any) -> str | None:
    """Return the reason for a refusal if the header says that this is not a frontal plain film of a knee."""
    if text(header, "Modality") not in PLAIN_FILM:
        return "other-modality"
    named = [named_words(header, "BodyPartExamined"), *(coded_words(header, keyword) for keyword in REGION)]
    others = [_other_parts(one) for one in named]
    knee = any(_names_a_knee(one) for one in named)
    if any(parts and not (knee and parts <= LEG) for parts in others):
        return "other-body-part"
    return "not-frontal" if is_not_frontal(header) or set(_orientation(header)) & {"A", "P"} else None


def _names_a_knee(named: set[str]) -> bool:
    return any(map(KNEE.search, named))


def _other_parts(named: set[str]) -> set[str]:
    """Return the words of one element that rule out a knee. There are none if it also names a knee or a whole leg."""
    parts = {word if word in OTHER_PARTS else word.removesuffix("S") for word in named}
    others = (
        parts & OTHER_PARTS
        | set(filter(OTHER_PART_SIGNS.search, parts))
        | ({"ARM"} if "UPPER" in parts and parts & LIMB else set())
    )
    whole_leg = parts & ABOVE_THE_KNEE and parts & (BELOW_THE_KNEE | LIMB)
    return set() if whole_leg or _names_a_knee(parts) else others


def _side(header: Any) -> str | None:
    """Return the side that the header names, "left" or "right", or None if it names neither or both."""
    if said := text(header, "ImageLaterality") or text(header, "Laterality"):
        return SIDES.get(said)
    coded = coded_words(header, REGION[0]) & CODED_SIDES.keys()
    return CODED_SIDES[coded.pop()] if len(coded) == 1 else None


def _orientation(header: Any) -> tuple[str, str]:
    """Return the direction of rows and of columns in the patient, each by its main letter or "" if not stated."""
    letters = [str(one).strip().upper()[:1] for one in several(header, "PatientOrientation")]
    return (letters[0], letters[1]) if len(letters) == 2 else ("", "")
