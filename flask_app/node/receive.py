"""Receives films over DICOM (C-STORE, C-ECHO). A film is in the queue on disk before its sender has the answer."""

import hashlib
import logging
import shutil
import sqlite3
import ssl
from typing import Any

from pynetdicom import AE, evt

from kneeoa_hub.errors import KneeOAError, SettingsError
from kneeoa_hub.imaging.dicom_header import FILM_CLASSES
from kneeoa_hub.imaging.identity import MAKER, read_identity
from kneeoa_hub.imaging.pixel_data import SYNTAXES

from .queue import Queue
from .settings import NodeSettings

VERIFICATION = "1.2.840.10008.1.1"
SUCCESS, DUPLICATE, NO_ROOM, WRONG_OBJECT, NOT_UNDERSTOOD = 0x0000, 0x0111, 0xA700, 0xA900, 0xC000
"""Statuses of C-STORE (PS3.4 table B.2-1, PS3.7 annex C)."""
RESERVE_BYTES = 256 * 2**20
"""The node takes no film while the disk has less room than this beside it, so that the worker can still write answers
and delete films."""
BY_USER, PERMANENT, CALLER_NOT_RECOGNISED = 0x01, 0x01, 0x03
"""Result, source and reason of a rejected association (PS3.8, 9.3.4)."""

log = logging.getLogger(__name__)


class Receiver:
    """The Storage SCP.

    Args:
        queue: Where films go.
        settings: Whom it answers, and how.
        max_bytes: Most bytes of one film.
    """

    def __init__(self, queue: Queue, settings: NodeSettings, max_bytes: int):
        self._queue, self._settings, self._max_bytes = queue, settings, max_bytes
        self._server: Any = None

    def start(self) -> int:
        """Listen, and return the port. Raises OSError where it cannot be bound."""
        self._server = _entity(self._settings).start_server(
            (self._settings.host, self._settings.port),
            block=False,
            ssl_context=server_tls(self._settings),
            evt_handlers=[(evt.EVT_REQUESTED, self._check_caller), (evt.EVT_C_STORE, self._store)],
        )
        return self._server.server_address[1]

    def stop(self) -> None:
        """Stop listening, and abort the associations. What was not answered is sent again by its sender."""
        if self._server:
            self._server.shutdown()

    def _check_caller(self, event: Any) -> None:
        title, address = event.assoc.requestor.primitive.calling_ae_title, event.assoc.requestor.address
        if not any(caller.allows(title, address) for caller in self._settings.allowed):
            log.warning("An association was rejected", extra={"fields": {"address": address}})
            event.assoc.acse.send_reject(BY_USER, PERMANENT, CALLER_NOT_RECOGNISED)
            event.assoc.kill()

    def _store(self, event: Any) -> int:
        """Return the status for one film."""
        try:
            film = event.encoded_dataset()
            identity = read_identity(film)
        except KneeOAError as error:
            return self._failed(NOT_UNDERSTOOD, error.code)
        if len(film) > self._max_bytes:
            return self._failed(NOT_UNDERSTOOD, "film-too-large")
        asked = event.request
        if (identity.instance, identity.sop_class) != (asked.AffectedSOPInstanceUID, asked.AffectedSOPClassUID):
            return self._failed(WRONG_OBJECT, "uids-differ")
        if not identity.study:
            return self._failed(NOT_UNDERSTOOD, "no-study")
        if identity.manufacturer == MAKER:  # the archive routes our own secondary capture back
            return SUCCESS
        if shutil.disk_usage(self._queue.folder).free < RESERVE_BYTES + 2 * len(film):  # SQLite's log holds it too
            return self._failed(NO_ROOM, "disk")
        try:
            sha256 = hashlib.sha256(event.encoded_dataset(include_meta=False)).hexdigest()
            caller = event.assoc.requestor.ae_title
            taken = self._queue.receive(film, identity, sha256, caller, self._settings.settle)
        except sqlite3.Error as error:
            return self._failed(NO_ROOM, type(error).__name__)
        if taken == "other":
            return self._failed(DUPLICATE, "another-film-under-this-uid")
        log.info("received", extra={"fields": {"study": self._queue.pseudonyms.of(identity.study), "film": taken}})
        return SUCCESS

    def _failed(self, status: int, reason: str) -> int:
        log.warning("A film was not taken", extra={"fields": {"status": f"{status:04X}", "reason": reason}})
        return status


def _entity(settings: NodeSettings) -> AE:
    entity = AE(settings.ae_title)
    entity.require_called_aet = True
    entity.maximum_associations = settings.associations
    entity.maximum_pdu_size = settings.pdu
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.timeout
    entity.add_supported_context(VERIFICATION)
    for storage_class in FILM_CLASSES:
        entity.add_supported_context(storage_class, list(SYNTAXES))
    return entity


def server_tls(settings: NodeSettings) -> ssl.SSLContext | None:
    """Return the TLS of the receiver, or None. Raises SettingsError for a file that holds no certificate or key."""
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificates(context, settings)
    if settings.tls_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def load_certificates(context: ssl.SSLContext, settings: NodeSettings) -> None:
    """Load the certificates of the settings. Raises SettingsError."""
    try:
        if settings.tls_cert:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            "KNEEOA_NODE_TLS_CERT, KNEEOA_NODE_TLS_KEY or KNEEOA_NODE_TLS_CA can't be used"
            f" ({type(error).__name__}); give files in PEM."
        ) from None


def silence_libraries() -> None:
    """Keep pynetdicom from logging: its messages may repeat what a film's header holds."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
