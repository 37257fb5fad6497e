"""Answers as DICOM objects: of the film's study, accepted by a validator, and saying what the report says."""

import io
import re
import shutil
import subprocess
import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from benchmarks.film_kinds import PATIENT, PATIENT_ID, PREAMBLE, bare, dicom
from kneeoa_hub.cli import main
from kneeoa_hub.errors import DamagedFilm, FilmError, FilmTooLarge, UnsupportedFilm
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.phantom import two_knee_film
from kneeoa_hub.output.dicom import secondary_capture, structured_report, to_bytes
from kneeoa_hub.output.sidecars import DicomObjects

from ..support.bombs import long_element
from ..support.dicom_films import ODD, changed, knee, study, written


@pytest.fixture(scope="module")
def film() -> bytes:
    return study()


@pytest.fixture(scope="module")
def report(grader, film):
    return grader.grade(film, force=True)


def two_knees() -> np.ndarray:
    return two_knee_film((1, 3), 21, height=400, width=800, bits=16).pixels


MISSING = (
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "PatientBirthDate",
    "PatientSex",
    "PatientName",
    "PatientID",
    "ReferringPhysicianName",
)
HEADERS = {
    "right": ({}, "R", None),
    "left": ({"ImageLaterality": "L"}, "L", None),
    "no side": ({"ImageLaterality": None}, "", None),
    "both sides of one knee": ({"ImageLaterality": "B"}, "", None),
    "two knees": ({"ImageLaterality": None, "PatientOrientation": ["L", "F"]}, None, "B"),
    "two knees by convention": ({"ImageLaterality": None}, None, "B"),
    "two knees of one side": ({"ImageLaterality": None, "Laterality": "L"}, "", None),
    "odd": (ODD, "R", None),
    "no date": ({"PatientBirthDate": "00000000", "StudyDate": "20200231"}, "R", None),
    "missing": (dict.fromkeys(MISSING), "R", None),
    "between two directions": ({"PatientOrientation": ["L", "FA"]}, "R", None),
    "empty character set": ({"SpecificCharacterSet": ""}, "R", None),
    "unknown character set": ({"SpecificCharacterSet": "ISO_IR 9999", "PatientName": "M\xfcl^J"}, "R", None),
    "Japanese": (
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"},
        "R",
        None,
    ),
}
"""Laterality values of a header, then Laterality and Image Laterality of its secondary capture."""
TRUE = ("actually unknown", "needed to build DICOMDIR")
"""Justified warnings: an unknown side, and elements that the film lacks."""


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_validator_accepts_the_objects_of_each_film(header, grader, tmp_path):
    film = study(two_knees() if header[2] or header[0].get("Laterality") else None, **header[0])
    report = grader.grade(film, force=True)
    capture = secondary_capture(film, report)
    assert (capture.get("Laterality"), capture.get("ImageLaterality")) == header[1:]
    accepted(to_bytes(structured_report(film, report)), tmp_path / "sr.dcm")
    accepted(to_bytes(capture), tmp_path / "sc.dcm")


@pytest.mark.parametrize("given", [None, ["R", "F"]])
def test_a_capture_has_the_orientation_of_its_film_and_invents_none(given, grader):
    film = study(PatientOrientation=given)
    assert (secondary_capture(film, grader.grade(film)).PatientOrientation or None) == given


def test_an_identifier_of_several_values_is_none():
    film = study(PatientID=["1", "2"], AccessionNumber=["A1", "A2"])
    found = read_identity(film)
    assert (found.patient_id, found.accession) == ("", "")


def accepted(made: bytes, path) -> None:
    path.write_bytes(made)
    done = subprocess.run(["dciodvfy", path], capture_output=True, encoding="latin-1")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Error" not in output
    assert [
        line
        for line in output.splitlines()
        if "Warning" in line and "99KNEEOA" not in line and not any(words in line for words in TRUE)
    ] == []


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (Debian: dicom3tools) is not installed")
def test_a_validator_accepts_the_report_of_a_refused_film(grader, tmp_path):
    blank = study(np.full((300, 300), 90, np.uint16))
    accepted(to_bytes(structured_report(blank, grader.grade(blank))), tmp_path / "sr.dcm")


def test_unusual_values_are_left_empty_and_values_that_identify_the_film_are_kept(report):
    film = study(
        **ODD, AccessionNumber="2020-0000-1111-2222-3333", StudyInstanceUID="1.2.03.4", SeriesInstanceUID="a.b"
    )
    for make in (structured_report, secondary_capture):
        with warnings.catch_warnings(action="ignore"):
            made = pydicom.dcmread(io.BytesIO(to_bytes(make(film, report))))
            assert not any(made[name].value for name in ODD if name in made)
            assert {*ODD} - {"PatientOrientation"} <= {element.keyword for element in made}
            assert (made.PatientID, made.AccessionNumber, made.StudyInstanceUID) == (
                PATIENT_ID,
                "2020-0000-1111-2222-3333",
                "1.2.03.4",
            )
            assert made.StudyDate == "20200101"


