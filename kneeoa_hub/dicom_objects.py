"""Answers as DICOM objects for an archive: a structured report and a secondary capture (extra `dicom`).

They take over patient and study from the film that was graded, as objects of the same study must; nothing else that this package
writes holds them, nor does a warning or a log: the packages that read and make them repeat what they doubt.
Structured report: TID 1500, Measurement Report (DICOM PS3.16). Codes that no standard has are ours (99KNEEOA).
"""

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image

from . import __version__
from .errors import FilmError, MissingExtra, UnsupportedFilm
from .grades import GRADES
from .imaging.decode import is_dicom
from .imaging.unheard import unheard, unwarned
from .report import FilmReport, KneeGrade

MAKER = "kneeoa_hub"
SCHEME = "99KNEEOA"
REPORT_SERIES, CAPTURE_SERIES = 9901, 9902
"""Series numbers that a study hardly has."""
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
"""SNOMED CT."""
FAULTS = (AttributeError, ValueError, KeyError, TypeError)
"""What comes of a header whose elements are missing or not as the standard has them."""


@unheard()
@unwarned()
def structured_report(film: bytes, report: FilmReport) -> Any:
    """A Comprehensive SR as a pydicom dataset: each knee's grade, set, probabilities and severity, and the findings as text.

    film: the DICOM file that was graded. Raises MissingExtra without highdicom, UnsupportedFilm for a film that is no DICOM or
    whose header lacks what an object of its study must have.
    """
    header, highdicom = _header(film), _highdicom()
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
        uid=_uid(highdicom, report.model, report.revision), name=report.model, manufacturer_name=MAKER, model_name=report.model, serial_number=report.revision
    )
    observer = ObservationContext(observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device))
    content = MeasurementReport(
        observation_context=observer,
        procedure_reported=CodedConcept("1597004", "SCT", "Skeletal system plain X-ray"),
        imaging_measurements=[_group(knee, number) for number, knee in enumerate(report.knees, 1)] or [_not_graded(report)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    words = TextContentItem(codes.DCM.Comment, report.findings(), RelationshipTypeValues.CONTAINS)
    content[0].ContentSequence.append(words)
    try:
        return ComprehensiveSR(
            evidence=[header], content=content, series_instance_uid=highdicom.UID(), series_number=REPORT_SERIES, sop_instance_uid=highdicom.UID(),
            instance_number=1, manufacturer=MAKER, is_complete=True, content_qualification="RESEARCH",
            coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name=MAKER, responsible_organization=MAKER)], **_described(report),
        )  # fmt: skip
    except FAULTS as error:
        raise _lacking(error) from None


@unheard()
@unwarned()
def secondary_capture(film: bytes, report: FilmReport) -> Any:
    """The overlay as a Secondary Capture in colour, a pydicom dataset; the words RESEARCH USE ONLY are burnt in.

    Raises as `structured_report`; FilmError for a film of which no knee was graded.
    """
    if not report.knees:
        raise FilmError("No knee was graded, so there is no overlay to store; a structured report says why.")
    header, highdicom = _header(film), _highdicom()
    from highdicom.sc import SCImage

    try:
        return SCImage.from_ref_dataset(
            header, pixel_array=np.asarray(_marked(report.overlay())), photometric_interpretation="RGB", bits_allocated=8, coordinate_system="PATIENT",
            series_instance_uid=highdicom.UID(), series_number=CAPTURE_SERIES, sop_instance_uid=highdicom.UID(), instance_number=1, manufacturer=MAKER,
            patient_orientation=_orientation(header), laterality=_laterality(report), transfer_syntax_uid="1.2.840.10008.1.2.1",
            content_qualification="RESEARCH", **_described(report),
        )  # fmt: skip
    except FAULTS as error:
        raise _lacking(error) from None


@unheard()
@unwarned()
def to_bytes(dataset: Any) -> bytes:
    """The dataset as a DICOM file."""
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _group(knee: KneeGrade, number: int) -> Any:
    """TID 1501: one knee's grade and figures."""
    from highdicom.sr import CodedConcept, FindingSite, Measurement, MeasurementsAndQualitativeEvaluations, QualitativeEvaluation, TrackingIdentifier
    from pydicom.sr.codedict import codes

    def ours(value: str, meaning: str) -> Any:
        return CodedConcept(value, SCHEME, meaning)

    def graded(value: int) -> Any:
        return ours(f"KL{value}", f"Kellgren-Lawrence grade {value}, {GRADES[value].label}")

    side = CodedConcept(SIDES[knee.side][0], "SCT", SIDES[knee.side][1]) if knee.side else None
    ratio = codes.UCUM.NoUnits
    evaluations = [QualitativeEvaluation(ours("KL", "Kellgren-Lawrence grade"), graded(knee.grade))]
    evaluations += [QualitativeEvaluation(ours("KL-SET", "Grade that cannot be ruled out"), graded(grade)) for grade in knee.grade_set]
    measurements = [Measurement(ours(f"P-KL{g.value}", f"Probability of grade {g.value}"), _short(knee.probabilities[g.value]), ratio) for g in GRADES]
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
    from highdicom.sr import CodedConcept, FindingSite, MeasurementsAndQualitativeEvaluations, QualitativeEvaluation, TrackingIdentifier

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


def _header(film: bytes) -> Any:
    try:
        import pydicom
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    try:
        return pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True, force=is_dicom(film))
    except Exception:  # pydicom raises many kinds for what is no DICOM
        raise UnsupportedFilm("The film is not DICOM, so it has no study to which a DICOM object could belong; give the DICOM file.") from None


def _lacking(error: Exception) -> UnsupportedFilm:
    """Of the reason only an attribute's name is told: values may be a patient's."""
    name = getattr(error, "name", None) or type(error).__name__
    return UnsupportedFilm(f"The film's DICOM header lacks what an object of the same study must have ({name}); export the film again.")


def _uid(highdicom: Any, *parts: str) -> str:
    """A UID that is the same for the same parts, so that a device is the same one in every report (2.25, PS3.5 B.2)."""
    return highdicom.UID(f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode()).digest()[:15], 'big')}")


def _orientation(header: Any) -> tuple[str, str]:
    """Frontal films of a standing patient are shown from the front: the patient's right at the left."""
    given = header.get("PatientOrientation", None)
    return (str(given[0]), str(given[1])) if given and len(given) == 2 else ("L", "F")


def _laterality(report: FilmReport) -> str | None:
    sides = {knee.side for knee in report.knees}
    return {frozenset(("left",)): "L", frozenset(("right",)): "R", frozenset(("left", "right")): "B"}.get(frozenset(s for s in sides if s))


def _marked(picture: Image.Image) -> Image.Image:
    from PIL import ImageDraw, ImageFont

    height = max(14, picture.height // 24)
    marked = Image.new("RGB", (picture.width, picture.height + 2 * height), "black")
    marked.paste(picture, (0, 0))
    font = ImageFont.load_default(size=height)
    text = "RESEARCH USE ONLY" if picture.width > 11 * height else "RESEARCH"
    ImageDraw.Draw(marked).text((height // 2, picture.height + height // 2), text, fill="#ffd166", font=font)
    return marked
