"""Each film of the queue gets its state, also where it ends the process that grades it."""

import io
import os
import sqlite3
from dataclasses import replace

import pydicom
import pytest
from pydicom.uid import RLELossless

from flask_app.node import grade, worker
from flask_app.node.dead import DeadLetters
from flask_app.node.grade import MOST_ATTEMPTS
from flask_app.node.queue import Queue
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.passing import SlowDecoding

from ...support.dicom_films import written
from ...support.node_queue import DAY, film, grading, in_syntax, state, take, waiting


def test_each_film_has_a_row_with_its_reason_and_only_a_graded_study_has_a_report(queue, grader):
    one = film()
    again = {"StudyInstanceUID": read_identity(one).study}
    lateral, damaged = film(**again, ViewPosition="LATERAL"), film(**again, PixelData=b"\0\0")
    other = film(BodyPartExamined="CHEST")
    uids = take(queue, one, lateral, damaged, other)
    while grading(queue, grader, capture=True).grade_next():
        pass
    states = [state(queue, uid) for uid in uids]
    assert [name for name, _ in states] == ["graded", "refused", "faulty", "refused"]
    assert "not frontal" in states[1][1]
    assert "another body part" in states[3][1]
    report, capture = waiting(queue)
    assert (report.Modality, capture.Modality) == ("SR", "OT")
    assert {report.StudyInstanceUID, capture.StudyInstanceUID} == {again["StudyInstanceUID"]}
    assert list((queue.folder / "dead").iterdir())


def test_the_uids_of_a_report_follow_from_film_and_model(queue, grader, tmp_path):
    one, other = film(), Queue(tmp_path / "other")
    take(queue, one)
    take(other, one)
    grading(queue, grader).grade_next()
    grading(other, grader).grade_next()
    (first,), (second,) = waiting(queue), waiting(other)
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    other.close()


def test_a_film_that_ends_the_process_each_time_is_faulty_until_another_export_comes(queue, grader):
    one = film()
    poison, sound = take(queue, one, film())
    for _ in range(MOST_ATTEMPTS):
        queue.begin(poison)  # and the process ends
    while grading(queue, grader).grade_next():
        pass
    assert state(queue, poison)[0] == "faulty"
    assert state(queue, sound)[0] == "graded"
    corrected = pydicom.dcmread(io.BytesIO(in_syntax(one, RLELossless)))  # its pixels have other bytes
    corrected.PatientID = "OTHER"  # no other film of the study says whose it is
    take(queue, written(corrected))
    grading(queue, grader).grade_next()
    assert state(queue, poison) == ("graded", "")
    assert [report.PatientID for report in waiting(queue)][-1] == "OTHER"


def test_a_film_that_ends_the_process_does_not_fail_its_study(queue, grader, monkeypatch):
    first = film()
    again = {"StudyInstanceUID": read_identity(first).study}
    poison = film(**again)
    sound, *others = take(queue, first, film(**again, ImageLaterality="L"), poison)

    def grade_or_end(films, boxes):
        if films == [poison]:
            raise SystemExit  # stands for the end of the process
        return grade_batch(films, boxes=boxes)

    grade_batch = grader.grade_batch
    monkeypatch.setattr(grader, "grade_batch", grade_or_end)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            grading(queue, grader).grade_next()
    grading(queue, grader).grade_next()
    assert [state(queue, uid)[0] for uid in (sound, *others)] == ["graded", "graded", "faulty"]


@pytest.mark.parametrize("place", ["film_picture", "study_report", "secondary_capture"])
def test_a_film_that_ends_the_process_after_its_grading_is_faulty_too(queue, grader, monkeypatch, place):
    (uid,) = take(queue, film())

    def end(*_):
        raise SystemExit  # stands for the end of the process

    monkeypatch.setattr(grade, place, end)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            grading(queue, grader, capture=True).grade_next()
    grading(queue, grader, capture=True).grade_next()
    assert state(queue, uid)[0] == "faulty"


def test_a_fault_that_may_pass_is_tried_thrice_and_anew_when_the_film_comes_again(queue, grader, monkeypatch, clock):
    one = film()
    uids = take(queue, one, film(StudyInstanceUID=read_identity(one).study, ImageLaterality="L"))
    studies = grading(queue, grader)
    with monkeypatch.context() as patch:
        patch.setattr(grader, "grade_batch", lambda *_, **__: [SlowDecoding("The machine is busy.")])
        for _ in range(MOST_ATTEMPTS):
            assert studies.grade_next()
            assert not studies.grade_next()  # a minute later
            assert [state(queue, uid) for uid in uids] == [("waiting", "")] * 2
            clock.now += DAY
        assert studies.grade_next()
    assert [state(queue, uid)[0] for uid in uids] == ["faulty", "faulty"]  # both in the same three tries
    take(queue, one)
    studies.grade_next()
    assert state(queue, uids[0]) == ("graded", "")


def test_a_queue_of_an_earlier_release_is_used_as_it_is(tmp_path, grader):
    old = Queue(tmp_path)
    (uid,) = take(old, film())
    with old.transaction() as database:
        database.execute("ALTER TABLE studies DROP COLUMN sex")
    old.close()
    queue = Queue(tmp_path)
    grading(queue, grader).grade_next()
    assert state(queue, uid) == ("graded", "")
    queue.close()


@pytest.mark.parametrize("call", ["end", "finish"])
def test_a_full_disk_is_no_attempt_of_a_film(queue, grader, monkeypatch, call):
    (uid,) = take(queue, film())
    studies = grading(queue, grader)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(queue, call, full)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.raises(sqlite3.OperationalError):
                studies.grade_next()
    studies.grade_next()
    assert state(queue, uid) == ("graded", "")


def test_only_the_owner_reads_the_files_of_a_folder_that_others_can_open(tmp_path, grader):
    folder = tmp_path / "queue"
    (folder / "dead").mkdir(parents=True, mode=0o755)
    before = os.umask(0o022)
    try:
        queue = Queue(folder)
        take(queue, film(PixelData=b"\0\0"))
        grading(queue, grader).grade_next()
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
        queue.close()
    finally:
        os.umask(before)
    assert len(modes) == 5  # the queue, its two companions, the key and a dead letter
    assert set(modes.values()) == {0o600}


def test_a_worker_whose_node_has_ended_ends_too(monkeypatch, tmp_path):
    monkeypatch.setenv("KNEEOA_NODE_FOLDER", str(tmp_path))
    assert worker.main([str(os.getpid())]) == 0  # this process is not its own parent
    assert list(tmp_path.iterdir()) == []


def test_dead_letters_are_bounded_by_number_size_and_age(queue, grader):
    take(queue, *(film(PixelData=bytes([number, 0])) for number in range(4)))
    while grading(queue, grader).grade_next():
        pass
    letters = DeadLetters(queue.folder, 2, 10**9, 30)
    kept = letters.kept()
    assert kept.letters == 2
    assert kept.oldest
    replace(letters, max_bytes=kept.size - 1).sweep(kept.oldest.timestamp())
    assert letters.kept().letters == 1
    letters.sweep(kept.oldest.timestamp() + 29 * DAY)
    assert letters.kept().letters == 1
    letters.sweep(kept.oldest.timestamp() + 31 * DAY)
    assert letters.kept().letters == 0
