"""Listens for associations, so that silent, slow or numerous clients keep no other client from its place.

A TLS handshake runs in its connection's own thread. What a peer sends must arrive whole within a time: the handshake,
the request for an association, each PDU, and a film.
"""

import logging
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from .arrive import Messages
from .settings import Caller, NodeSettings

GREETING_SECONDS = 10
"""A TLS handshake, and then the request for an association, take no longer than this."""
FILM_TIMEOUTS = 10
"""An association that brings no film for ten times KNEEOA_NODE_TIMEOUT ends, whatever else it sends."""
IDLE_SECONDS = 5
"""An association that was silent for five seconds gives up its place when another one needs it."""
MOST_WAITING = 20
"""At most 20 connections wait for an association, half of them from one address. Others are closed at once."""
REQUEST_BYTES = 2**17
"""A request for an association has at most 128 kB. 128 presentation contexts of 25 transfer syntaxes have 90 kB."""
CHUNK_BYTES = 2**16
POLL_SECONDS = 0.1
"""The server looks at this interval whether it was stopped."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """Limits what a peer may ask of the node.

    Attributes:
        callers: The callers who may connect.
        associations: Most associations at a time.
        pdu_bytes: Largest PDU.
        timeout: Seconds within which a PDU comes whole.
        greeting: Seconds for a TLS handshake, and for the request for an association.
        film_bytes: Largest film.
        folder: The folder for films that come.
        tls: The TLS of the node, or None.
    """

    callers: Sequence[Caller]
    associations: int
    pdu_bytes: int
    timeout: float
    greeting: float
    film_bytes: int
    folder: Path
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, settings: NodeSettings, film_bytes: int, tls: ssl.SSLContext | None) -> "Bounds":
        """Return the bounds that the settings ask for. If they set no limit, a PDU may hold a whole film.

        Args:
            settings: The settings of the node.
            film_bytes: Most bytes of a film.
            tls: The server's context for TLS; None for plain TCP.
        """
        return cls(
            callers=settings.allowed,
            associations=settings.associations,
            pdu_bytes=max(settings.pdu or film_bytes, REQUEST_BYTES),
            timeout=settings.timeout,
            greeting=min(settings.timeout, GREETING_SECONDS),
            film_bytes=film_bytes,
            folder=Path(settings.folder),
            tls=tls,
        )


class Connection(AssociationSocket):
    """Handles the connection of an association."""

    def __init__(self, association: Association, accepted: socket.socket, bounds: Bounds):
        super().__init__(association, client_socket=accepted)
        self._bounds, self._serving, self._ended = bounds, False, False
        self._active_at = self._film_at = time.monotonic()

    @property
    def holds_place(self) -> bool:
        """Whether its association goes on."""
        one = self.assoc
        return one.is_alive() and not (self._ended or one.is_released or one.is_aborted or one.is_rejected)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the peer sent something or got an answer; 0 while a film is put into the queue."""
        return 0 if self._serving else time.monotonic() - self._active_at

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Count the association as busy while the block runs, and as one that has brought a film."""
        self._serving = True
        try:
            yield
        finally:
            self._active_at = self._film_at = time.monotonic()
            self._serving = False

    def end(self) -> None:
        """End the association, so that its place is free."""
        self._ended = True
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many bytes, or fewer if the peer has closed the connection.

        Raises:
            OSError: They are too many, they do not come in time, or no film has come for too long. pynetdicom then
                closes the connection.
        """
        accepted, bounds, now = self.socket, self._bounds, time.monotonic()
        if accepted is None or nr_bytes > bounds.pdu_bytes:
            raise OSError("the PDU is too large")
        if now - self._film_at > FILM_TIMEOUTS * bounds.timeout:
            raise TimeoutError("no film has come")
        until = now + (bounds.timeout if self.assoc.is_established else bounds.greeting)
        received = bytearray()
        while len(received) < nr_bytes:
            accepted.settimeout(max(0.001, until - time.monotonic()))
            part = accepted.recv(min(CHUNK_BYTES, nr_bytes - len(received)))
            if not part:
                break
            received += part
        self._active_at = time.monotonic()
        return received

    def send(self, bytestream: bytes) -> None:
        """Send bytes. A peer that does not read them for too long loses the connection."""
        if self.socket:
            self.socket.settimeout(self._bounds.timeout)
        super().send(bytestream)
        self._active_at = time.monotonic()


class Listener(ThreadedAssociationServer):
    """Serves associations. A connection from an unlisted address is closed before anything is read from it."""

    daemon_threads = True
    request_queue_size = 64  # pynetdicom's 5 make a burst of callers wait for a second

    def __init__(self, entity: ApplicationEntity, *arguments: Any, bounds: Bounds, **options: Any):
        self.bounds: Bounds = bounds
        self._starting = Counter[str]()
        self._placed: list[Connection] = []
        self._lock_of_places = threading.Lock()
        super().__init__(entity, *arguments, request_handler=_Handler, **options)

    def start(self) -> None:
        """Serve in a thread of its own until `shutdown`."""
        self.ae._servers.append(self)  # `shutdown` takes it out
        threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), name="node-listener", daemon=True).start()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection may go on."""
        address = client_address[0]
        if not any(caller.covers(address) for caller in self.bounds.callers):
            return self._closed(address, "the address is not listed")
        with self._lock_of_places:
            placed = {one.assoc for one in self._placed}
            waiting = self._starting.copy()
        waiting.update(one.requestor.address for one in self.active_associations if one not in placed)
        if waiting.total() >= MOST_WAITING or waiting[address] >= MOST_WAITING // 2:
            return self._closed(address, "too many connections wait")
        return True

    def give_place(self, association: Association) -> bool:
        """Return whether an association gets a place. If all are taken, an idle one gives up its place."""
        connection: Any = association.dul.socket
        with self._lock_of_places:
            self._placed = [one for one in self._placed if one.holds_place]
            if len(self._placed) >= self.bounds.associations:
                longest = max(self._placed, key=lambda one: one.idle_seconds)
                if longest.idle_seconds < IDLE_SECONDS:
                    return False
                self._placed.remove(longest)
                longest.end()
            self._placed.append(connection)
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection."""
        with self._lock_of_places:
            self._starting[client_address[0]] += 1
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._started(client_address)
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, in the thread of the connection, and start its association."""
        try:
            request.settimeout(self.bounds.greeting)
            if self.bounds.tls:
                request = self.bounds.tls.wrap_socket(request, server_side=True)  # the timeout holds for all of it
        finally:
            self._started(client_address)  # before its association counts, so that a burst is not counted twice
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection did not come about, without the traceback that socketserver prints."""
        self._closed(client_address[0], type(sys.exception()).__name__)

    def _started(self, client_address: Any) -> None:
        with self._lock_of_places:
            self._starting -= Counter({client_address[0]: 1})

    def _closed(self, address: str, reason: str) -> bool:
        log.warning("A connection was closed", extra={"fields": {"address": address, "reason": reason}})
        return False


class _Handler(RequestHandler):
    def _create_association(self) -> Association:
        association, bounds = super()._create_association(), cast(Listener, self.server).bounds
        association.acse_timeout = bounds.greeting
        association.dul.event_queue.get()  # the one of the socket that ours replaces; ours announces itself too
        association.dul.socket = None
        association.set_socket(Connection(association, self.request, bounds))
        association.dimse = Messages(association, bounds.folder, bounds.film_bytes)
        return association
