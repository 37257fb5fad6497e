"""Reports reach an archive that is down, refuses or aborts, and each is sent once."""

import json
import socket
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE, evt

from flask_app.node import worker
from flask_app.node.deliver import MOST_REFUSALS, Delivery
from flask_app.node.digests import Digests
from flask_app.node.settings import NodeSettings
from kneeoa_hub.archive.dicomweb import Service
from kneeoa_hub.errors import ArchiveUnreachable
from kneeoa_hub.imaging.identity import read_identity

from ...support.certificates import self_signed
from ...support.node_queue import DAY, delivered, film, grading, receiving, replaced, take, waiting


@contextmanager
def archive(
    statuses: list[int], titles: list[str], aborts: Container[str] = (), syntaxes: Sequence[str] | None = None
) -> Iterator[int]:
    """The port of an archive that answers one status after the other, then success, and notes what it has taken.

    It aborts the association at the objects of `aborts`, and takes the first of `syntaxes` that it is offered.
    """
    entity = AE("PACS")
    entity.add_supported_context(ComprehensiveSRStorage, syntaxes)

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
    grading(queue, grader).grade_next()
    (report,) = waiting(queue)
    down = Delivery(queue, replace(settings, archive="dicom://PACS@127.0.0.1:9"))
    waits = []
    for _ in range(3):
        with pytest.raises(ArchiveUnreachable):
            down.send_due()
        waits.append(down.wait_seconds)
    assert waits == [2, 4, 8]
    taken: list[str] = []
    with archive([0xA700] * MOST_REFUSALS + [0xA900] * (MOST_REFUSALS + 1), taken) as port:
        delivery = Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}"))
        for _ in range(MOST_REFUSALS):  # a full archive is as one that is down
            with pytest.raises(ArchiveUnreachable, match="out of resources"):
                delivery.send_due()
            clock.now += DAY
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


def test_an_archive_that_falls_silent_within_an_answer_is_given_up(queue, settings, grader):
    take(queue, film())
    grading(queue, grader).grade_next()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent: list[socket.socket] = []

        def begin_an_answer() -> None:
            silent.append(listening.accept()[0])
            silent[0].sendall(b"\x02\0\0\0\x10\0")  # the head of a PDU of 4096 bytes, as before a power cut

        threading.Thread(target=begin_an_answer, daemon=True).start()
        there = replace(settings, archive=f"dicom://PACS@127.0.0.1:{listening.getsockname()[1]}", timeout=1)
        with pytest.raises(ArchiveUnreachable):
            Delivery(queue, there).send_due()
        silent[0].close()


def test_an_object_that_the_archive_already_has_is_sent(queue, settings, grader):
    take(queue, film())
    grading(queue, grader).grade_next()
    with archive([0x0111], []) as port:
        assert Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}")).send_due()
    assert [tuple(row) for row in queue.select("SELECT state, attempts FROM objects")] == [("sent", 0)]


@pytest.mark.parametrize("syntaxes", [[ImplicitVRLittleEndian], [ExplicitVRBigEndian, ExplicitVRLittleEndian]])
def test_an_archive_gets_a_report_in_the_transfer_syntax_that_it_takes(queue, settings, grader, syntaxes):
    take(queue, film())
    grading(queue, grader).grade_next()
    (report,), taken = waiting(queue), []
    with archive([], taken, syntaxes=syntaxes) as port:
        assert Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}")).send_due()
    assert taken == [report.SOPInstanceUID]
    queue.resend(str(report.StudyInstanceUID))
    with archive([], [], syntaxes=[ExplicitVRBigEndian]) as port:
        delivery = Delivery(queue, replace(settings, archive=f"dicom://PACS@127.0.0.1:{port}"))
        with pytest.raises(ArchiveUnreachable, match="syntax"):
            delivery.send_due()


