"""Answers as DICOM objects for an archive: a structured report and a secondary capture (extra `dicom`).

They take over patient and study from the film that was graded, as objects of the same study must; nothing else that
this package writes holds them, nor does a warning or a log: the packages that read and make them repeat what they
doubt. Structured report: TID 1500, Measurement Report (DICOM PS3.16). Codes that no standard has are ours (99KNEEOA).
"""

import hashlib
import io
import re
from typing import Any

import numpy as np
from PIL import Image

from .. import __version__
from ..errors import DamagedFilm, FilmError, MissingExtra, UnsupportedFilm
from ..grades import GRADES
from ..imaging.formats import is_dicom
from ..imaging.quiet import quiet_logs, quiet_warnings
from ..report import FilmReport, KneeGrade

MAKER = "kneeoa_hub"
SCHEME = "99KNEEOA"
REPORT_SERIES, CAPTURE_SERIES = 9901, 9902
"""Series numbers that a study hardly has."""
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
"""SNOMED CT."""
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
AS_THEY_ARE = (*UIDS, "PatientID", "AccessionNumber")
"""By these archives tell what belongs together, so they are taken over even where they are longer, or of other letters,
than the standard has them."""
MAY_BE_EMPTY = (
    *(
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
    ),
    "PatientOrientation",
)
"""Type 2 or 2C: an object has them all, and they are empty where the film has none, or one that is not as the standard
has it."""
VALUES = {"PatientSex": "[MFO]", "PatientOrientation": "[LRAPHF]{1,3}"}
"""What a value may be, where its kind alone allows others."""
ASSUMED_ORIENTATION = ("L", "F")
"""Where the header says nothing: frontal films of a standing patient are shown from the front, the patient's right at
the left."""
UTF_8 = "ISO_IR 192"


@quiet_logs()
@quiet_warnings()
def structured_report(film: bytes, report: FilmReport) -> Any:
    """A Comprehensive SR as a pydicom dataset: each knee's grade, set, probabilities and severity, and the findings as
    text.

    film: the DICOM file that was graded. Raises MissingExtra without highdicom, UnsupportedFilm for a film that is no
    DICOM or whose header lacks what an object of its study must have, DamagedFilm for one whose header can't be read.
    """
    header, highdicom = _taken_over(film, *UIDS), _highdicom()
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import (
        CodedConcept,
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        RelationshipTypeValues,
        TextContentItem,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=_uid(highdicom, report.model, report.revision),
        name=report.model,
        manufacturer_name=MAKER,
        model_name=report.model,
        serial_number=report.revision,
    )
    observer = ObservationContext(
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    )
    content = MeasurementReport(
        observation_context=observer,
        procedure_reported=CodedConcept("1597004", "SCT", "Skeletal system plain X-ray"),
        imaging_measurements=[_group(knee, number) for number, knee in enumerate(report.knees, 1)]
        or [_not_graded(report)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    words = TextContentItem(codes.DCM.Comment, report.findings(), RelationshipTypeValues.CONTAINS)
    content[0].ContentSequence.append(words)
    try:
        made = ComprehensiveSR(
            evidence=[header],
            content=content,
            series_instance_uid=highdicom.UID(),
            series_number=REPORT_SERIES,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            content_qualification="RESEARCH",
            specific_character_set=None,
            coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name=MAKER, responsible_organization=MAKER)],
            **_described(report),
        )
    except KeyError as error:  # highdicom looks up what kind of object the film is
        if error.args != (header.SOPClassUID,):
            raise
        raise _odd("SOPClassUID") from None
    return _spelt(made, header)


