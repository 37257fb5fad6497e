"""Makes a FHIR R4 bundle of a report: DiagnosticReport, an Observation for each knee, ImagingStudy, Device, Patient.

Codes are those of LOINC, SNOMED CT, UCUM and DICOM if one exists; others are in our own system. The bundle takes over
patient and study from the film's header, and its identifiers follow from patient, study, film and model.
"""

import json
import uuid
from datetime import datetime
from typing import Any

from .. import __version__
from ..grades import GRADES
from ..imaging.identity import MAKER, FilmIdentity
from ..knee import KneeGrade
from ..report import DISCLAIMER, FilmReport
from .clinical import ClinicalAnswer, PersonName, figures, names_of
from .dicom import SCHEME, SIDES

OUR_SYSTEM = f"urn:kneeoa:{SCHEME}"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
DICOM_UIDS = "urn:dicom:uid"
GENDERS = {"F": "female", "M": "male", "O": "other"}
WRITING = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
WRITINGS = {"I": "IDE", "P": "SYL"}
"""The extension WRITING has these codes for the writings of a name that are not alphabetic."""
PRELIMINARY = "preliminary"
"""A report that no person has verified has this status."""
Resource = dict[str, Any]


def fhir_bundle(film: bytes, report: FilmReport, now: datetime | None = None) -> Resource:
    """Return a Bundle of type collection as JSON values.

    Args:
        film: The DICOM file that was graded; of a study one of its files.
        report: Its report.
        now: When the report is issued; by default now.

    Raises the errors of `ClinicalAnswer.of`.
    """
    answer = ClinicalAnswer.of(film, report, now)
    identity = answer.identity
    link = _Links(answer)
    observations = [_observation(knee, number, report, link) for number, knee in enumerate(report.knees)]
    resources = [
        _diagnostic_report(report, identity, link, answer.made_at.isoformat(timespec="seconds")),
        *observations,
        _imaging_study(identity, link),
        _device(report, link),
        _patient(identity, link),
    ]
    return {
        "resourceType": "Bundle",
        "id": link.id("Bundle"),
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources],
    }


def to_json(bundle: Resource) -> bytes:
    """Return a bundle as the content of a file."""
    return json.dumps(bundle, indent=1, ensure_ascii=False).encode()


class _Links:
    """Gives each resource an identifier that follows from its content, and refers to it.

    Patient, study and device have the same identifier in each bundle. The report and its observations have their own.
    """

    def __init__(self, answer: ClinicalAnswer):
        device = f"device {answer.report.model}/{answer.report.revision}"
        self._shared = {"Patient": answer.patient_key, "ImagingStudy": answer.study_key, "Device": device}
        self._own = answer.key

    def id(self, resource: str) -> str:
        """Return the identifier of a resource."""
        about = self._shared.get(resource, self._own).encode("utf-8", "replace").decode()
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{OUR_SYSTEM}/{about}/{resource}"))

    def to(self, resource: str) -> Resource:
        """Return a reference to a resource of the same bundle."""
        return {"reference": f"urn:uuid:{self.id(resource)}"}


def _diagnostic_report(report: FilmReport, identity: FilmIdentity, link: _Links, issued: str) -> Resource:
    made: Resource = {
        "resourceType": "DiagnosticReport",
        "id": link.id("DiagnosticReport"),
        "status": PRELIMINARY,
        "category": [_code("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")],
        "code": _code(LOINC, "18748-4", "Diagnostic imaging study"),
        "subject": link.to("Patient"),
        "issued": issued,
        "imagingStudy": [link.to("ImagingStudy")],
        "conclusion": report.findings(),
    }
    if identity.date:
        made["effectiveDateTime"] = identity.date
    if report.knees:
        made["result"] = [link.to(f"Observation/{number}") for number in range(len(report.knees))]
    return made


