"""Makes DICOM objects of a report for an archive: a structured report and a secondary capture (extra `dicom`).

They take over patient and study from the graded film, as objects of the same study must. No other output of this
package holds these, nor does a warning or a log, in which pydicom and highdicom would repeat them. The report follows
TID 1500, Measurement Report (DICOM PS3.16). Codes that no standard defines are in our scheme, 99KNEEOA.
"""

import hashlib
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from .. import __version__
from ..errors import FilmError, MissingExtra
from ..grades import GRADES
from ..imaging.dicom_header import read_statements
from ..imaging.identity import MAKER
from ..imaging.quiet import quiet_logs, quiet_warnings
from ..imaging.square import is_possible, is_square
from ..knee import KneeGrade
from ..report import FilmReport
from .source_header import ASSUMED_ORIENTATION, UIDS, odd_element, taken_over

SCHEME = "99KNEEOA"
REPORT_SERIES, CAPTURE_SERIES = 9901, 9902
"""A study hardly uses these series numbers."""
ABOUT = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""An object takes over these elements of the first film's header."""
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
"""SNOMED CT has these codes for the sides."""


@quiet_logs()
@quiet_warnings()
def structured_report(
    film: bytes | Sequence[bytes], report: FilmReport, previous: Any = None, edition: str = ""
) -> Any:
    """Return a Comprehensive SR as a pydicom dataset.

    It has the grade, likeliest grade, prediction set, probabilities and severity of each knee, and the findings as
    text. Its UIDs follow from the films, the model's revision, whom it is about and what it says. So an archive never
    holds the same report twice, and reports that say different things, as with and without earlier studies, have
    different UIDs.

    Args:
        film: The DICOM file that was graded; for a study's answer its files, in the order of `StudyReport.films`.
        report: Its report.
        previous: The dataset of the report that this one replaces, or None.
        edition: A text that names the films' headers if they were corrected under the same UIDs, so that a report has
            another UID than any before, also if a correction was taken back; "" otherwise.

    Raises:
        MissingExtra: highdicom is not installed.
        UnsupportedFilm: The film is not DICOM, or lacks an element that an object of its study must have.
        DamagedFilm: The header of the film cannot be read.
        FilmTooLarge: The header is far larger than that of a film.
    """
    headers = [taken_over(one, *UIDS) for one in ([film] if isinstance(film, bytes) else film)]
    header, highdicom = headers[0], _highdicom()
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import ComprehensiveSR

    try:
        made = ComprehensiveSR(
            evidence=headers,
            content=_measurements(highdicom, report, headers),
            is_complete=True,
            previous_versions=[previous] if previous else None,
            coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name=MAKER, responsible_organization=MAKER)],
            **_common(highdicom, report, REPORT_SERIES, headers, edition),
        )
    except KeyError as error:  # highdicom looks up the SOP class of each film
        if not error.args or error.args[0] not in [one.SOPClassUID for one in headers]:
            raise
        raise odd_element("SOPClassUID") from None
    return _spelt(made, header)


@quiet_logs()
@quiet_warnings()
def secondary_capture(film: bytes, report: FilmReport, edition: str = "") -> Any:
    """Return the overlay as a Secondary Capture in colour, a pydicom dataset. It shows the words RESEARCH USE ONLY.

    Args:
        film: The DICOM file that was graded.
        report: Its report.
        edition: The edition, as `structured_report` takes it.

    Raises:
        FilmError: No knee of the film was graded.
        KneeOAError: The errors of `structured_report`.
    """
    if not report.knees:
        raise FilmError("No knee was graded, so there is no overlay to store; the structured report says why.")
    header, highdicom = taken_over(film, "StudyInstanceUID"), _highdicom()
    from highdicom.sc import SCImage

    made = SCImage.from_ref_dataset(
        header,
        pixel_array=np.asarray(_marked(report.overlay())),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=ASSUMED_ORIENTATION,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **_common(highdicom, report, CAPTURE_SERIES, [header], edition),
    )
    # highdicom accepts neither an empty orientation nor one between two directions; an unknown one stays empty
    made.PatientOrientation = header.PatientOrientation
    aspect = read_statements(header).aspect
    if is_possible(aspect) and not is_square(aspect):  # the overlay has the pixels of the film
        made.PixelAspectRatio = list(Fraction(aspect).limit_denominator(1000).as_integer_ratio())
    sides = {knee.side for knee in report.knees}
    if sides == {"left", "right"}:
        made.ImageLaterality = "B"
    else:  # Laterality is empty if it is not known (PS3.3 C.7.3.1)
        made.Laterality = {"left": "L", "right": "R", None: ""}[sides.pop() if len(sides) == 1 else None]
    return _spelt(made, header)