@quiet_logs()
@quiet_warnings()
def secondary_capture(film: bytes, report: FilmReport) -> Any:
    """The overlay as a Secondary Capture in colour, a pydicom dataset; the words RESEARCH USE ONLY are burnt in.

    Raises as `structured_report`; FilmError for a film of which no knee was graded.
    """
    if not report.knees:
        raise FilmError("No knee was graded, so there is no overlay to store; a structured report says why.")
    header, highdicom = _taken_over(film, "StudyInstanceUID"), _highdicom()
    from highdicom.sc import SCImage

    made = SCImage.from_ref_dataset(
        header,
        pixel_array=np.asarray(_marked(report.overlay())),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=highdicom.UID(),
        series_number=CAPTURE_SERIES,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        patient_orientation=ASSUMED_ORIENTATION,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_qualification="RESEARCH",
        specific_character_set=None,
        **_described(report),
    )
    # highdicom knows neither an empty one nor one between two directions
    made.PatientOrientation = header.PatientOrientation
    sides = {knee.side for knee in report.knees}
    if sides == {"left", "right"}:
        made.ImageLaterality = "B"
    # an object of a paired part without Image Laterality has Laterality, empty where it is not known (PS3.3 C.7.3.1)
    else:
        made.Laterality = {"left": "L", "right": "R", None: ""}[sides.pop() if len(sides) == 1 else None]
    return _spelt(made, header)


@quiet_logs()
@quiet_warnings()
def to_bytes(dataset: Any) -> bytes:
    """The dataset as a DICOM file."""
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _group(knee: KneeGrade, number: int) -> Any:
    """TID 1501: one knee's grade and figures."""
    from highdicom.sr import (
        CodedConcept,
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes

    def ours(value: str, meaning: str) -> Any:
        return CodedConcept(value, SCHEME, meaning)

    def graded(value: int) -> Any:
        return ours(f"KL{value}", f"Kellgren-Lawrence grade {value}, {GRADES[value].label}")

    side = CodedConcept(SIDES[knee.side][0], "SCT", SIDES[knee.side][1]) if knee.side else None
    ratio = codes.UCUM.NoUnits
    evaluations = [QualitativeEvaluation(ours("KL", "Kellgren-Lawrence grade"), graded(knee.grade))]
    evaluations += [
        QualitativeEvaluation(ours("KL-SET", "Grade that cannot be ruled out"), graded(grade))
        for grade in knee.grade_set
    ]
    measurements = [
        Measurement(
            ours(f"P-KL{g.value}", f"Probability of grade {g.value}"), _short(knee.probabilities[g.value]), ratio
        )
        for g in GRADES
    ]
    measurements.append(Measurement(ours("P-OA", "Probability of grade 2 or more"), _short(knee.oa_probability), ratio))
    measurements.append(Measurement(ours("SEVERITY", "Expected grade, 0 to 4"), _short(knee.severity), ratio))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identifier=f"Knee {number}"),
        finding_sites=[FindingSite(CodedConcept("49076000", "SCT", "Knee joint"), laterality=side)],
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _not_graded(report: FilmReport) -> Any:
    """TID 1501 in place of a knee: the reason of the refusal."""
    from highdicom.sr import (
        CodedConcept,
        FindingSite,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        TrackingIdentifier,
    )

    reason = report.refused.reason if report.refused else "unknown"
    value = CodedConcept("NOT-GRADED", SCHEME, f"Not graded: {reason}"[:64])
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identifier="Film"),
        finding_sites=[FindingSite(CodedConcept("49076000", "SCT", "Knee joint"))],
        qualitative_evaluations=[QualitativeEvaluation(CodedConcept("KL", SCHEME, "Kellgren-Lawrence grade"), value)],
    )


def _described(report: FilmReport) -> dict[str, Any]:
    """What made an object, in the header's own fields; each has room for 64 characters."""
    described = {
        "series_description": f"Research use only: KL grades by {report.model}",
        "manufacturer_model_name": report.model,
        "device_serial_number": report.revision,
    }
    return {name: value[:64] for name, value in described.items()} | {"software_versions": __version__}


