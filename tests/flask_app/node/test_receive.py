"""The receiver accepts listed senders, and confirms a film only when it is in the queue."""

import io
import re
import ssl
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    generate_uid,
)
from pynetdicom import AE, StoragePresentationContexts, build_context
from pynetdicom.sop_class import Verification  # pyright: ignore[reportAttributeAccessIssue]  # made at import

from flask_app.node import arrive
from flask_app.node.disk import PAGE_BYTES
from flask_app.node.queue import Queue
from flask_app.node.receive import _entity
from kneeoa_hub.imaging.dicom_header import FILM_CLASSES
from kneeoa_hub.imaging.identity import MAKER, read_identity
from kneeoa_hub.imaging.pixel_data import SYNTAXES

from ...support.certificates import self_signed
from ...support.node_queue import calling, film, grading, receiving, sent, state, take, waiting
from ...support.waiting import until


def test_a_film_is_in_the_queue_before_its_sender_gets_success(queue, settings):
    one = film()
    uid = read_identity(one).instance
    with receiving(queue, settings) as port, calling(port) as association:
        assert association
        assert association.send_c_echo().Status == 0x0000
        assert sent(association, one) == 0x0000
        assert state(queue, uid) == ("waiting", "")
        assert sent(association, one) == 0x0000  # the sender missed the answer and sends it again
        assert sent(association, one, AccessionNumber="A1") == 0x0000
        assert sent(association, one, PixelData=bytes(len(pydicom.dcmread(io.BytesIO(one)).PixelData))) == 0x0111
        assert sent(association, one, SOPInstanceUID=generate_uid(), Manufacturer=MAKER) == 0x0000  # our own capture
        assert sent(association, one, SOPInstanceUID=generate_uid(), StudyInstanceUID="") == 0xC000
    assert [kept.film for kept in queue.films(read_identity(one).study)] == [uid]


def test_a_study_that_comes_with_its_report_is_taken_and_no_report_of_another_system_is(queue, settings, grader):
    take(queue, film())
    grading(queue, grader).grade_next()
    (report,) = waiting(queue)
    entity = AE("ARCHIVE")
    entity.add_requested_context(ComprehensiveSRStorage)
    with receiving(queue, settings) as port:
        association = entity.associate("127.0.0.1", port, ae_title="KNEEOA")
        assert association.send_c_store(report).Status == 0x0000
        report.Manufacturer = "ANOTHER"
        assert association.send_c_store(report).Status == 0x0122
        association.release()
    assert queue.due() is None
    assert len(waiting(queue)) == 1


def test_a_film_that_does_not_fit_on_the_disk_is_rejected_and_accepted_films_are_answered(
    queue, settings, grader, clock
):
    full = Queue(queue.folder, max_bytes=20 * PAGE_BYTES, clock=clock)
    films = [film() for _ in range(4)]
    with receiving(full, settings) as port, calling(port) as association:
        statuses = [sent(association, one) for one in films]
    assert statuses[0] == 0x0000
    assert statuses[-1] == 0xA700
    while grading(queue, grader).grade_next():  # the worker's own connection has room
        pass
    assert len(waiting(queue)) == statuses.count(0x0000)
    full.close()


def test_no_film_is_accepted_when_the_disk_is_nearly_full(queue, settings, monkeypatch):
    monkeypatch.setattr(arrive, "RESERVE_BYTES", 10**18)
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


