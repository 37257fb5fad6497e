"""A study has one report, and only films and studies of one patient are put together."""

import io
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from flask_app import archive, create_app
from flask_app.keys import new_key
from flask_app.node.digests import Digests
from flask_app.node.records import GradedStudy
from flask_app.node.retention import sweep
from kneeoa_hub.archive.dicomweb import FoundFilm, Service
from kneeoa_hub.cli import main
from kneeoa_hub.errors import ArchiveUnreachable, SettingsError
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.settings import Settings

from ...support.certificates import self_signed
from ...support.dicom_films import written
from ...support.flask_requests import token_of
from ...support.node_queue import (
    DAY,
    calling,
    delivered,
    film,
    grading,
    in_syntax,
    receiving,
    replaced,
    sent,
    state,
    take,
    waiting,
)


def test_a_study_has_one_report_and_a_film_that_comes_later_gives_it_a_successor(queue, grader):
    first = film(SOPInstanceUID="1.1", InstanceNumber=7)
    again = {"StudyInstanceUID": read_identity(first).study}
    take(queue, first, film(**again))
    while grading(queue, grader).grade_next():
        pass
    (report,) = delivered(queue)
    text = report.ContentSequence[-1].TextValue
    assert "graded on film 1, the best one" in text
    assert "\nFilm 1: instance number 7, SOP Instance UID 1.1\n" in text
    take(queue, film(**again, ImageLaterality="L"))
    grading(queue, grader).grade_next()
    (newer,) = delivered(queue)
    assert replaced(newer) == [report.SOPInstanceUID]
    assert newer.SeriesInstanceUID == report.SeriesInstanceUID
    take(queue, film(**again, ViewPosition="LATERAL"))
    grading(queue, grader).grade_next()
    assert waiting(queue) == []  # a film that is refused changes no report


def test_only_an_earlier_study_of_the_same_patient_is_compared(queue, grader):
    take(
        queue,
        film(StudyDate="20150101"),
        film(StudyDate="20160101", PatientID="OTHER"),
        film(StudyDate="20170101", PatientBirthDate="19600101"),
        film(StudyDate="20180101", PatientID=""),
        film(StudyDate="20200101"),
    )
    while grading(queue, grader).grade_next():
        pass
    texts = [one.ContentSequence[-1].TextValue for one in waiting(queue)]
    assert ["and now: grade" in text for text in texts] == [False, False, False, False, True]
    assert "2015-01-01 and now" in texts[-1]


def test_a_report_is_made_again_where_an_earlier_study_comes_late_or_changes_its_patient(queue, grader):
    late = {"StudyInstanceUID": "1.2.5", "SOPInstanceUID": "1.2.5.1", "StudyDate": "20150101"}

    def reports(*films: bytes) -> list[pydicom.Dataset]:
        """Return what the archive gets for the study of 2020, after all is graded."""
        take(queue, *films)
        studies = grading(queue, grader)
        assert sum(iter(studies.grade_next, False)) < 5  # no study makes itself due again
        return [one for one in delivered(queue) if one.StudyDate == "20200101"]

    def compares(report: pydicom.Dataset) -> bool:
        return "2015-01-01 and now" in report.ContentSequence[-1].TextValue

    (first,) = reports(film(StudyDate="20200101"))
    (second,) = reports(film(**late))
    (third,) = reports(film(**late, PatientID="OTHER"))
    (fourth,) = reports(film(**late))  # the correction is taken back
    made = [first, second, third, fourth]
    assert [compares(one) for one in made] == [False, True, False, True]
    assert [replaced(one) for one in made] == [[], *([one.SOPInstanceUID] for one in made[:3])]
    assert len({one.SOPInstanceUID for one in made}) == 4
    assert reports(film(StudyInstanceUID="1.2.5", StudyDate="20150101", ViewPosition="LATERAL")) == []
    assert reports(film(StudyDate="20160101", PatientID="OTHER")) == []
    sweep(queue, keep_films=-1, keep_days=365)
    assert reports(film(StudyDate="20170101")) == []  # the films of 2020 were deleted