@pytest.mark.slow
def test_a_header_of_garbage_gives_objects_or_the_name_of_an_element(film, report):
    keywords = (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "StudyInstanceUID",
        "SOPClassUID",
        "StudyDate",
        "StudyID",
        "PatientSex",
        "AccessionNumber",
    )
    values = (b"", b"\xff\xfe\xff\xff", b"a\\b\\c ", b"\xfe\xff\x00\xe0\x08\0\0\0")
    messages = {}
    for number, (keyword, kind, value) in enumerate(
        product(keywords, (b"LO", b"UI", b"ZZ", b"FD", b"SQ", b"PN", b"IS", b"UN"), values)
    ):
        odd = changed(film, keyword, kind, value)
        for make in (structured_report, secondary_capture)[: 2 if number % 16 == 0 else 1]:
            try:
                to_bytes(make(odd, report))
            except (UnsupportedFilm, DamagedFilm) as error:
                messages[keyword, kind, value] = error.message
    assert not any(PATIENT in message or PATIENT_ID in message for message in messages.values())
    assert [(case, message) for case, message in messages.items() if case[0] not in message] == []
    assert {keyword for keyword, _, _ in messages} == {"PatientID", "StudyInstanceUID", "SOPClassUID"}


def test_the_structured_report_says_what_the_report_says(film, report):
    made = pydicom.dcmread(io.BytesIO(to_bytes(structured_report(film, report))))
    header = pydicom.dcmread(io.BytesIO(film))
    assert (made.PatientID, made.PatientName, made.StudyInstanceUID) == (
        header.PatientID,
        PATIENT,
        header.StudyInstanceUID,
    )
    referenced = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == header.SOPInstanceUID
    items = list(walked(made))
    (graded,) = report.knees
    for name, grade in (("KL", graded.grade), ("KL-LIKELIEST", graded.likeliest)):
        assert [item.ConceptCodeSequence[0].CodeValue for item in items if name_of(item) == name] == [f"KL{grade}"]
    sets = [item.ConceptCodeSequence[0].CodeValue for item in items if name_of(item) == "KL-SET"]
    assert sets == [f"KL{grade}" for grade in graded.grade_set]
    for grade, probability in enumerate(graded.probabilities):
        (item,) = [item for item in items if name_of(item) == f"P-KL{grade}"]
        assert float(item.MeasuredValueSequence[0].NumericValue) == pytest.approx(probability, abs=1e-6)
    assert "24028007" in [item.ConceptCodeSequence[0].CodeValue for item in items if item.get("ConceptCodeSequence")]
    assert [item.TextValue for item in items if name_of(item) == "121106"] == [report.findings()]
    assert made.DeviceSerialNumber == report.revision
    assert made.SeriesDescription.startswith("Research use only")


@pytest.mark.parametrize("stripped", [lambda film: film[PREAMBLE:], bare], ids=["no preamble", "data set alone"])
def test_a_film_without_a_preamble_has_objects_too(stripped, film, report, grader):
    again = grader.grade(stripped(film))
    assert [knee.probabilities for knee in again.knees] == [knee.probabilities for knee in report.knees]
    for make in (structured_report, secondary_capture):
        made = pydicom.dcmread(io.BytesIO(to_bytes(make(stripped(film), again))))
        assert made.StudyInstanceUID == pydicom.dcmread(io.BytesIO(film)).StudyInstanceUID


def walked(item: pydicom.Dataset):
    """An item of content and all below it."""
    for below in item.get("ContentSequence", []):
        yield below
        yield from walked(below)


def name_of(item: pydicom.Dataset) -> str:
    return item.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in item else ""


def test_the_secondary_capture_has_the_shape_of_the_pixels_of_its_film(grader):
    pressed = study(np.ascontiguousarray(two_knees()[::2]), ImagerPixelSpacing=["0.2", "0.1"])
    made = pydicom.dcmread(io.BytesIO(to_bytes(secondary_capture(pressed, grader.grade(pressed, force=True)))))
    assert list(made.PixelAspectRatio) == [2, 1]
    assert (made.Columns, made.Rows < 400) == (800, True)


def test_the_secondary_capture_is_the_overlay_with_a_marked_foot(film, report):
    made = pydicom.dcmread(io.BytesIO(to_bytes(secondary_capture(film, report))))
    overlay = np.asarray(report.overlay())
    assert (made.pixel_array[: overlay.shape[0]] == overlay).all()
    assert made.pixel_array[overlay.shape[0] :].max() > 200
    assert (made.PhotometricInterpretation, made.Laterality, made.Modality) == ("RGB", "R", "OT")


def test_a_refused_film_has_a_structured_report_and_no_capture(grader):
    blank = study(np.full((300, 300), 90, np.uint16))
    refused = grader.grade(blank)
    items = list(walked(structured_report(blank, refused)))
    assert any(refused.refused.message in item.TextValue for item in items if "TextValue" in item)
    with pytest.raises(FilmError, match="No knee was graded"):
        secondary_capture(blank, refused)


def test_a_film_without_a_study_is_refused_without_naming_the_patient(grader, films, report):
    with pytest.raises(UnsupportedFilm, match="is not DICOM"):
        structured_report(films["mild"].read_bytes(), report)
    with pytest.raises(UnsupportedFilm, match="lacks") as caught:
        structured_report(dicom(knee()), report)
    assert PATIENT not in str(caught.value)