def test_the_log_says_why_an_association_or_a_kind_of_object_is_not_accepted(queue, settings, caplog):
    entity = AE("MAMMO")
    entity.requested_contexts = StoragePresentationContexts  # as DCMTK's storescu does
    listed = replace(settings, callers="MAMMO, PACS@10.0.0.0/8, *@127.0.0.1/32", associations=1)
    with receiving(queue, replace(listed, callers="MAMMO")) as port, calling(port, caller="STRANGER") as stranger:
        assert stranger is None
    with receiving(queue, listed) as port, calling(port, "ELSE") as wrong:
        assert wrong is None
        first = entity.associate("127.0.0.1", port, ae_title="KNEEOA")
        assert sent(first, film(Modality="MG")) == 0x0000  # a modality is a reason for a row, not for the sender
        with calling(port) as second:
            assert second is None
        first.release()
    with receiving(queue, listed) as port:
        entity.requested_contexts = [build_context(DigitalMammographyXRayImageStorageForPresentation)]
        entity.add_requested_context(DigitalXRayImageStorageForPresentation)
        entity.associate("127.0.0.1", port, ae_title="KNEEOA").release()
        until(lambda: "brought no film" in caplog.text)
    said = [one.fields for one in caplog.records if one.levelname == "WARNING"]
    reasons = ["AE title is not listed", "has another AE title", "all places", "Mammography"]
    assert [word in str(one) for one, word in zip(said, reasons, strict=True)] == [True] * 4
    assert (said[0]["calling"], said[1]["called"]) == ("STRANGER", "ELSE")
    assert not any(word in caplog.text + str(said) for word in ("DOE", "12345", "A1"))


def test_the_conformance_statement_names_what_is_accepted(settings):
    accepted = {
        str(one.abstract_syntax): set(map(str, one.transfer_syntax)) for one in _entity(settings).supported_contexts
    }
    tables = (
        (Path(__file__).parents[3] / "docs" / "pacs.md").read_text("utf-8").partition("## Conformance statement")[2]
    )
    listed = dict(re.findall(r"^\| ([^|]+) \| `(1\.2\.840\.10008[0-9.]+)` \|", tables, re.MULTILINE))
    assert set(listed.values()) == {*accepted, *(syntax for several in accepted.values() for syntax in several)}
    assert {name: uid for name, uid in listed.items() if UID(uid).name != name} == {}
    plain = {uid for uid in listed.values() if uid in accepted[ComprehensiveSRStorage]}
    assert plain == accepted[ComprehensiveSRStorage] == accepted[Verification]
    assert all(
        accepted[kind] == {uid for uid in listed.values() if UID(uid).is_transfer_syntax} for kind in FILM_CLASSES
    )


def test_associations_beyond_the_limit_are_rejected_and_every_syntax_that_is_read_is_accepted(queue, settings):
    entity = AE("MODALITY")
    syntaxes = {*SYNTAXES, DeflatedExplicitVRLittleEndian}
    for syntax in syntaxes:
        entity.add_requested_context(DigitalXRayImageStorageForPresentation, syntax)
    entity.add_requested_context(CTImageStorage)
    with receiving(queue, replace(settings, associations=1, pdu=8192)) as port:
        first = entity.associate("127.0.0.1", port, ae_title="KNEEOA")
        assert {context.transfer_syntax[0] for context in first.accepted_contexts} == syntaxes
        assert {context.abstract_syntax for context in first.rejected_contexts} == {CTImageStorage}
        assert first.acceptor.maximum_length == 8192
        with calling(port) as second:
            assert second is None
        first.release()


def test_tls_asks_for_a_certificate_that_the_ca_has_signed(queue, settings, tmp_path):
    certificate, key = self_signed(tmp_path)
    secured = replace(settings, tls_cert=str(certificate), tls_key=str(key), tls_ca=str(certificate))
    secured.check()
    with receiving(queue, secured) as port:
        with calling(port) as plain:
            assert plain is None
        context = ssl.create_default_context(cafile=str(certificate))
        context.load_cert_chain(certificate, key)
        (tmp_path / "other").mkdir()
        for stranger in (None, self_signed(tmp_path / "other")):
            wrong = ssl.create_default_context(cafile=str(certificate))
            if stranger:
                wrong.load_cert_chain(*stranger)
            with calling(port, tls_args=(wrong, "127.0.0.1")) as association:
                assert association is None or association.send_c_echo().get("Status") is None
        with calling(port, tls_args=(context, "127.0.0.1")) as association:
            assert sent(association, film()) == 0x0000