def _short(value: float) -> float:
    """Few enough digits for a decimal string of 16 characters."""
    return round(value, 6)


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError:
        raise MissingExtra("DICOM objects need highdicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    return highdicom


def _taken_over(film: bytes, *needed: str) -> Any:
    """What of the film's header is as the standard has it, and empty what MAY_BE_EMPTY is not, as a pydicom dataset.

    Raises UnsupportedFilm for a film that is no DICOM, has nothing in one of `needed`, or a patient's id that is no
    text.
    """
    try:
        import pydicom
        from pydicom.charset import python_encoding
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    if not is_dicom(film):
        raise UnsupportedFilm(
            "The film is not DICOM, so it has no study to which a DICOM object could belong; give the DICOM file."
        )
    try:
        header = pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True, force=True)
    except Exception as error:  # pydicom raises many kinds for a corrupt file
        raise DamagedFilm(
            f"The film's DICOM header can't be read ({type(error).__name__}); export the film again."
        ) from None
    taken = pydicom.Dataset()
    if "PatientOrientation" not in header:
        taken.PatientOrientation = list(ASSUMED_ORIENTATION)
    for tag in header.keys():  # noqa: SIM118  # a dataset yields its elements, and stumbles over the first that can't be read
        try:
            element = header[tag]
            if element.keyword in AS_THEY_ARE and isinstance(element.value, str):
                setattr(taken, element.keyword, element.value)
            elif _sound(element):
                taken.add(element)
        except Exception:  # pydicom raises many kinds for an element that is not what it says it is
            continue
    for name in (*needed, "PatientID"):
        if name in header and (name not in taken or (name in needed and not taken[name].value)):
            raise _odd(name)
        if name in needed and name not in header:
            raise UnsupportedFilm(
                f"The film's DICOM header lacks what an object of the same study must have ({name}); export the film"
                " again."
            )
    for name in MAY_BE_EMPTY:
        if name not in taken:
            setattr(taken, name, "")
    if "SpecificCharacterSet" in header:
        named = taken.get("SpecificCharacterSet", "unknown")
        if any(one not in python_encoding for one in ([named] if isinstance(named, str) else named or [""])):
            taken.SpecificCharacterSet = UTF_8  # as which any text can be written, however pydicom understood it
    return taken


def _sound(element: Any) -> bool:
    """Whether an element is as the standard has it: its kind, how many values, and each of them; of a sequence all that
    is in it.
    """
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VM, dictionary_VR
    from pydicom.valuerep import DA, DT, STR_VR, TM, validate_value

    if dictionary_VR(element.tag) != element.VR:
        return False
    if element.VR == "SQ":
        return all(_sound(item[tag]) for item in element.value for tag in item.keys())  # noqa: SIM118
    if element.is_empty:
        return True
    count = dictionary_VM(element.tag)
    if count.isdigit() and int(count) != element.VM:
        return False
    for value in element.value if element.VM > 1 else [element.value]:
        text = str(value)
        validate_value(element.VR, text if element.VR in STR_VR else value, RAISE)
        # of dates and times not all that look like one are one
        {"DA": DA, "DT": DT, "TM": TM}.get(element.VR, str)(text)
        if not re.fullmatch(VALUES.get(element.keyword, ".*"), text, re.DOTALL):
            return False
    return True


def _odd(name: str) -> UnsupportedFilm:
    """Only an element's name is told: its value may be a patient's."""
    return UnsupportedFilm(
        f"The film's DICOM header has {name}, but empty or not as the standard has it; export the film again."
    )


def _spelt(made: Any, header: Any) -> Any:
    """The object, in the film's characters: highdicom takes not all the names for them that pydicom does."""
    if header.get("SpecificCharacterSet"):
        made.SpecificCharacterSet = header.SpecificCharacterSet
    return made


def _uid(highdicom: Any, *parts: str) -> str:
    """A UID that is the same for the same parts, so that a device is the same one in every report (2.25, PS3.5 B.2)."""
    return highdicom.UID(f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode()).digest()[:15], 'big')}")


def _marked(picture: Image.Image) -> Image.Image:
    from PIL import ImageDraw, ImageFont

    height = max(14, picture.height // 24)
    marked = Image.new("RGB", (picture.width, picture.height + 2 * height), "black")
    marked.paste(picture, (0, 0))
    font = ImageFont.load_default(size=height)
    text = "RESEARCH USE ONLY" if picture.width > 11 * height else "RESEARCH"
    ImageDraw.Draw(marked).text((height // 2, picture.height + height // 2), text, fill="#ffd166", font=font)
    return marked