def _observation(knee: KneeGrade, number: int, report: FilmReport, link: _Links) -> Resource:
    components = [_figure(*one) for one in figures(knee)]
    likeliest = _code(OUR_SYSTEM, "KL-LIKELIEST", "Likeliest grade")
    components.append({"code": likeliest, "valueCodeableConcept": _grade(knee.likeliest)})
    low, high = ({"value": grade} for grade in (knee.grade_set[0], knee.grade_set[-1]))
    in_set = _code(OUR_SYSTEM, "KL-SET", "Grades that cannot be ruled out")
    components.append({"code": in_set, "valueRange": {"low": low, "high": high}})
    if knee.side:
        code, side = SIDES[knee.side]
        laterality = _code(SNOMED, "272741003", "Laterality")
        components.append({"code": laterality, "valueCodeableConcept": _code(SNOMED, code, side)})
    return {
        "resourceType": "Observation",
        "id": link.id(f"Observation/{number}"),
        "status": PRELIMINARY,
        "category": [_code("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging")],
        "code": _code(OUR_SYSTEM, "KL", "Kellgren-Lawrence grade"),
        "subject": link.to("Patient"),
        "valueCodeableConcept": _grade(knee.grade),
        "bodySite": {**_code(SNOMED, "49076000", "Knee joint"), "text": report.names[number]},
        "derivedFrom": [link.to("ImagingStudy")],
        "device": link.to("Device"),
        "component": components,
        "note": [{"text": text} for text in (*report.warnings, DISCLAIMER)],
    }


def _imaging_study(identity: FilmIdentity, link: _Links) -> Resource:
    made: Resource = {
        "resourceType": "ImagingStudy",
        "id": link.id("ImagingStudy"),
        "status": "available",
        "subject": link.to("Patient"),
    }
    identifiers: list[Resource] = []
    if identity.study:
        identifiers.append({"system": DICOM_UIDS, "value": f"urn:oid:{identity.study}"})
    if identity.accession:
        kind = _code("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID")
        identifiers.append({"type": kind, "value": identity.accession})
    if identifiers:
        made["identifier"] = identifiers
    if identity.date:
        made["started"] = identity.date
    return made


def _device(report: FilmReport, link: _Links) -> Resource:
    return {
        "resourceType": "Device",
        "id": link.id("Device"),
        "manufacturer": MAKER,
        "deviceName": [{"name": report.model, "type": "model-name"}],
        "serialNumber": report.revision,
        "version": [{"value": __version__}],
        "note": [{"text": DISCLAIMER}],
    }


def _patient(identity: FilmIdentity, link: _Links) -> Resource:
    made: Resource = {"resourceType": "Patient", "id": link.id("Patient")}
    if identity.patient_id:
        number: Resource = {"value": identity.patient_id}
        if identity.issuer:
            number["assigner"] = {"display": identity.issuer}
        made["identifier"] = [number]
    if names := [_name(name) for name in names_of(identity)]:
        made["name"] = names
    if birth := identity.born:
        made["birthDate"] = birth
    if gender := GENDERS.get(identity.sex):
        made["gender"] = gender
    return made


def _name(name: PersonName) -> Resource:
    made: Resource = {"family": name.family, "given": [one for one in (name.given, name.middle) if one]}
    made |= {"prefix": [name.prefix] * bool(name.prefix), "suffix": [name.suffix] * bool(name.suffix)}
    if name.writing in WRITINGS:
        made["extension"] = [{"url": WRITING, "valueCode": WRITINGS[name.writing]}]
    return {key: value for key, value in made.items() if value}


def _grade(value: int) -> Resource:
    return _code(OUR_SYSTEM, f"KL{value}", f"Kellgren-Lawrence grade {value}, {GRADES[value].label}")


def _code(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _figure(code: str, display: str, value: float) -> Resource:
    quantity = {"value": round(value, 6), "unit": "1", "system": UCUM, "code": "1"}
    return {"code": _code(OUR_SYSTEM, code, display), "valueQuantity": quantity}