@pytest.mark.parametrize(
    ("status", "kind", "reasons", "taken"),
    [
        (200, "application/dicom+json", [], True),
        (202, "application/dicom+json; charset=utf-8", [0x0110], False),
        (409, "application/dicom+json", [0x0110], False),
        (409, "application/dicom+json;charset=UTF-8", [0x0111], True),
        (409, "text/html", [], False),
        (200, "text/html", [], False),  # the page of a proxy, on which a user logs in
        (302, "application/dicom+json", [], False),
    ],
)
def test_stow_counts_as_stored_only_what_the_archive_says_that_it_has(status, kind, reasons, taken, queue, grader):
    take(queue, film())
    grading(queue, grader).grade_next()
    failed = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    said = json.dumps({"00081198": {"vr": "SQ", "Value": failed}} if failed else {}).encode()

    class Stow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stow) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert Delivery(queue, NodeSettings(archive=f"http://127.0.0.1:{server.server_address[1]}/rs")).send_due()
        server.shutdown()
    assert [row["state"] for row in queue.select("SELECT state FROM objects")] == ["sent" if taken else "waiting"]


def test_a_certificate_that_is_lost_while_the_node_runs_is_one_line_of_the_log(
    queue, settings, grader, caplog, tmp_path
):
    take(queue, film())
    grading(queue, grader).grade_next()
    lost = replace(settings, archive="dicoms://PACS@127.0.0.1:9", tls_ca=str(tmp_path / "lost.pem"))

    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return True

    worker._deliver(Delivery(queue, lost), queue, Once())
    (line,) = caplog.records
    assert ("PEM" in line.getMessage(), line.exc_info) == (True, None)
    assert len(waiting(queue)) == 1


def test_no_log_names_the_study_that_is_searched_for(caplog):
    caplog.set_level("DEBUG")
    with pytest.raises(ArchiveUnreachable):
        Service("http://127.0.0.1:9").films("1.2.840.424242.99")
    assert "424242" not in "".join(record.getMessage() for record in caplog.records if record.name[:8] == "dicomweb")


def test_an_object_on_which_the_archive_aborts_holds_up_no_other(queue, settings, grader, clock):
    bad = 3
    take(queue, *(film() for _ in range(bad + 1)))
    while grading(queue, grader).grade_next():
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


def test_an_archive_with_a_certificate_that_is_not_trusted_gets_nothing_and_the_reason_names_it(
    queue, settings, grader, tmp_path
):
    take(queue, film())
    grading(queue, grader).grade_next()
    certificate, key = self_signed(tmp_path)
    with receiving(queue, replace(settings, tls_cert=str(certificate), tls_key=str(key))) as port:
        delivery = Delivery(queue, replace(settings, archive=f"dicoms://KNEEOA@127.0.0.1:{port}"))
        with pytest.raises(ArchiveUnreachable, match="certificate"):
            delivery.send_due()
        trusting = replace(settings, archive=f"dicoms://KNEEOA@127.0.0.1:{port}", tls_ca=str(certificate))
        assert Delivery(queue, trusting).send_due()  # the node takes its own report


def test_a_clock_that_is_put_back_holds_up_no_study_and_no_report(queue, grader, clock, settings):
    about, reports = {"StudyInstanceUID": generate_uid()}, []
    for side in "LR":
        one = film(ImageLaterality=side, **about)
        identity = read_identity(one)
        queue.receive(one, identity, Digests.of(one, identity), "MODALITY", 15)
        assert queue.due() is None
        clock.now -= 3600
        assert grading(queue, grader).grade_next()
        clock.now -= 3600
        reports += delivered(queue)
    assert len(reports) == 2
    assert replaced(reports[1]) == [reports[0].SOPInstanceUID]
    assert queue.resend(about["StudyInstanceUID"]) == 1  # the second one, though its clock was behind
    queue.not_sent(reports[0].SOPInstanceUID, "later", 8192)
    clock.now -= 2 * DAY
    assert len(waiting(queue)) == 2


def test_a_request_to_send_again_ends_the_wait_after_a_failure(queue, grader, clock):
    one = film(StudyInstanceUID="1.2.9")
    take(queue, one)
    grading(queue, grader).grade_next()
    began, looks = queue.clock(), []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            looks.append(timeout)
            clock.now += 1
            if len(looks) == 3:
                queue.resend("1.2.9")
            return False

    worker.rest(queue, began, 300, Stop())
    assert looks == [1, 1, 1]