def test_a_film_that_comes_after_others_were_deleted_keeps_their_knees(queue, grader):
    first = film()
    again = {"StudyInstanceUID": read_identity(first).study}

    def sides(*films: bytes) -> list[str]:
        sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
        take(queue, *films)
        grading(queue, grader).grade_next()
        ((knees,),) = queue.select("SELECT knees FROM studies")
        return sorted(knee["side"] for knee in json.loads(knees))

    assert sides(first) == ["right"]
    assert sides(film(**again, ViewPosition="LATERAL")) == ["right"]
    assert len(waiting(queue)) == 1
    assert sides(film(**again, ImageLaterality="L")) == ["left", "right"]
    _, newer = waiting(queue)
    assert "PredecessorDocumentsSequence" not in newer
    assert "earlier report" in newer.ContentSequence[-1].TextValue


def test_a_corrected_header_gives_the_study_a_new_report_that_names_the_older_one(queue, settings, grader):
    one = film(SOPInstanceUID="1.2.3")
    study = read_identity(one).study
    with receiving(queue, settings) as port, calling(port) as association:
        assert sent(association, one) == 0x0000
        grading(queue, grader).grade_next()
        (before,) = delivered(queue)
        assert sent(association, one, StationName="ROOM 2") == 0x0000  # says nothing that an answer takes over
        assert queue.due() is None
        assert sent(association, one, ImageLaterality="L", PatientID="CORRECTED", AccessionNumber="A2") == 0x0000
        grading(queue, grader).grade_next()
        assert sent(association, one, StudyInstanceUID="1.2.4") == 0x0111  # another study
    (now,) = waiting(queue)
    assert now.SOPInstanceUID != before.SOPInstanceUID
    assert replaced(now) == [before.SOPInstanceUID]
    assert (now.PatientID, now.AccessionNumber) == ("CORRECTED", "A2")
    ((knees, patient, accession),) = queue.select("SELECT knees, patient, accession FROM studies")
    assert [knee["side"] for knee in json.loads(knees)] == ["left"]
    assert (patient.split("|")[0], accession) == ("CORRECTED", "A2")
    assert [kept.film for kept in queue.films(study)] == ["1.2.3"]


def test_a_film_that_comes_again_in_another_transfer_syntax_is_known_and_its_header_can_be_corrected(queue, settings):
    one = film(SOPInstanceUID="1.2.3")
    with receiving(queue, settings) as port:

        def send(syntax: UID, **changes: object) -> int:
            with calling(port, syntax=syntax) as association:
                return sent(association, in_syntax(one, syntax), **changes)

        assert send(ExplicitVRLittleEndian) == 0x0000
        queue.finish(queue.due(), GradedStudy({"1.2.3": ("graded", "")}, "r", (), ()))
        for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless):
            assert send(syntax) == 0x0000
            assert queue.due() is None
        assert send(ImplicitVRLittleEndian, PixelData=bytes(len(pydicom.dcmread(io.BytesIO(one)).PixelData))) == 0x0111
        assert send(RLELossless, PatientID="CORRECTED") == 0x0000
    (kept,) = queue.films(queue.due().study)
    assert (kept.corrections, read_identity(kept.content).patient_id) == (1, "CORRECTED")


@pytest.mark.parametrize("corrected", [0, 1])
def test_a_film_of_another_patient_joins_its_study_when_either_header_is_corrected(queue, grader, corrected):
    again = {"StudyInstanceUID": generate_uid()}
    names = [generate_uid(), generate_uid()]
    patients = ["RIGHT", "WRONG"] if corrected else ["WRONG", "RIGHT"]

    def one(place: int, patient: str) -> bytes:
        return film(SOPInstanceUID=names[place], PatientID=patient, ImageLaterality="RL"[place], **again)

    take(queue, *(one(place, patients[place]) for place in range(2)))
    grading(queue, grader).grade_next()
    assert [state(queue, name)[0] for name in names] == ["graded", "faulty"]
    take(queue, one(corrected, "RIGHT"))
    while grading(queue, grader).grade_next():
        pass
    assert [state(queue, name) for name in names] == [("graded", ""), ("graded", "")]
    assert waiting(queue)[-1].PatientID == "RIGHT"


