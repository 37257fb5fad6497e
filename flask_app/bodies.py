"""The bodies of the requests under way: when memory holds enough of them, all but the eldest wait to come in, and none
may dawdle.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import ClientDisconnected

from .figures import Figures
from .queue import Busy, Stopping

ROOM = 16 * 2**20
"""Bytes that bodies take together before others wait; the eldest comes in whatever its size, so that none waits for
another's end in vain."""
SMALL = 2 * 2**20
"""A body that says it has no more never waits: those who send large films hold up each other alone."""
PATIENCE_SECONDS = 20
"""After which who waits is told to come back."""
STOP_SECONDS = 20
"""After a stop, for bodies that still come; then they are told to come back, while the server still answers."""
BRISK = 500_000
"""Bytes a second in which a body must come while others wait for its end."""
LOOK_SECONDS = 3
"""Over which that is reckoned."""


@dataclass(eq=False)
class Pace:
    """received: bytes of a body.

    lately, seconds: bytes that came since the last look, and the time that it took to read them.
    """

    received: int = 0
    lately: int = 0
    seconds: float = 0.0


class Bodies:
    """A WSGI application before another. room, patience: see ROOM and PATIENCE_SECONDS."""

    def __init__(self, app: WSGIApplication, figures: Figures, room: int = ROOM, patience: float = PATIENCE_SECONDS):
        self._app, self._figures, self._room, self._patience = app, figures, room, patience
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
        """The server is being stopped: who waits is told, and soon who still sends."""
        with self._changed:
            self._stopped = time.monotonic()
            self._changed.notify_all()

    def admit(self, body: "CountedBody") -> None:
        """Returns when more of the body may come.

        Raises Busy when that takes too long, or has taken too long at a stop.
        """
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
        """So many bytes of it have come, in so many seconds.

        Raises Busy when it keeps others waiting by its slowness.
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
        self._figures.turned_away.inc()
        raise Busy


class CountedBody:
    """A request's body that counts what was read of it; Werkzeug calls nothing else."""

    def __init__(self, stream: IO[bytes], bodies: Bodies, small: bool):
        self._stream, self._bodies, self.small = stream, bodies, small

    def read(self, size: int = -1) -> bytes:
        """Raises Busy."""
        self._bodies.admit(self)
        began = time.monotonic()
        try:
            content = self._stream.read(size)
        except Exception as error:  # of the server's own kinds, for a body that is not HTTP or whose sender has gone
            raise ClientDisconnected from error
        self._bodies.hold(self, len(content), time.monotonic() - began)
        return content
