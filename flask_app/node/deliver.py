"""Sends answers to the archive, by C-STORE or STOW-RS, until it has taken them."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pydicom
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association

from kneeoa_hub.errors import ArchiveError, ArchiveUnreachable
from kneeoa_hub.imaging.quiet import quiet_logs, quiet_warnings

from .queue import Queue
from .records import Object
from .settings import Destination, NodeSettings

AT_A_TIME = 20
"""One association sends 20 objects."""
FIRST_WAIT, LONGEST_WAIT = 2, 300
"""While the archive is unreachable, two seconds pass before the next try. This wait is doubled each time, up to five
minutes."""
MOST_BROKEN = 2
"""Two objects may each end an association before the others wait for the next try."""
MOST_REFUSALS = 8
"""An object that the archive has refused this often is given up, until a person sends it again."""
SENT_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
"""pynetdicom can send an object in these transfer syntaxes. The one that the object has is first."""
TAKEN = (0x0000, 0x0111, 0xB000, 0xB006, 0xB007)
"""The archive has an object after these statuses of C-STORE: success, a UID that it has (PS3.7 annex C; the UID of an
object follows from its films and the model), and warnings (PS3.4 table B.2-1).
"""
OUT_OF_RESOURCES = 0xA700
"""The archive has no room for an object after the statuses A700 to A7FF (the same table)."""

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Stores objects in an archive while it is open."""

    def store(self, content: bytes) -> None:
        """Store a DICOM file. Raises ArchiveUnreachable, or ArchiveError if the archive refuses it."""
        ...


class Delivery:
    """Sends what waits in the queue, and waits longer after each failure to reach the archive."""

    def __init__(self, queue: Queue, settings: NodeSettings):
        self._queue, self._settings, self._failures = queue, settings, 0

    def send_due(self) -> bool:
        """Send some of the waiting objects, and return whether there were any.

        An object at which the archive ends the association, or for which it has no room, holds up no other: it is put
        off, and it has failed if the archive takes or refuses another one.

        Raises:
            ArchiveUnreachable: The archive took and refused no object: it is down, or has no room.
        """
        archive, objects = self._settings.destination, self._queue.to_send(AT_A_TIME)
        if not archive or not objects:
            return False
        remaining, broken, reached = iter(objects), list[tuple[Object, ArchiveUnreachable]](), False
        fault: ArchiveUnreachable | None = None
        while len(broken) < MOST_BROKEN:
            try:
                with opened(archive, self._settings) as sender:
                    for one in remaining:
                        try:
                            reached = self._send(sender, one) or reached
                        except ArchiveUnreachable as error:
                            broken.append((one, error))
                            raise
                break
            except ArchiveUnreachable as error:
                fault = error
                if not broken or broken[-1][1] is not error:  # there is no association, so no object is at fault
                    break
        if fault and not reached:
            self._queue.unreachable(fault.message)
            self._failures += 1
            for one, _ in broken:
                self._queue.put_off(one.object, 2 * self.wait_seconds)
            raise fault
        for one, error in broken:
            self._not_sent(one, error)
        self._failures = 0
        return True

    def _send(self, sender: Sender, one: Object) -> bool:
        """Send one object, and note what came of it; return False if it was withdrawn. Raises ArchiveUnreachable."""
        if not self._queue.begin_sending(one.object):
            return False
        try:
            sender.store(one.content)
        except ArchiveUnreachable:
            raise
        except ArchiveError as error:
            self._not_sent(one, error)
            return True
        self._queue.sent(one.object)
        log.info("sent", extra={"fields": {"kind": one.kind}})
        return True

    def _not_sent(self, one: Object, error: ArchiveError) -> None:
        after = FIRST_WAIT * 4**one.attempts if one.attempts + 1 < MOST_REFUSALS else None
        self._queue.not_sent(one.object, error.message, after)
        log.warning("The archive did not take an object: %s", error.message)

    @property
    def wait_seconds(self) -> float:
        """Seconds to wait after the last failures."""
        return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures - 1, 16))


@contextmanager
def opened(archive: Destination, settings: NodeSettings) -> Iterator[Sender]:
    """Yield a `Sender` to the archive. Raises ArchiveUnreachable."""
    if archive.url:
        yield settings.service(archive)
        return
    entity = AE(settings.ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.timeout
    entity.connection_timeout = settings.timeout
    for storage_class in (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
        entity.add_requested_context(storage_class, SENT_SYNTAXES)
    association = entity.associate(
        archive.host,
        archive.port,
        ae_title=archive.ae_title,
        max_pdu=settings.pdu,
        evt_handlers=[(evt.EVT_CONN_OPEN, _limit, [settings.timeout])],
        tls_args=(settings.certificates.client(), archive.host) if archive.tls else None,
    )
    if not association.is_established:
        state = "does not answer"
        if association.is_rejected:
            state = "rejects the association"
        elif association.rejected_contexts:
            state = (
                "takes neither structured reports nor secondary captures in a transfer syntax that the node can send"
            )
        raise ArchiveUnreachable(
            f"The archive {archive.ae_title} at {archive.host}:{archive.port} {state}; check its AE title, address"
            f"{', certificate and KNEEOA_NODE_TLS_CA' if archive.tls else ''} and list of callers."
        )
    try:
        yield _Association(association)
    finally:
        association.release()


def _limit(event: Any, seconds: float) -> None:
    """Give up an archive that is silent within a PDU, as after a power cut. pynetdicom would wait for ever."""
    event.assoc.dul.socket.socket.settimeout(seconds)


class _Association:
    def __init__(self, association: Association):
        self._association = association

    def store(self, content: bytes) -> None:
        """Store a DICOM file (C-STORE)."""
        try:
            with quiet_logs():  # a header's wrong value may identify a patient
                with quiet_warnings():  # which one thread has at a time, so that nothing is sent meanwhile
                    stored = pydicom.dcmread(io.BytesIO(content))
                status = self._association.send_c_store(stored)
        except ValueError:  # no accepted presentation context
            raise ArchiveError("The archive takes no objects of this SOP class; allow it in its settings.") from None
        except RuntimeError:
            raise ArchiveUnreachable("The association with the archive has ended.") from None
        if "Status" not in status:
            raise ArchiveUnreachable("The archive ended the association, or did not answer in time.")
        if status.Status & 0xFF00 == OUT_OF_RESOURCES:
            raise ArchiveUnreachable(f"The archive is out of resources (status {status.Status:04X}); make room there.")
        if status.Status not in TAKEN:
            raise ArchiveError(f"The archive refused the object with status {status.Status:04X}; its log says why.")