def test_a_deflated_film_and_one_with_long_private_values_have_the_same_objects(film, report):
    dataset = pydicom.dcmread(io.BytesIO(film))
    dataset.add_new(0x00091001, "UT", "vendor " * 20_000)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    first, second = structured_report(film, report), structured_report(written(dataset), report)
    assert second.SOPInstanceUID == first.SOPInstanceUID
    assert second.PatientID == first.PatientID
    assert second.StudyInstanceUID == first.StudyInstanceUID


def test_a_film_of_millions_of_texts_has_no_objects_and_costs_no_memory(film, report):
    texts = b"".join(long_element(0x10, 0x1001, b"UC", b"1\\" * 30_000) for _ in range(100))
    with pytest.raises(FilmTooLarge, match="bytes in its header"):
        structured_report(film[:132] + film[132:].replace(b"\x20\0\x0d\0UI", texts + b"\x20\0\x0d\0UI", 1), report)


def test_the_command_writes_both_objects_beside_its_table(film, tmp_path, capsys):
    (tmp_path / "knee.dcm").write_bytes(film)
    assert main(["grade", str(tmp_path / "knee.dcm"), "--dicom", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"knee.sr.dcm", "knee.sc.dcm"}
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("out", [(), ("--json",), ("--csv",), ("--out", "grades.csv")])
def test_a_film_without_objects_stays_graded_and_only_a_dicom_one_fails(
    film, films, tmp_path, capsys, monkeypatch, out
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "knee.dcm").write_bytes(film)
    (tmp_path / "mild.png").write_bytes(films["mild"].read_bytes())

    def graded(*names: str) -> tuple[int, str, str]:
        for old in tmp_path.glob("grades.csv"):
            old.unlink()
        code = main(["grade", *names, *out, "--dicom", "objects", "--report", "report.html"])
        captured = capsys.readouterr()
        return (
            code,
            captured.out + "".join(path.read_text("utf-8") for path in tmp_path.glob("grades.csv")),
            captured.err,
        )

    code, answers, errors = graded("knee.dcm", "mild.png")
    assert (code, errors.count("mild.png"), errors.count("is not DICOM")) == (0, 1, 1)
    assert not re.search("error\\W+code|ERROR|is not DICOM", answers)
    assert "mild.png" in answers
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "could not be graded" not in page
    assert page.count("<dt>Osteoarthritis</dt>") == 2
    assert {path.name for path in (tmp_path / "objects").iterdir()} == {"knee.sr.dcm", "knee.sc.dcm"}
    for element, made in (("StudyInstanceUID", set()), ("SOPClassUID", {"odd.sc.dcm"})):
        header = pydicom.dcmread(io.BytesIO(film))
        delattr(header, element)
        header.save_as(tmp_path / "odd.dcm")
        code, answers, errors = graded("mild.png", "odd.dcm")
        assert (code, errors.count("odd.dcm: The film's DICOM header lacks"), errors.count(element)) == (1, 1, 1)
        assert not re.search("error\\W+code|ERROR|lacks", answers)
        assert "odd.dcm" in answers
        assert "could not be graded" not in (tmp_path / "report.html").read_text("utf-8")
        assert {path.name for path in (tmp_path / "objects").glob("odd.*")} == made


@pytest.mark.parametrize(("kind", "value"), [(b"SQ", b"a\\b\\c "), (b"SQ", bytes(2)), (b"PN", b"DOE^JOHN")])
def test_one_malformed_header_ends_no_batch(film, tmp_path, capsys, kind, value):
    (tmp_path / "odd.dcm").write_bytes(changed(film, "PatientID", kind, value))
    (tmp_path / "sound.dcm").write_bytes(film)
    assert (
        main(["grade", str(tmp_path / "odd.dcm"), str(tmp_path / "sound.dcm"), "--dicom", str(tmp_path / "out")]) == 1
    )
    captured = capsys.readouterr()
    assert captured.out.count("odd.dcm") == captured.out.count("sound.dcm") == 1
    assert (
        captured.err.count("PatientID in the film's DICOM header is empty or malformed")
        == captured.err.count("\n")
        == 1
    )
    assert "DOE" not in captured.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sound.sr.dcm", "sound.sc.dcm"}


def test_a_fault_of_the_package_is_not_reported_as_one_of_the_film(film, report, tmp_path, capsys):
    (tmp_path / "knee.dcm").write_bytes(film)
    ours = replace(report, revision=5)
    with pytest.raises(TypeError):
        structured_report(film, ours)
    objects, answers = (
        DicomObjects(tmp_path, places={str(tmp_path / "knee.dcm"): "knee"}),
        [(str(tmp_path / "knee.dcm"), ours), (str(tmp_path / "gone.dcm"), report)],
    )
    assert list(objects.beside(answers)) == answers
    errors = capsys.readouterr().err
    assert errors.count("can't be made (TypeError). This is a fault of the package") == 2
    assert "gone.dcm: The film can't be read again" in errors
    assert objects.failed == 2
