"""Answers as DICOM objects: of the film's study, accepted by a validator, and saying what the report says."""

import io
import re
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from benchmarks.film_kinds import PREAMBLE, bare
from kneeoa_hub.cli import main
from kneeoa_hub.dicom_objects import secondary_capture, structured_report, to_bytes
from kneeoa_hub.errors import FilmError, UnsupportedFilm

from .test_dicom import PATIENT, dicom, knee


def study(pixels: np.ndarray | None = None, **header: object) -> bytes:
    """A digital radiograph as an archive holds it."""
    about = {
        "StudyInstanceUID": generate_uid(entropy_srcs=["study"]), "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]), "StudyID": "1",
        "StudyDate": "20200101", "StudyTime": "120000", "AccessionNumber": "A1", "ReferringPhysicianName": "", "PatientBirthDate": "19500101",
        "PatientSex": "F", "ImageLaterality": "R",
    }  # fmt: skip
    return dicom(knee() if pixels is None else pixels, **(about | header))


@pytest.fixture(scope="module")
def film() -> bytes:
    return study()


@pytest.fixture(scope="module")
def report(grader, film):
    return grader.grade(film, force=True)


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("make", [structured_report, secondary_capture])
def test_a_validator_accepts_the_object(make, film, report, tmp_path):
    (tmp_path / "object.dcm").write_bytes(to_bytes(make(film, report)))
    done = subprocess.run(["dciodvfy", tmp_path / "object.dcm"], capture_output=True, text=True)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "Error" not in told
    assert [line for line in told.splitlines() if "Warning" in line and "99KNEEOA" not in line] == []


def test_the_structured_report_says_what_the_report_says(film, report):
    made = pydicom.dcmread(io.BytesIO(to_bytes(structured_report(film, report))))
    header = pydicom.dcmread(io.BytesIO(film))
    assert (made.PatientID, made.PatientName, made.StudyInstanceUID) == (header.PatientID, PATIENT, header.StudyInstanceUID)
    referenced = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == header.SOPInstanceUID
    items = list(walked(made))
    (graded,) = report.knees
    grades = [item.ConceptCodeSequence[0].CodeValue for item in items if name_of(item) == "KL"]
    assert grades == [f"KL{graded.grade}"]
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


def test_what_has_no_study_is_refused_without_a_word_of_the_patient(grader, films, report):
    with pytest.raises(UnsupportedFilm, match="is not DICOM"):
        structured_report(films["mild"].read_bytes(), report)
    with pytest.raises(UnsupportedFilm, match="lacks") as caught:
        structured_report(dicom(knee()), report)
    assert PATIENT not in str(caught.value)


def test_the_command_writes_both_objects_beside_its_table(film, tmp_path, capsys):
    (tmp_path / "knee.dcm").write_bytes(film)
    assert main(["grade", str(tmp_path / "knee.dcm"), "--dicom", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"knee.sr.dcm", "knee.sc.dcm"}
    capsys.readouterr()


@pytest.mark.parametrize("out", [(), ("--json",), ("--csv",), ("--out", "grades.csv")])
def test_a_film_without_objects_stays_graded_and_only_a_dicom_one_fails(film, films, tmp_path, capsys, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "knee.dcm").write_bytes(film)
    (tmp_path / "mild.png").write_bytes(films["mild"].read_bytes())

    def graded(*names: str) -> tuple[int, str, str]:
        for old in tmp_path.glob("grades.csv"):
            old.unlink()
        code = main(["grade", *names, *out, "--dicom", "objects", "--report", "report.html"])
        told = capsys.readouterr()
        return code, told.out + "".join(path.read_text("utf-8") for path in tmp_path.glob("grades.csv")), told.err

    code, answers, told = graded("knee.dcm", "mild.png")
    assert (code, told.count("mild.png"), told.count("is not DICOM")) == (0, 1, 1)
    assert not re.search("error\\W+code|ERROR|is not DICOM", answers)
    assert "mild.png" in answers
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Not read" not in page
    assert page.count("Radiographic osteoarthritis") == 2
    assert {path.name for path in (tmp_path / "objects").iterdir()} == {"knee.sr.dcm", "knee.sc.dcm"}
    for element in ("StudyDate", "SOPClassUID"):
        header = pydicom.dcmread(io.BytesIO(film))
        delattr(header, element)
        header.save_as(tmp_path / "odd.dcm")
        code, answers, told = graded("mild.png", "odd.dcm")
        assert (code, told.count("odd.dcm: The film's DICOM header lacks")) == (1, 1)
        assert not re.search("error\\W+code|ERROR|lacks", answers)
        assert "odd.dcm" in answers
        assert "Not read" not in (tmp_path / "report.html").read_text("utf-8")
