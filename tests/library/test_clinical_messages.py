"""Answers as FHIR R4 and HL7 v2: valid by libraries that know the standards, and saying what the report says."""

import io
import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pydicom
import pytest
from PIL import Image

from kneeoa_hub.cli import main
from kneeoa_hub.errors import UnsupportedFilm
from kneeoa_hub.imaging.phantom import two_knee_film
from kneeoa_hub.output.dicom import structured_report, to_bytes
from kneeoa_hub.output.fhir import fhir_bundle
from kneeoa_hub.output.hl7 import hl7_message
from kneeoa_hub.study import study_report

from ..support.dicom_films import ODD, knee, study

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
NAME = "O|Neill^Se\xe1n^P^Dr^Jr"
FILMS: dict[str, Callable[[], bytes]] = {
    "one knee": lambda: study(IssuerOfPatientID="CLINIC"),
    "two knees": lambda: study(
        two_knee_film((1, 3), 21, height=400, width=800, bits=16).pixels,
        ImageLaterality=None,
        PatientOrientation=["L", "F"],
    ),
    "refused": lambda: study(ViewPosition="LATERAL"),
    "odd": lambda: study(**ODD),
    "hardly a header": lambda: study(
        PatientID=None, PatientName=None, PatientSex=None, StudyDate=None, AccessionNumber=None
    ),
    "separators in values": lambda: study(SpecificCharacterSet="ISO_IR 192", PatientName=NAME, AccessionNumber="A^1&2"),
}


@pytest.fixture(scope="module", params=FILMS)
def graded(request, grader):
    film = FILMS[request.param]()
    return request.param, film, grader.grade(film)


@pytest.fixture(scope="module")
def one_knee() -> bytes:
    return FILMS["one knee"]()


def resources(bundle: dict, kind: str) -> list[dict]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]


def values_of(observations: list[dict], name: str, part: str) -> list[str]:
    """Return the code or the display of each component with this name."""
    components = [one for observation in observations for one in observation["component"]]
    named = [one for one in components if one["code"]["coding"][0]["code"] == name]
    return [one["valueCodeableConcept"]["coding"][0][part] for one in named]


def check_fhir(bundle: dict) -> None:
    """Check a bundle by the models of R4 (4.0.1, fhirclient) and R4B (4.3.0, fhir.resources). Both raise."""
    with warnings.catch_warnings(action="ignore"):
        from fhir.resources.R4B.bundle import Bundle
        from fhirclient.models.bundle import Bundle as R4Bundle

        assert R4Bundle(bundle, strict=True).as_json() == bundle
        Bundle.model_validate(bundle)


def test_the_check_of_fhir_finds_what_r4_does_not_have(grader, one_knee):
    bundle = fhir_bundle(one_knee, grader.grade(one_knee), NOW)
    from fhirclient.models.fhirabstractbase import FHIRValidationError

    bundle["entry"][0]["resource"]["composition"] = {"reference": "Composition/1"}  # an element of R5
    with pytest.raises(FHIRValidationError, match="composition"):
        check_fhir(bundle)


def test_the_bundle_is_valid_fhir_and_says_what_the_report_says(graded):
    _, film, report = graded
    bundle = fhir_bundle(film, report, NOW)
    check_fhir(json.loads(json.dumps(bundle)))
    (diagnostic,) = resources(bundle, "DiagnosticReport")
    observations = resources(bundle, "Observation")
    assert diagnostic["conclusion"] == report.findings()
    assert diagnostic["status"] == "preliminary"
    values = [one["valueCodeableConcept"]["coding"][0]["code"] for one in observations]
    assert values == [f"KL{knee.grade}" for knee in report.knees]
    assert values_of(observations, "KL-LIKELIEST", "code") == [f"KL{knee.likeliest}" for knee in report.knees]
    sides = values_of(observations, "272741003", "display")
    assert sides == [knee.side.capitalize() for knee in report.knees if knee.side]
    references = {one["fullUrl"] for one in bundle["entry"]}
    assert {one["reference"] for one in [diagnostic["subject"], *diagnostic.get("result", ())]} <= references
    assert fhir_bundle(film, report, NOW) == bundle


def test_only_what_is_one_thing_has_one_identifier(grader, one_knee):
    def ids(film: bytes, one: Callable = lambda report: report) -> dict[str, str]:
        report = one(grader.grade(one_knee))
        return {entry["resource"]["resourceType"]: entry["fullUrl"] for entry in fhir_bundle(film, report)["entry"]}

    first = ids(one_knee)
    for film, of_report, same in (
        (one_knee, lambda report: study_report([report]), {"Patient", "ImagingStudy", "Device"}),
        (study(IssuerOfPatientID="CLINIC", SOPInstanceUID="1.2.7"), None, {"Patient", "ImagingStudy", "Device"}),
        (study(IssuerOfPatientID="CLINIC", StudyInstanceUID="1.2.8"), None, {"Patient", "Device"}),
        (study(IssuerOfPatientID="ANOTHER"), None, {"Device"}),
        (study(IssuerOfPatientID="CLINIC", PatientBirthDate=None, StudyInstanceUID="1.2.9"), None, {"Device"}),
    ):
        other = ids(film, of_report) if of_report else ids(film)
        assert {kind for kind in first if first[kind] == other[kind]} == same
    nameless: dict[str, Any] = {"PatientID": "", "StudyInstanceUID": "", "SOPInstanceUID": ""}
    both = [ids(study(**nameless, PatientName=name)) for name in ("A", "B")]
    assert {kind for kind in both[0] if both[0][kind] == both[1][kind]} == {"Device"}


