"""Bounds the memory of the bodies under way: beyond a limit all but the oldest wait, and none may dawdle."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import ClientDisconnected

from .metrics import Metrics
from .turns import Busy, Stopping

ROOM = 16 * 2**20
"""Bodies may take 16 MB together before others wait. The oldest comes in whatever its size, so that none waits in vain
for the end of another."""
SMALL = 2 * 2**20
"""A body that states a length of at most 2 MB never waits: large films hold up each other alone."""
PATIENCE_SECONDS = 20
"""A body waits 20 seconds for room; then its request gets 503."""
STOP_SECONDS = 20
"""After a stop, bodies that still arrive have 20 seconds; then they get 503 while the server still answers."""
BRISK = 500_000
"""While others wait for its end, a body must arrive at 500,000 bytes a second."""
LOOK_SECONDS = 3
"""The pace of a body is its mean over three seconds."""


@dataclass(eq=False)
class Pace:
    """Measures how fast a body arrives.

    Attributes:
        received: Its bytes so far.
        lately: Its bytes since the last look.
        seconds: The time that it took to read those.
    """

    received: int = 0
    lately: int = 0
    seconds: float = 0.0


class Bodies:
    """Holds back bodies for a WSGI application. `room` and `patience` are ROOM and PATIENCE_SECONDS by default."""

    def __init__(self, app: WSGIApplication, metrics: Metrics, room: int = ROOM, patience: float = PATIENCE_SECONDS):
        self._app, self._metrics, self._room, self._patience = app, metrics, room, patience
        self._changed = threading.Condition()
        self._bodies: dict[CountedBody, Pace] = {}  # in the order of their first reading
        self._waiting = 0
        self._stopped: float | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = str(environ.get("CONTENT_LENGTH") or "")
        body = CountedBody(environ["wsgi.input"], self, small=length.isdecimal() and int(length) <= SMALL)
        try:
            return self._app(environ | {"wsgi.input": body}, start_response)
        finally:
            with self._changed:
                self._bodies.pop(body, None)
                self._changed.notify_all()

    def stop(self) -> None:
        """Turn away the bodies that wait, and soon those that still arrive."""
        with self._changed:
            self._stopped = time.monotonic()
            self._changed.notify_all()

    def admit(self, body: "CountedBody") -> None:
        """Return when more of the body may arrive. Raises Busy when that takes too long, also after a stop."""
        with self._changed:
            self._bodies.setdefault(body, Pace())
            if self._stopped is not None and time.monotonic() > self._stopped + STOP_SECONDS:
                raise Stopping
            if body.small or self._may_come(body):
                return
            self._waiting += 1
            try:
                came = self._changed.wait_for(lambda: self._stopped is not None or self._may_come(body), self._patience)
            finally:
                self._waiting -= 1
            if self._stopped is not None and not self._may_come(body):
                raise Stopping
            if not came:
                self._turn_away()

    def hold(self, body: "CountedBody", size: int, seconds: float) -> None:
        """Count bytes that a body has received.

        Args:
            body: The body.
            size: Bytes that arrived.
            seconds: Time that they took.

        Raises:
            Busy: The body is slow, and others wait for its end.
        """
        with self._changed:
            pace = self._bodies[body]
            pace.received += size
            pace.lately += size
            pace.seconds += seconds
            if pace.seconds >= LOOK_SECONDS:
                if self._waiting and pace.lately < BRISK * pace.seconds:
                    self._turn_away()
                pace.lately, pace.seconds = 0, 0.0

    def _may_come(self, body: "CountedBody") -> bool:
        return body is next(iter(self._bodies)) or sum(pace.received for pace in self._bodies.values()) < self._room

    def _turn_away(self) -> None:
        self._metrics.turned_away.inc()
        raise Busy


class CountedBody:
    """Counts what was read of a request's body. Werkzeug calls no other method."""

    def __init__(self, stream: IO[bytes], bodies: Bodies, small: bool):
        self._stream, self._bodies, self.small = stream, bodies, small

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises Busy, or ClientDisconnected when the rest will not arrive."""
        self._bodies.admit(self)
        began = time.monotonic()
        try:
            content = self._stream.read(size)
        except OSError as error:  # the body is not HTTP, or its sender dawdles or has gone
            raise ClientDisconnected from error
        self._bodies.hold(self, len(content), time.monotonic() - began)
        return content
