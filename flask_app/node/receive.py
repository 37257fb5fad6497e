"""Receives films over DICOM (C-STORE, C-ECHO). A film is in the queue on disk before its sender has the answer."""

import io
import logging
import sqlite3
import sys
import threading
import weakref
from typing import Any

from pydicom.uid import ComprehensiveSRStorage, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, evt

from kneeoa_hub.errors import KneeOAError
from kneeoa_hub.imaging.dicom_header import FILM_CLASSES
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.identity import MAKER, FilmIdentity, read_identity
from kneeoa_hub.imaging.pixel_data import SYNTAXES

from .arrive import NO_ROOM, TOO_LARGE, has_room
from .digests import Digests
from .listen import Bounds, Listener
from .pictures import Pictures
from .queue import Queue
from .settings import NodeSettings

VERIFICATION = "1.2.840.10008.1.1"
SUCCESS, DUPLICATE, NO_FILM = 0x0000, 0x0111, 0x0122
"""These are statuses of DICOM messages."""
OUT_OF_RESOURCES, WRONG_OBJECT, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000
"""C-STORE has these statuses (PS3.4 table B.2-1, PS3.7 annex C)."""
CALLER, CALLED, LIMIT = (0x01, 0x01, 0x03), (0x01, 0x01, 0x07), (0x02, 0x03, 0x02)
"""A rejected association has this result, source and reason: calling or called AE title not recognised, local limit
exceeded (PS3.8, 9.3.4).
"""
REASONS = {
    CALLER: "the calling AE title is not listed for this address",
    CALLED: "the node has another AE title",
    LIMIT: "all places for associations are taken",
}
MOST_KINDS = 8
"""A line of the log names at most eight kinds of objects."""

log = logging.getLogger(__name__)


