"""Reports reach an archive that is down, refuses or aborts, and each is sent once."""

from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from pydicom.uid import ComprehensiveSRStorage
from pynetdicom import AE, evt

from flask_app.node.deliver import MOST_REFUSALS, Delivery
from kneeoa_hub.errors import ArchiveUnreachable

from ...support.node_queue import DAY, film, grading, take, waiting


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
