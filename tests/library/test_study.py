"""The films of a study give one answer with each knee once, and only films of one patient are compared."""

import io
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pydicom
import pytest

from kneeoa_hub.imaging.identity import FilmIdentity, names_patient, read_identity
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.output.dicom import structured_report
from kneeoa_hub.output.tables import rows
from kneeoa_hub.study import Prior, PriorKnee, study_report, unchecked, why_not_compared

from ..support.dicom_films import ODD, changed, study
from ..support.schemas import schema


@cache
def severe() -> np.ndarray:
    return knee_film(4, 7, bits=16).pixels >> 4


@pytest.fixture(scope="module")
def right(grader):
    return grader.grade(study())


@pytest.fixture(scope="module")
def left(grader):
    return grader.grade(study(severe(), ImageLaterality="L"))


@pytest.fixture(scope="module")
def unnamed(grader):
    return grader.grade(study(severe(), ImageLaterality=None))


def test_two_films_of_one_knee_each_are_one_answer(left, right):
    report = study_report([left, right])
    assert report.names == ("Right knee", "Left knee")
    assert report.knees == (*right.knees, *left.knees)
    assert report.sources == (1, 0)
    assert report.findings().count("Kellgren-Lawrence grade") == 2
    assert report.to_dict()["knees"][0]["side"] == "right"
    films = [(knee["film"]["number"], knee["film"]["width"]) for knee in report.to_dict()["knees"]]
    assert films == [(2, right.film.shape[1]), (1, left.film.shape[1])]
    schema("report").validate(report.to_dict())
    assert [row["film_number"] for row in rows("study", report)] == [2, 1]
    assert report.overlay().width == left.overlay().width + right.overlay().width


def test_of_several_films_of_a_knee_the_best_one_counts_and_the_others_are_named(right, left):
    (knee,) = left.knees
    worse = replace(left, knees=(replace(knee, side="right"),), warnings=("The exposure is extreme.",))
    report = study_report([worse, right])
    assert report.knees == right.knees
    assert report.sources == (1,)
    assert report.warnings[0] == (f"The right knee is graded on film 2, the best one; film 1 gives grade {knee.grade}.")
    assert "Film 1: The exposure is extreme." in report.warnings
    numbered = study_report([worse, right], numbers=[2, 3])
    assert numbered.warnings[0].startswith("The right knee is graded on film 3, the best one; film 2 gives")
    assert "Film 2: The exposure is extreme." in numbered.warnings
    made = structured_report([study(InstanceNumber=4), study(InstanceNumber=9)], numbered)
    assert re.findall(r"Film (\d): instance number (\d)", made.ContentSequence[-1].TextValue) == [
        ("2", "4"),
        ("3", "9"),
    ]
    larger = replace(right, knees=(replace(right.knees[0], box=(0, 0, 223, 223), grade=0),))
    smaller = replace(right, knees=(replace(right.knees[0], box=(9, 9, 99, 99), grade=4),))
    assert study_report([smaller, larger]).knees == larger.knees


def test_a_knee_whose_side_is_not_known_stays_apart(right, unnamed):
    report = study_report([right, unnamed])
    assert report.names == ("Right knee", "Knee of film 2")
    assert any("may be listed twice" in warning for warning in report.warnings)


def test_a_study_of_one_film_is_answered_as_the_film(right, grader):
    report = study_report([right])
    assert report.to_dict() == right.to_dict()
    assert report.findings() == right.findings()
    refused = grader.grade(study(ViewPosition="LATERAL"))
    assert study_report([refused]).refused == refused.refused
    both = study_report([refused, right])
    assert both.refused is None
    assert any(warning.startswith("Film 1 was not graded: The") for warning in both.warnings)


def test_earlier_studies_are_compared_in_the_order_of_their_dates(right):
    (knee,) = right.knees
    same = PriorKnee("right", knee.grade, 2.0, knee.grade_set)
    none = PriorKnee("right", 0, 0.1, (0,))
    revision = right.revision
    priors = [
        Prior("2019-05-01", revision, (same,)),
        Prior("2015-01-02", revision, (none,)),
        Prior("2017-01-01", "another", (same,)),
        Prior("2018-01-01", revision, (replace(same, side="left"),)),
    ]
    lines = study_report([right], priors).comparison()
    assert [line[line.index("20") :][:10] for line in lines] == ["2015-01-02", "2017-01-01", "2019-05-01"]
    assert f"grade 0 and {knee.grade}" in lines[0]
    assert lines[0].endswith("the model sees a higher grade now.")
    assert "not compared" in lines[1]
    assert "may be the same" in lines[2]
    assert "COMPARISON" in study_report([right], priors).findings()