class Receiver:
    """Runs the Storage SCP.

    Args:
        queue: The queue that takes the films.
        settings: The settings of the node.
        limits: The limits on a film.
    """

    def __init__(self, queue: Queue, settings: NodeSettings, limits: Limits):
        self._queue, self._settings, self._max_bytes = queue, settings, limits.max_bytes
        self._pictures = Pictures(limits)
        self._server: Listener | None = None
        self._one_at_a_time = threading.Lock()
        self._fruitful: weakref.WeakSet[Any] = weakref.WeakSet()

    def start(self) -> int:
        """Listen, and return the port. Raises OSError if it cannot be bound."""
        server: Any = _entity(self._settings).make_server(
            (self._settings.host, self._settings.port),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._check_caller),
                (evt.EVT_RELEASED, self._note_fruitless),
                (evt.EVT_ABORTED, self._note_fruitless),
                (evt.EVT_C_STORE, self._store),
            ],
            server_class=Listener,
            bounds=Bounds.of(self._settings, self._max_bytes, self._settings.certificates.server()),
        )
        server.start()
        self._server = server
        return server.server_address[1]

    def stop(self) -> None:
        """Stop listening, and abort the associations. What was not answered is sent again by its sender."""
        if self._server:
            self._server.shutdown()

    def _check_caller(self, event: Any) -> None:
        requestor = event.assoc.requestor
        calling, called = requestor.primitive.calling_ae_title, requestor.primitive.called_ae_title
        if not any(caller.allows(calling, requestor.address) for caller in self._settings.allowed):
            reason = CALLER
        elif called != self._settings.ae_title.strip():
            reason = CALLED
        elif event.assoc._server.give_place(event.assoc):
            return
        else:
            reason = LIMIT
        about = {"address": requestor.address, "calling": calling, "called": called, "reason": REASONS[reason]}
        log.warning("An association was rejected", extra={"fields": about})
        event.assoc.acse.send_reject(*reason)
        event.assoc.kill()

    def _note_fruitless(self, event: Any) -> None:
        """Log what a sender that has sent nothing wanted to send and could not, such as mammograms.

        Many senders propose a hundred kinds of objects, whatever they have. One that sends films is not logged.
        """
        refused = list(dict.fromkeys(one.abstract_syntax.name for one in event.assoc.rejected_contexts))
        if not refused or event.assoc in self._fruitful:
            return
        about = {
            "calling": event.assoc.requestor.primitive.calling_ae_title,
            "kinds": refused[:MOST_KINDS],
            "more": len(refused[MOST_KINDS:]),
        }
        log.warning("An association brought no film; kinds of objects were not accepted", extra={"fields": about})

    def _store(self, event: Any) -> int:
        """Return the status for one film. One film at a time is whole in memory."""
        self._fruitful.add(event.assoc)
        with event.assoc.dul.socket.serving(), self._one_at_a_time:
            arrived = event.request.film
            if arrived.failure:
                return self._failed(OUT_OF_RESOURCES if arrived.failure == NO_ROOM else NOT_UNDERSTOOD, arrived.failure)
            content = arrived.read()
            event.request.DataSet = io.BytesIO(content)
            try:
                return self._keep(event, event.encoded_dataset(), content)
            finally:
                event.request.DataSet = io.BytesIO()
                arrived.close()

    def _keep(self, event: Any, film: bytes, content: bytes) -> int:
        """Put a film into the queue, and return the status.

        Args:
            event: What pynetdicom says of it.
            film: The film with a file's header.
            content: Its data set.
        """
        try:
            identity = read_identity(film)
        except KneeOAError as error:
            return self._failed(NOT_UNDERSTOOD, error.code)
        if len(film) > self._max_bytes:
            return self._failed(NOT_UNDERSTOOD, TOO_LARGE)
        asked = event.request
        if (identity.instance, identity.sop_class) != (asked.AffectedSOPInstanceUID, asked.AffectedSOPClassUID):
            return self._failed(WRONG_OBJECT, "uids-differ")
        if not identity.study:
            return self._failed(NOT_UNDERSTOOD, "no-study")
        if identity.manufacturer == MAKER:  # an archive that sends a whole study sends our report and captures too
            return SUCCESS
        if identity.sop_class not in FILM_CLASSES:
            return self._failed(NO_FILM, "no-film")
        if not has_room(self._queue.folder, len(film)):
            return self._failed(OUT_OF_RESOURCES, NO_ROOM)
        try:
            taken = self._received(film, identity, Digests.of(film, identity, content), event.assoc.requestor.ae_title)
        except sqlite3.Error as error:
            return self._failed(OUT_OF_RESOURCES, type(error).__name__)
        if taken == "other":
            return self._failed(DUPLICATE, "another-film-under-this-uid")
        log.info("received", extra={"fields": {"study": self._queue.pseudonyms.of(identity.study), "film": taken}})
        return SUCCESS

    def _received(self, film: bytes, identity: FilmIdentity, digests: Digests, caller: str) -> str:
        """Put a film into the queue, and return what `Queue.receive` says of it.

        A film with other bytes than the one under its UID may hold the same picture in another transfer syntax.
        """
        taken = self._queue.receive(film, identity, digests, caller, self._settings.settle)
        kept = self._queue.kept(identity.instance) if taken == "other" else None
        again = self._pictures.in_terms_of(kept, film, identity, digests) if kept else None
        return self._queue.receive(film, identity, again, caller, self._settings.settle) if again else taken

    def _failed(self, status: int, reason: str) -> int:
        log.warning("A film was not taken", extra={"fields": {"status": f"{status:04X}", "reason": reason}})
        return status


def _entity(settings: NodeSettings) -> AE:
    entity = AE(settings.ae_title)
    entity.maximum_associations = sys.maxsize  # the listener gives places
    entity.maximum_pdu_size = settings.pdu
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.timeout
    entity.add_supported_context(VERIFICATION)
    for storage_class in FILM_CLASSES:
        entity.add_supported_context(storage_class, [*SYNTAXES, DeflatedExplicitVRLittleEndian])
    entity.add_supported_context(ComprehensiveSRStorage)  # our own reports, see `_keep`
    return entity


def silence_libraries() -> None:
    """Keep pynetdicom from logging: its messages may repeat what a film's header holds."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