def test_the_message_is_valid_hl7_and_says_what_the_report_says(graded):
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message

    name, film, report = graded
    text = hl7_message(film, report, NOW)
    message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT)
    message.validate()
    assert message.msh.msh_9.value == "ORU^R01^ORU_R01"  # pyright: ignore[reportOptionalMemberAccess]
    lines = [line.split("|") for line in text.split("\r")[:-1]]
    results = [line for line in lines if line[0] == "OBX"]
    assert all(line[11] == "P" for line in results)
    coded = [(line[3].split("^")[0], line[5].split("^")[0]) for line in results if line[2] == "CWE"]
    assert [value for name, value in coded if name == "KL"] == [f"KL{one.grade}" for one in report.knees]
    assert [value for name, value in coded if name == "KL-LIKELIEST"] == [f"KL{one.likeliest}" for one in report.knees]
    assert results[-1][5].count("\\.br\\") == report.findings().count("\n")
    if name == "separators in values":
        (patient,) = (line for line in lines if line[0] == "PID")
        assert patient[5] == "O\\F\\Neill^Se\xe1n^P^Jr^Dr"
        (order,) = (line for line in lines if line[0] == "OBR")
        assert order[3] == "A\\S\\1\\T\\2"


@pytest.mark.parametrize(
    ("charset", "name", "hl7", "fhir"),
    [
        (
            ["", "ISO 2022 IR 87"],
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "Yamada^Tarou~山田^太郎^^^^^^I~やまだ^たろう^^^^^^P",
            [("", "Yamada"), ("IDE", "山田"), ("SYL", "やまだ")],
        ),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞", "Hong^Gildong~洪^吉洞^^^^^^I", [("", "Hong"), ("IDE", "洪")]),
        ("GB18030", "=王^小东", "王^小东^^^^^^I", [("IDE", "王")]),
        ("ISO_IR 192", "=王^小東", "王^小東^^^^^^I", [("IDE", "王")]),
        ("ISO_IR 192", "=山田\u3000太郎", "山田\u3000太郎^^^^^^^I", [("IDE", "山田\u3000太郎")]),
        ("ISO_IR 144", "Люкceмбypг", "Люкceмбypг", [("", "Люкceмбypг")]),
        ("ISO_IR 127", "قباني^لنزار", "قباني^لنزار", [("", "قباني")]),
    ],
    ids=lambda value: str(value).split("^")[0],
)
def test_a_name_in_any_writing_reaches_every_output(grader, charset, name, hl7, fhir):
    film = study(SpecificCharacterSet=charset, PatientName=name)
    report = grader.grade(film)
    made = pydicom.dcmread(io.BytesIO(to_bytes(structured_report(film, report))))
    assert str(made.PatientName) == name
    assert hl7_message(film, report, NOW).split("\r")[1].split("|")[5] == hl7
    bundle = fhir_bundle(film, report, NOW)
    check_fhir(json.loads(json.dumps(bundle)))
    (patient,) = resources(bundle, "Patient")
    writings = [one.get("extension", [{"valueCode": ""}])[0]["valueCode"] for one in patient["name"]]
    assert list(zip(writings, [one["family"] for one in patient["name"]], strict=True)) == fhir


def test_a_name_in_utf8_whose_header_does_not_say_so_is_read_as_it_was_typed(grader, one_knee):
    film = study(PatientName="Łukasz^Żak".encode().decode("latin-1"))
    assert hl7_message(film, grader.grade(one_knee), NOW).split("\r")[1].split("|")[5] == "Łukasz^Żak"


@pytest.mark.parametrize(
    ("now", "hl7", "fhir"),
    [
        (NOW, "20240301120000+0000", "2024-03-01T12:00:00+00:00"),
        (NOW.astimezone(timezone(timedelta(hours=-3.5))), "20240301083000-0330", "2024-03-01T08:30:00-03:30"),
    ],
)
def test_the_time_of_a_message_has_its_offset(grader, one_knee, now, hl7, fhir):
    report = grader.grade(one_knee)
    header, _, order = (line.split("|") for line in hl7_message(one_knee, report, now).split("\r")[:3])
    assert header[6] == order[22] == hl7
    (diagnostic,) = resources(fhir_bundle(one_knee, report, now), "DiagnosticReport")
    assert diagnostic["issued"] == fhir


def test_a_film_that_is_not_dicom_has_no_patient_for_a_message(grader):
    picture = io.BytesIO()
    Image.fromarray(knee()).save(picture, "PNG")
    film, report = picture.getvalue(), grader.grade(picture.getvalue())
    for make in (fhir_bundle, hl7_message):
        with pytest.raises(UnsupportedFilm, match="names no patient"):
            make(film, report)


def test_the_command_line_writes_both_beside_the_answers(one_knee, tmp_path, capsys):
    (tmp_path / "knee.dcm").write_bytes(one_knee)
    places = [f"--{name}={tmp_path / name}" for name in ("fhir", "hl7")]
    assert main(["grade", str(tmp_path / "knee.dcm"), *places]) == 0
    assert json.loads((tmp_path / "fhir" / "knee.fhir.json").read_bytes())["type"] == "collection"
    assert (tmp_path / "hl7" / "knee.hl7").read_bytes().startswith(b"MSH|^~\\&|KNEEOA|")
    assert "12345" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--store"],
        ["--study", "dicomweb://host/studies/1.2/series/3"],
        ["--study", "ftp://host/studies/1.2"],
        ["--study", "dicomweb://user:word@host/studies/1.2"],
        ["--study", "dicomweb://host/studies/1.2", "--overlays", "seen"],
        ["--study", "dicomweb://host/studies/1.2", "film.png"],
    ],
)
def test_an_impossible_request_for_a_study_is_a_usage_error(words, capsys):
    assert main(["grade", *words]) == 2
    assert "word" not in capsys.readouterr().err