def test_a_report_of_several_films_refers_each_knee_to_its_own(left, right):
    films = [study(severe(), ImageLaterality="L", SOPInstanceUID="1.2.3"), study(SOPInstanceUID="1.2.4")]
    made = structured_report(films, study_report([left, right]))
    text = str(made)
    assert text.index("1.2.4") > 0
    assert text.index("1.2.3") > 0
    again = structured_report(films, study_report([left, right]), previous=made)
    assert again.PredecessorDocumentsSequence[0].StudyInstanceUID == made.StudyInstanceUID
    assert again.SOPInstanceUID == made.SOPInstanceUID


def test_reports_that_say_different_things_have_different_uids(right, grader):
    one, lateral = study(), study(ViewPosition="LATERAL", SOPInstanceUID="1.2.5")
    (knee,) = right.knees
    prior = Prior("2015-01-02", right.revision, (PriorKnee("right", 0, 0.1, (0,)),))
    reports = [
        structured_report(one, right),
        structured_report(one, study_report([right], [prior])),
        structured_report([one, lateral], study_report([right, grader.grade(lateral)])),
        structured_report(one, replace(right, knees=(replace(knee, side="left"),))),
        structured_report(study(PatientID="CORRECTED"), right),
    ]
    assert len({str(made.SOPInstanceUID) for made in reports}) == len(reports)
    again = structured_report(study(StationName="ROOM 2"), study_report([right]))
    assert again.SOPInstanceUID == reports[0].SOPInstanceUID


def test_the_identity_of_a_film_is_read_whatever_its_header_holds():
    film = study(IssuerOfPatientID="CLINIC")
    one = read_identity(film)
    assert one.patient == "12345|CLINIC|19500101"
    assert (one.date, one.accession, one.sex) == ("2020-01-01", "A1", "F")
    assert one.study == pydicom.dcmread(io.BytesIO(film)).StudyInstanceUID
    assert "12345" not in repr(one)
    assert read_identity(study(**ODD)).date == "2020-01-01"
    unnamed = read_identity(changed(film, "PatientID", b"SQ", b"a\\b "))
    assert unnamed.patient == "|CLINIC|19500101"
    assert (names_patient(one.patient), names_patient(unnamed.patient)) == (True, False)
    assert FilmIdentity(patient_id="1|2").patient != FilmIdentity(patient_id="1", issuer="2").patient


ONE = FilmIdentity(patient_id="1", birth_date="19500101", study_date="20200101", sex="F")


@pytest.mark.parametrize(
    ("now", "objection", "doubt"),
    [
        ({"study_date": "20210101"}, "", ""),
        ({"patient_id": "2", "study_date": "20210101"}, "two different patients", ""),
        ({"birth_date": "19510101", "study_date": "20210101"}, "two different patients", ""),
        ({"birth_date": "1950.01.01"}, "", "same day"),
        ({"issuer": "CLINIC"}, "", "issuer"),
        ({"birth_date": ""}, "", "ID or birth date is missing"),
        ({"sex": "M", "study_date": "20210101"}, "two different patients", ""),
        ({"study_date": "20190101"}, "Exchange the two films", ""),
        ({}, "", "same day"),
        ({"patient_id": ""}, "", "ID or birth date is missing"),
        ({"study_date": ""}, "", "the date is missing"),
        ({"acquisition_date": "20210101"}, "", ""),
        ({"study_date": "", "acquired": "20210101083000.000+0100"}, "", ""),
        ({"study_date": "20210101", "acquisition_date": "20190101"}, "Exchange the two films", ""),
    ],
)
def test_films_are_compared_only_where_patient_and_dates_allow_it(now, objection, doubt):
    now = replace(ONE, **now)
    assert objection in why_not_compared(ONE, now)
    assert bool(objection) == bool(why_not_compared(ONE, now))
    if not objection:
        assert doubt in unchecked(ONE, now)
        assert bool(doubt) == bool(unchecked(ONE, now))
