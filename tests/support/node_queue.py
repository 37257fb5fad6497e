"""Tests use a queue of the DICOM node, films that go into it, and senders that call its receiver."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydicom
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # pyright: ignore[reportAttributeAccessIssue]  # made at import

from flask_app.node.dead import DeadLetters
from flask_app.node.digests import Digests
from flask_app.node.grade import StudyGrader
from flask_app.node.queue import Queue
from flask_app.node.receive import Receiver
from flask_app.node.settings import NodeSettings
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.identity import read_identity

from .dicom_films import study

DAY = 86400


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def film(**header: Any) -> bytes:
    about: dict[str, Any] = {"SOPInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    return study(**(about | header))


def take(queue: Queue, *films: bytes) -> list[str]:
    """Receive films as the receiver does; return their UIDs."""
    identities = [read_identity(one) for one in films]
    for one, identity in zip(films, identities, strict=True):
        queue.receive(one, identity, Digests.of(one, identity), "MODALITY", 0)
    return [identity.instance for identity in identities]


def state(queue: Queue, uid: str) -> tuple[str, str]:
    """Return the state of a film and its reason; "deleted" where the queue no longer has it."""
    with sqlite3.connect(queue.folder / "queue.sqlite") as database:
        found = database.execute("SELECT state, reason FROM films WHERE film = ?", (uid,)).fetchone()
    database.close()
    return found or ("deleted", "")


def waiting(queue: Queue) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(io.BytesIO(one.content)) for one in queue.to_send(100)]


def delivered(queue: Queue) -> list[pydicom.Dataset]:
    """Return what waits, and note that the archive has taken it."""
    found = waiting(queue)
    for one in found:
        assert queue.begin_sending(one.SOPInstanceUID)
        queue.sent(one.SOPInstanceUID)
    return found


def replaced(report: pydicom.Dataset) -> list[str]:
    """Return the UIDs of the reports that one names as its predecessors."""
    return [
        str(one.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]


def grading(queue: Queue, grader, capture: bool = False) -> StudyGrader:
    return StudyGrader(queue, grader, capture=capture, dead=DeadLetters(queue.folder, 2, 10**9, 30))


@contextmanager
def receiving(queue: Queue, settings: NodeSettings, max_bytes: int = 10**8) -> Iterator[int]:
    receiver = Receiver(queue, settings, Limits(max_bytes))
    try:
        yield receiver.start()
    finally:
        receiver.stop()


@contextmanager
def calling(
    port: int, title: str = "KNEEOA", caller: str = "MODALITY", syntax: UID | None = None, **options
) -> Iterator[Any]:
    """Yield a sender's association, or None where the node rejects it."""
    entity = AE(caller)
    entity.add_requested_context(Verification)
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=title, **options)
    yield association if association.is_established else None
    if association.is_established:
        association.release()


def in_syntax(content: bytes, syntax: UID) -> bytes:
    """Return a film in another transfer syntax, as an archive sends it."""
    dataset, out = pydicom.dcmread(io.BytesIO(content)), io.BytesIO()
    if syntax.is_compressed and not syntax.is_deflated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(out, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return out.getvalue()


def sent(association, content: bytes, **changes: object) -> int:
    dataset = pydicom.dcmread(io.BytesIO(content))
    for name, value in changes.items():
        setattr(dataset, name, value)
    return association.send_c_store(dataset).Status