def test_a_header_that_is_corrected_while_its_film_is_graded_is_graded_again(queue, grader):
    again = {"SOPInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "PixelData": b"\0\0"}
    (uid,) = take(queue, film(**again))

    class Slow:
        def grade_batch(self, films, **options):
            take(queue, film(**again, AccessionNumber="A2"))
            return grader.grade_batch(films, **options)

    queue.clock.now += 1
    grading(queue, Slow()).grade_next()
    assert state(queue, uid)[0] == "waiting"
    assert queue.due()


def test_a_header_is_not_corrected_where_other_films_of_the_study_were_deleted(queue, grader, clock):
    first, second = (film(SOPInstanceUID=generate_uid(), StudyInstanceUID="1.2.9", ImageLaterality=one) for one in "RL")
    take(queue, first, second)
    grading(queue, grader).grade_next()
    clock.now += 3 * DAY
    sweep(queue, keep_films=2, keep_days=365)
    identity = read_identity(first)
    changed = pydicom.dcmread(io.BytesIO(first))
    changed.ImageLaterality = "L"
    corrected = written(changed)
    assert queue.receive(corrected, identity, Digests.of(corrected, identity), "PACS", 0) == "other"


@pytest.mark.parametrize(
    "other", [{"PatientID": "OTHER"}, {"IssuerOfPatientID": "OTHER"}, {"PatientBirthDate": "19990101"}]
)
def test_a_film_of_another_patient_is_not_in_the_report_of_the_study(queue, grader, other):
    one = film(IssuerOfPatientID="CLINIC")
    uids = take(queue, one, film(StudyInstanceUID=read_identity(one).study, ImageLaterality="L", **other))
    grading(queue, grader).grade_next()
    assert state(queue, uids[0]) == ("graded", "")
    assert state(queue, uids[1])[0] == "faulty"
    assert "another patient" in state(queue, uids[1])[1]
    ((knees,),) = queue.select("SELECT knees FROM studies")
    assert [knee["side"] for knee in json.loads(knees)] == ["right"]


def test_a_film_whose_header_is_silent_about_its_patient_is_part_of_its_study(queue, grader):
    again = {"StudyInstanceUID": generate_uid()}
    silent = {"PatientBirthDate": "", "ImageLaterality": "L"}
    uids = take(
        *(queue, film(**again), film(**again, **silent), film(**again, PatientID="", PatientBirthDate="")),
        film(**again, **silent | {"PatientID": "OTHER"}),
    )
    grading(queue, grader).grade_next()
    assert [state(queue, uid)[0] for uid in uids] == ["graded", "graded", "graded", "faulty"]


LATERAL = {"ViewPosition": "LATERAL"}


def test_a_report_that_waits_is_withdrawn_where_its_film_is_corrected_to_a_lateral(queue, grader):
    again = {"SOPInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    take(queue, film(**again))
    grading(queue, grader).grade_next()
    (report,) = waiting(queue)
    take(queue, film(**again, **LATERAL))
    assert waiting(queue) == []  # nor is it sent until the study is graded again
    assert not queue.begin_sending(report.SOPInstanceUID)
    grading(queue, grader).grade_next()
    assert waiting(queue) == []
    assert queue.resend(again["StudyInstanceUID"]) == 0
    take(queue, film(**again))
    grading(queue, grader).grade_next()
    assert replaced(*waiting(queue)) == []  # the archive has none


def test_a_report_that_the_archive_may_have_is_replaced_by_one_that_says_why_nothing_was_graded(queue, grader):
    again = {"SOPInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    take(queue, film(**again))
    grading(queue, grader).grade_next()
    (report,) = waiting(queue)
    assert queue.begin_sending(report.SOPInstanceUID)  # and the association broke
    take(queue, film(**again, **LATERAL))
    grading(queue, grader).grade_next()
    (newer,) = delivered(queue)
    assert replaced(newer) == [report.SOPInstanceUID]
    assert "not graded" in newer.ContentSequence[-1].TextValue.lower()
    take(queue, film(**again))  # the correction is taken back
    grading(queue, grader).grade_next()
    (third,) = delivered(queue)
    assert replaced(third) == [newer.SOPInstanceUID]
    assert third.SOPInstanceUID != report.SOPInstanceUID


def test_a_better_answer_takes_the_place_of_a_report_that_waits(queue, grader):
    first = film()
    take(queue, first)
    grading(queue, grader).grade_next()
    (older,) = waiting(queue)
    take(queue, film(StudyInstanceUID=read_identity(first).study, ImageLaterality="L"))
    grading(queue, grader).grade_next()
    (newer,) = waiting(queue)
    assert (replaced(newer), newer.SOPInstanceUID != older.SOPInstanceUID) == ([], True)


def test_people_who_share_an_id_are_not_compared(queue, grader):
    unknown = {"PatientID": "UNKNOWN", "PatientBirthDate": ""}
    take(queue, film(**unknown, StudyDate="20150101"), film(StudyDate="20150101", PatientSex="M"))
    take(queue, film(**unknown), film())
    while grading(queue, grader).grade_next():
        pass
    assert [one for one in waiting(queue) if "and now: grade" in one.ContentSequence[-1].TextValue] == []


def test_command_and_page_leave_out_a_film_of_another_patient(grader, monkeypatch, tmp_path, capsys):
    films = {"1": film(), "2": film(PatientID="OTHER", ImageLaterality="L")}
    monkeypatch.setattr(Service, "films", lambda *_: [FoundFilm("1", name) for name in films])
    monkeypatch.setattr(Service, "fetch", lambda _, study, found: films[found.instance])
    assert main(["grade", "--study", "dicomweb://archive.example/studies/1.2", "--json"]) == 1
    answer, fault = map(json.loads, capsys.readouterr().out.splitlines())
    assert [knee["side"] for knee in answer["report"]["knees"]] == ["right"]
    assert fault["film"] == "2"
    assert "another patient" in fault["error"]["message"]
    key, digest = new_key()
    (tmp_path / "keys").write_text(f"dr-gray:{digest}\n")
    app = create_app(Settings(dicomweb="https://archive.example", api_keys=str(tmp_path / "keys")), grader)
    client, sign_in = app.test_client(), ("dr-gray", key)
    form = {"csrf_token": token_of(client.get("/archive", auth=sign_in).text), "study": "1.2"}
    page = client.post("/archive", data=form, auth=sign_in, follow_redirects=True).text
    assert "one answer for all its films" in page
    assert "another patient" in page


@pytest.mark.parametrize(("own", "given"), [("", ""), ("https://other.example", ""), ("https://archive.example", "s")])
def test_the_command_sends_the_token_to_the_host_of_the_setting_only(monkeypatch, own, given):
    tokens: list[str] = []

    def films(service: Service, _study: str) -> list[FoundFilm]:
        tokens.append(service.token)
        raise ArchiveUnreachable("The archive does not answer.")

    monkeypatch.setattr(Service, "films", films)
    monkeypatch.setenv("KNEEOA_DICOMWEB", own)
    monkeypatch.setenv("KNEEOA_DICOMWEB_TOKEN", "s")
    assert main(["grade", "--study", "dicomweb://archive.example/dicom-web/studies/1.2"]) == 1
    assert tokens == [given]


@pytest.fixture
def private_archive(tmp_path):
    """A DICOMweb service without films, whose certificate no authority of the system has signed, and that certificate.

    Yields its address and the file of the certificate.
    """

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, format: str, *args: object) -> None:
            pass

    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"https://127.0.0.1:{server.server_port}", certificate
        server.shutdown()


def test_an_archive_with_a_certificate_of_its_own_authority_is_asked_where_the_setting_names_it(
    private_archive, tmp_path, monkeypatch, capsys
):
    address, certificate = private_archive
    command = ["grade", "--study", f"{address}/studies/1.2"]
    for file, words in (
        ("", "KNEEOA_DICOMWEB_CA"),
        (str(tmp_path / "other.pem"), "There is no file"),
        (str(certificate), "has 0 plain films"),
    ):
        monkeypatch.setenv("KNEEOA_DICOMWEB_CA", file)
        assert main(command) != 0
        assert words in capsys.readouterr().err
    (tmp_path / "keys").write_text(f"dr-gray:{new_key()[1]}\n")
    own = Settings(dicomweb=address, api_keys=str(tmp_path / "keys"), dicomweb_ca=str(tmp_path / "other.pem"))
    with pytest.raises(SettingsError, match="There is no file"):
        archive.check(own)
