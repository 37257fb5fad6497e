"""The DICOM node within one process: the senders it accepts, what it stores and sends, and what a fault leaves."""

import io
import json
import os
import sqlite3
import ssl
import subprocess
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ComprehensiveSRStorage, DigitalXRayImageStorageForPresentation, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # pyright: ignore[reportAttributeAccessIssue]  # made at import

from flask_app import create_app
from flask_app.guards import new_key
from flask_app.node import grade, receive, worker
from flask_app.node.deliver import MOST_REFUSALS, Delivery
from flask_app.node.disk import PAGE_BYTES
from flask_app.node.grade import MOST_ATTEMPTS, StudyGrader
from flask_app.node.queue import Queue
from flask_app.node.receive import Receiver
from flask_app.node.retention import sweep, used_bytes
from flask_app.node.settings import PREFIX, Archive, NodeSettings
from kneeoa_hub.archive.dicomweb import FoundFilm, Service
from kneeoa_hub.cli import main
from kneeoa_hub.errors import ArchiveUnreachable, SettingsError
from kneeoa_hub.imaging.identity import MAKER, read_identity
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.pixel_data import SYNTAXES
from kneeoa_hub.settings import Settings

from ..support.dicom_films import study
from ..support.flask_requests import token_of

ROOT = Path(__file__).parents[2]
DAY = 86400
KNEE = knee_film(2, 7, bits=16).pixels >> 4


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path, clock) -> Iterator[Queue]:
    queue = Queue(tmp_path / "queue", clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def settings(tmp_path) -> NodeSettings:
    return NodeSettings(folder=str(tmp_path / "queue"), port=0, settle=0, timeout=10)


def film(**header: object) -> bytes:
    return study(KNEE, **({"SOPInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()} | header))


def take(queue: Queue, *films: bytes) -> list[str]:
    """Receive films as the receiver does; return their UIDs."""
    identities = [read_identity(one) for one in films]
    for one, identity in zip(films, identities, strict=True):
        queue.receive(one, identity, identity.instance, "MODALITY", 0)
    return [identity.instance for identity in identities]


def state(queue: Queue, uid: str) -> tuple[str, str]:
    """The state of a film and its reason; "deleted" where the queue no longer has it."""
    with sqlite3.connect(queue.folder / "queue.sqlite") as database:
        found = database.execute("SELECT state, reason FROM films WHERE film = ?", (uid,)).fetchone()
    database.close()
    return found or ("deleted", "")


def waiting(queue: Queue) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(io.BytesIO(one.content)) for one in queue.to_send(100)]


def grading(queue: Queue, grader, capture: bool = False) -> StudyGrader:
    return StudyGrader(queue, grader, capture=capture, dead_letters=2)


@contextmanager
def receiving(queue: Queue, settings: NodeSettings, max_bytes: int = 10**8) -> Iterator[int]:
    receiver = Receiver(queue, settings, max_bytes)
    try:
        yield receiver.start()
    finally:
        receiver.stop()


@contextmanager
def calling(port: int, title: str = "KNEEOA", caller: str = "MODALITY", **options):
    """A sender's association, or None where the node rejects it."""
    entity = AE(caller)
    entity.add_requested_context(Verification)
    entity.add_requested_context(DigitalXRayImageStorageForPresentation)
    association = entity.associate("127.0.0.1", port, ae_title=title, **options)
    yield association if association.is_established else None
    if association.is_established:
        association.release()


def sent(association, content: bytes, **changes: object) -> int:
    dataset = pydicom.dcmread(io.BytesIO(content))
    for name, value in changes.items():
        setattr(dataset, name, value)
    return association.send_c_store(dataset).Status


def test_a_film_is_in_the_queue_before_its_sender_gets_success(queue, settings):
    one = film()
    uid = read_identity(one).instance
    with receiving(queue, settings) as port, calling(port) as association:
        assert association
        assert association.send_c_echo().Status == 0x0000
        assert sent(association, one) == 0x0000
        assert state(queue, uid) == ("waiting", "")
        assert sent(association, one) == 0x0000  # the sender missed the answer and sends it again
        assert sent(association, one, AccessionNumber="B2") == 0x0111
        assert sent(association, one, SOPInstanceUID=generate_uid(), Manufacturer=MAKER) == 0x0000  # our own capture
        assert sent(association, one, SOPInstanceUID=generate_uid(), StudyInstanceUID="") == 0xC000
    assert [kept.film for kept in queue.films(read_identity(one).study)] == [uid]


def test_a_film_that_does_not_fit_on_the_disk_is_rejected_and_accepted_films_are_answered(
    queue, settings, grader, clock
):
    full = Queue(queue.folder, max_bytes=20 * PAGE_BYTES, clock=clock)
    films = [film() for _ in range(4)]
    with receiving(full, settings) as port, calling(port) as association:
        statuses = [sent(association, one) for one in films]
    assert statuses[0] == 0x0000
    assert statuses[-1] == 0xA700
    while grading(queue, grader).answer_next():  # the worker's own connection has room
        pass
    assert len(waiting(queue)) == statuses.count(0x0000)
    full.close()


def test_no_film_is_accepted_when_the_disk_is_nearly_full(queue, settings, monkeypatch):
    monkeypatch.setattr(receive, "RESERVE_BYTES", 10**18)
    with receiving(queue, settings) as port, calling(port) as association:
        assert sent(association, film()) == 0xA700
    assert queue.due() is None


@pytest.mark.parametrize(
    ("callers", "title", "caller", "taken"),
    [
        ("", "KNEEOA", "ANY", True),
        ("", "OTHER", "ANY", False),
        ("PACS", "KNEEOA", "PACS", True),
        ("PACS", "KNEEOA", "ANY", False),
        ("PACS@10.0.0.0/8, *@192.0.2.1", "KNEEOA", "PACS", False),
        ("PACS@10.0.0.0/8, *@127.0.0.1", "KNEEOA", "PACS", True),
    ],
)
def test_only_those_who_are_listed_may_send(queue, settings, callers, title, caller, taken):
    with receiving(queue, replace(settings, callers=callers)) as port, calling(port, title, caller) as association:
        assert (association is not None) == taken


def test_associations_beyond_the_limit_are_rejected_and_every_syntax_that_is_read_is_accepted(queue, settings):
    entity = AE("MODALITY")
    for syntax in SYNTAXES:
        entity.add_requested_context(DigitalXRayImageStorageForPresentation, syntax)
    entity.add_requested_context(ComprehensiveSRStorage)
    with receiving(queue, replace(settings, associations=1, pdu=8192)) as port:
        first = entity.associate("127.0.0.1", port, ae_title="KNEEOA")
        assert {context.transfer_syntax[0] for context in first.accepted_contexts} == set(SYNTAXES)
        assert {context.abstract_syntax for context in first.rejected_contexts} == {ComprehensiveSRStorage}
        assert first.acceptor.maximum_length == 8192
        with calling(port) as second:
            assert second is None
        first.release()


def test_tls_asks_for_a_certificate_that_the_ca_has_signed(queue, settings, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *about, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    secured = replace(settings, tls_cert=str(certificate), tls_key=str(key), tls_ca=str(certificate))
    secured.check()
    with receiving(queue, secured) as port:
        with calling(port) as plain:
            assert plain is None
        context = ssl.create_default_context(cafile=str(certificate))
        context.load_cert_chain(certificate, key)
        with calling(port, tls_args=(context, "127.0.0.1")) as association:
            assert sent(association, film()) == 0x0000


def test_each_film_has_a_row_with_its_reason_and_only_a_graded_study_has_a_report(queue, grader):
    one = film()
    again = {"StudyInstanceUID": read_identity(one).study}
    lateral, damaged = film(**again, ViewPosition="LATERAL"), film(**again, PixelData=b"\0\0")
    other = film(BodyPartExamined="CHEST")
    uids = take(queue, one, lateral, damaged, other)
    while grading(queue, grader, capture=True).answer_next():
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
    grading(queue, grader).answer_next()
    grading(other, grader).answer_next()
    (first,), (second,) = waiting(queue), waiting(other)
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    other.close()


def test_a_film_that_ends_the_process_each_time_is_faulty_and_holds_up_no_other(queue, grader):
    poison, sound = take(queue, film(), film())
    for _ in range(MOST_ATTEMPTS):
        queue.begin(poison)  # and the process ends
    while grading(queue, grader).answer_next():
        pass
    assert state(queue, poison)[0] == "faulty"
    assert state(queue, sound)[0] == "graded"


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
            grading(queue, grader).answer_next()
    grading(queue, grader).answer_next()
    assert [state(queue, uid)[0] for uid in (sound, *others)] == ["graded", "graded", "faulty"]


@pytest.mark.parametrize("place", ["film_picture", "study_report", "secondary_capture"])
def test_a_film_that_ends_the_process_after_its_grading_is_faulty_too(queue, grader, monkeypatch, place):
    (uid,) = take(queue, film())

    def end(*_):
        raise SystemExit  # stands for the end of the process

    monkeypatch.setattr(grade, place, end)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            grading(queue, grader, capture=True).answer_next()
    grading(queue, grader, capture=True).answer_next()
    assert state(queue, uid)[0] == "faulty"


def test_a_queue_of_an_earlier_release_is_used_as_it_is(tmp_path, grader):
    old = Queue(tmp_path)
    (uid,) = take(old, film())
    with old.transaction() as database:
        database.execute("ALTER TABLE studies DROP COLUMN sex")
    old.close()
    queue = Queue(tmp_path)
    grading(queue, grader).answer_next()
    assert state(queue, uid) == ("graded", "")
    queue.close()


@pytest.mark.parametrize("call", ["end", "answer"])
def test_a_full_disk_is_no_attempt_of_a_film(queue, grader, monkeypatch, call):
    (uid,) = take(queue, film())
    studies = grading(queue, grader)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(queue, call, full)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.raises(sqlite3.OperationalError):
                studies.answer_next()
    studies.answer_next()
    assert state(queue, uid) == ("graded", "")


def test_only_the_owner_reads_the_files_of_a_folder_that_others_can_open(tmp_path, grader):
    folder = tmp_path / "queue"
    (folder / "dead").mkdir(parents=True, mode=0o755)
    before = os.umask(0o022)
    try:
        queue = Queue(folder)
        take(queue, film(PixelData=b"\0\0"))
        grading(queue, grader).answer_next()
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


def test_dead_letters_are_bounded(queue, grader):
    take(queue, *(film(PixelData=bytes([number, 0])) for number in range(4)))
    while grading(queue, grader).answer_next():
        pass
    assert len(list((queue.folder / "dead").iterdir())) == 2


def test_a_study_has_one_report_and_a_film_that_comes_later_gives_it_a_successor(queue, grader):
    first = film()
    again = {"StudyInstanceUID": read_identity(first).study}
    take(queue, first, film(**again))
    while grading(queue, grader).answer_next():
        pass
    (report,) = waiting(queue)
    assert "graded on film 1 of 2" in report.ContentSequence[-1].TextValue
    take(queue, film(**again, ImageLaterality="L"))
    grading(queue, grader).answer_next()
    _, newer = waiting(queue)
    (before,) = newer.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert before.ReferencedSOPInstanceUID == report.SOPInstanceUID
    assert newer.SeriesInstanceUID == report.SeriesInstanceUID
    take(queue, film(**again, ViewPosition="LATERAL"))
    grading(queue, grader).answer_next()
    assert len(waiting(queue)) == 2  # a film that is refused changes no report


def test_only_an_earlier_study_of_the_same_patient_is_compared(queue, grader):
    take(
        queue,
        film(StudyDate="20150101"),
        film(StudyDate="20160101", PatientID="OTHER"),
        film(StudyDate="20170101", PatientBirthDate="19600101"),
        film(StudyDate="20180101", PatientID=""),
        film(StudyDate="20200101"),
    )
    while grading(queue, grader).answer_next():
        pass
    texts = [one.ContentSequence[-1].TextValue for one in waiting(queue)]
    assert ["and now: grade" in text for text in texts] == [False, False, False, False, True]
    assert "2015-01-01 and now" in texts[-1]


def test_a_film_that_comes_after_others_were_deleted_keeps_their_knees(queue, grader):
    first = film()
    again = {"StudyInstanceUID": read_identity(first).study}

    def sides(*films: bytes) -> list[str]:
        sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
        take(queue, *films)
        grading(queue, grader).answer_next()
        ((knees,),) = queue.select("SELECT knees FROM studies")
        return sorted(knee["side"] for knee in json.loads(knees))

    assert sides(first) == ["right"]
    assert sides(film(**again, ViewPosition="LATERAL")) == ["right"]
    assert len(waiting(queue)) == 1
    assert sides(film(**again, ImageLaterality="L")) == ["left", "right"]
    _, newer = waiting(queue)
    assert "PredecessorDocumentsSequence" not in newer
    assert "earlier report" in newer.ContentSequence[-1].TextValue


@pytest.mark.parametrize(
    "other", [{"PatientID": "OTHER"}, {"IssuerOfPatientID": "OTHER"}, {"PatientBirthDate": "19990101"}]
)
def test_a_film_of_another_patient_is_not_in_the_report_of_the_study(queue, grader, other):
    one = film()
    uids = take(queue, one, film(StudyInstanceUID=read_identity(one).study, ImageLaterality="L", **other))
    grading(queue, grader).answer_next()
    assert state(queue, uids[0]) == ("graded", "")
    assert state(queue, uids[1])[0] == "faulty"
    assert "another patient" in state(queue, uids[1])[1]
    ((knees,),) = queue.select("SELECT knees FROM studies")
    assert [knee["side"] for knee in json.loads(knees)] == ["right"]


def test_people_who_share_an_id_are_not_compared(queue, grader):
    unknown = {"PatientID": "UNKNOWN", "PatientBirthDate": ""}
    take(queue, film(**unknown, StudyDate="20150101"), film(StudyDate="20150101", PatientSex="M"))
    take(queue, film(**unknown), film())
    while grading(queue, grader).answer_next():
        pass
    assert [one for one in waiting(queue) if "and now: grade" in one.ContentSequence[-1].TextValue] == []


def test_command_and_page_leave_out_a_film_of_another_patient(grader, monkeypatch, tmp_path, capsys):
    films = {"1": film(), "2": film(PatientID="OTHER", ImageLaterality="L")}
    monkeypatch.setattr(Service, "films", lambda *_: [FoundFilm("1", name) for name in films])
    monkeypatch.setattr(Service, "fetch", lambda _, study, found: films[found.instance])
    assert main(["grade", "--study", "dicomweb://archive.example/studies/1.2", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [knee["side"] for knee in json.loads(out)["report"]["knees"]] == ["right"]
    assert "another patient" in err
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


@contextmanager
def archive(statuses: list[int], titles: list[str], aborts: Container[str] = ()) -> Iterator[int]:
    """The port of an archive that answers one status after the other, then success, and notes what it has taken.

    It aborts the association at the objects of `aborts`.
    """
    entity = AE("PACS")
    entity.add_supported_context(ComprehensiveSRStorage)

    def store(event) -> int:
        if event.request.AffectedSOPInstanceUID in aborts:
            event.assoc.abort()
            return 0xC000
        status = statuses.pop(0) if statuses else 0x0000
        if status == 0x0000:
            titles.append(event.request.AffectedSOPInstanceUID)
        return status

    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_a_report_waits_for_an_archive_that_is_down_and_is_given_up_where_it_is_refused(queue, settings, grader, clock):
    take(queue, film())
    grading(queue, grader).answer_next()
    (report,) = waiting(queue)
    down = Delivery(queue, replace(settings, archive="dicom://PACS@127.0.0.1:9"))
    waits = []
    for _ in range(3):
        with pytest.raises(ArchiveUnreachable):
            down.send_due()
        waits.append(down.wait_seconds)
    assert waits == [2, 4, 8]
    taken: list[str] = []
    with archive([0xA700] * (MOST_REFUSALS + 1), taken) as port:
        delivery = Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}"))
        for _ in range(MOST_REFUSALS):
            assert delivery.send_due()
            assert not delivery.send_due()
            clock.now += DAY
        assert not delivery.send_due()  # given up
        assert queue.resend(str(report.StudyInstanceUID)) == 1
        assert delivery.send_due()
        clock.now += DAY
        assert delivery.send_due()
        assert not delivery.send_due()
    assert taken == [report.SOPInstanceUID]


def test_an_object_that_the_archive_already_has_is_sent(queue, settings, grader):
    take(queue, film())
    grading(queue, grader).answer_next()
    with archive([0x0111], []) as port:
        assert Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}")).send_due()
    assert [tuple(row) for row in queue.select("SELECT state, attempts FROM objects")] == [("sent", 0)]


def test_an_object_on_which_the_archive_aborts_holds_up_no_other(queue, settings, grader, clock):
    bad = 3
    take(queue, *(film() for _ in range(bad + 1)))
    while grading(queue, grader).answer_next():
        pass
    names = [str(one.SOPInstanceUID) for one in waiting(queue)]
    taken: list[str] = []
    with archive([], taken, names[:bad]) as port:
        delivery = Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}"))
        for _ in range(3):
            with suppress(ArchiveUnreachable):
                delivery.send_due()
            clock.now += delivery.wait_seconds
    assert taken == names[bad:]
    clock.now += DAY
    assert [one.SOPInstanceUID for one in waiting(queue)] == names[:bad]


def test_retention_deletes_old_rows_and_nothing_that_waits(queue, grader, clock):
    first, second = take(queue, film(), film())
    grading(queue, grader).answer_next()
    clock.now += 3 * DAY
    sweep(queue, keep_films=2, keep_days=365)
    (old,), (young,) = (list(queue.films(one)) for one in map(_study(queue), (first, second)))
    assert old.content is None
    assert young.content
    clock.now += 400 * DAY
    sweep(queue, keep_films=2, keep_days=365)
    assert state(queue, first)[0] == "graded"  # its report was never sent
    queue.sent(waiting(queue)[0].SOPInstanceUID)
    sweep(queue, keep_films=2, keep_days=365)
    assert state(queue, first) == ("deleted", "")
    assert state(queue, second) == ("waiting", "")
    before = used_bytes(queue)
    grading(queue, grader).answer_next()
    sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
    assert used_bytes(queue) < before


def _study(queue: Queue):
    def of(uid: str) -> str:
        with sqlite3.connect(queue.folder / "queue.sqlite") as database:
            (found,) = database.execute("SELECT study FROM films WHERE film = ?", (uid,)).fetchone()
        database.close()
        return found

    return of


def test_a_full_queue_drops_sent_captures_and_reports_and_nothing_that_waits(queue, grader):
    take(queue, film(), film())
    while grading(queue, grader, capture=True).answer_next():
        pass
    gone = [one.object for one in queue.to_send(2)]
    for name in gone:
        queue.sent(name)
    sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
    empty = queue.select("SELECT object FROM objects WHERE length(content) = 0 ORDER BY rowid")
    assert [name for (name,) in empty] == gone
    ((uid,),) = queue.select("SELECT study FROM objects WHERE object = ?", gone[0])
    assert queue.previous_report(uid) is None
    assert queue.resend(uid) == 0


def test_each_setting_is_documented_and_checked(tmp_path):
    documented = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [one.name for one in fields(NodeSettings) if f"`{PREFIX}{one.name.upper()}`" not in documented] == []
    wrong = {
        "FOLDER": "",
        "AE_TITLE": "SEVENTEEN-LETTERS",
        "PORT": "70000",
        "CALLERS": "PACS@nowhere",
        "ARCHIVE": "dicom://127.0.0.1",
        "IDENTIFIERS": "both",
        "PDU": "100",
        "ASSOCIATIONS": "0",
        "TLS_CERT": str(tmp_path / "none.pem"),
        "SETTLE": "soon",
    }
    sound = {f"{PREFIX}FOLDER": str(tmp_path)}
    NodeSettings.from_environ(sound)
    for name, value in wrong.items():
        with pytest.raises(SettingsError, match=name):
            NodeSettings.from_environ(sound | {PREFIX + name: value})
    for text in ("dicom://PACS@host:104", "dicoms://PACS@host:104", "https://host/dicom-web"):
        assert Archive.parse(text).host == "host"


def test_the_token_of_the_archive_is_in_no_repr():
    assert "secret" not in repr(NodeSettings(token="secret"))