@quiet_logs()
@quiet_warnings()
def to_bytes(dataset: Any) -> bytes:
    """Return a dataset as the content of a DICOM file."""
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _measurements(highdicom: Any, report: FilmReport, headers: Sequence[Any]) -> Any:
    """Return the content of the report: its observer, a group for each knee or for the refusal, and the findings."""
    from highdicom.sr import (
        CodedConcept,
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
    observer = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("1597004", "SCT", "Skeletal system plain X-ray"),
        imaging_measurements=[
            _group(knee, number, headers[film])
            for number, (knee, film) in enumerate(zip(report.knees, report.sources, strict=True), 1)
        ]
        or [_not_graded(report)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    text = "\n".join([report.findings(), *_named_films(headers, report)])
    findings = TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)
    content[0].ContentSequence.append(findings)
    return content


def _named_films(headers: Sequence[Any], report: FilmReport) -> list[str]:
    """Return a line for each of several films, by which a reader finds the film that a number in the findings means."""
    if len(headers) == 1:
        return []
    lines = ["", "FILMS"]
    for place, header in zip(report.film_numbers, headers, strict=True):
        number = f"instance number {header.InstanceNumber}, " if header.get("InstanceNumber") else ""
        lines.append(f"Film {place}: {number}SOP Instance UID {header.SOPInstanceUID}")
    return lines


def _group(knee: KneeGrade, number: int, header: Any) -> Any:
    """Return the group of one knee, its grade and figures (TID 1501), with a reference to its film."""
    from highdicom.sr import (
        CodedConcept,
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes

    def ours(value: str, meaning: str) -> Any:
        return CodedConcept(value, SCHEME, meaning)

    def graded(value: int) -> Any:
        return ours(f"KL{value}", f"Kellgren-Lawrence grade {value}, {GRADES[value].label}")

    side = CodedConcept(SIDES[knee.side][0], "SCT", SIDES[knee.side][1]) if knee.side else None
    ratio = codes.UCUM.NoUnits
    evaluations = [
        QualitativeEvaluation(ours("KL", "Kellgren-Lawrence grade"), graded(knee.grade)),
        QualitativeEvaluation(ours("KL-LIKELIEST", "Likeliest grade"), graded(knee.likeliest)),
    ]
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
        source_images=[SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )


def _not_graded(report: FilmReport) -> Any:
    """Return a group that has the reason of a refusal in place of a knee (TID 1501)."""
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


def _common(highdicom: Any, report: FilmReport, series: int, headers: Sequence[Any], edition: str) -> dict[str, Any]:
    """Return the arguments of both kinds of objects: their numbers, and the device that made them.

    Each of the texts has room for 64 characters. The UIDs are new if a film has no UID to derive them from.
    """
    films = sorted(str(one.get("SOPInstanceUID", "")) for one in headers)
    said = [report.findings(), *(str(headers[0].get(name, "")) for name in ABOUT), edition]
    made = (str(series), report.model, report.revision)
    return {
        "series_instance_uid": _uid(highdicom, "series", *made, headers[0].StudyInstanceUID),
        "series_number": series,
        "sop_instance_uid": _uid(highdicom, "object", *made, *films, repr(said)) if all(films) else highdicom.UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "content_qualification": "RESEARCH",
        "specific_character_set": None,
        "series_description": f"Research use only: KL grades by {report.model}"[:64],
        "manufacturer_model_name": report.model[:64],
        "device_serial_number": report.revision[:64],
        "software_versions": __version__,
    }


def _short(value: float) -> float:
    """Return a value with few enough digits for a decimal string of 16 characters."""
    return round(value, 6)


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError:
        raise MissingExtra("DICOM objects need highdicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    return highdicom


def _spelt(made: Any, header: Any) -> Any:
    """Return the object in the film's character set. highdicom does not accept all the names that pydicom does."""
    if header.get("SpecificCharacterSet"):
        made.SpecificCharacterSet = header.SpecificCharacterSet
    return made


def _uid(highdicom: Any, *parts: str) -> str:
    """Return a UID that depends on the parts alone, so a device is the same in each report (2.25, PS3.5 B.2)."""
    return highdicom.UID(
        f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode('utf-8', 'replace')).digest()[:15], 'big')}"
    )


def _marked(picture: Image.Image) -> Image.Image:
    from PIL import ImageDraw, ImageFont

    height = max(14, picture.height // 24)
    marked = Image.new("RGB", (picture.width, picture.height + 2 * height), "black")
    marked.paste(picture, (0, 0))
    font = ImageFont.load_default(size=height)
    text = "RESEARCH USE ONLY" if picture.width > 11 * height else "RESEARCH"
    ImageDraw.Draw(marked).text((height // 2, picture.height + height // 2), text, fill="#ffd166", font=font)
    return marked
