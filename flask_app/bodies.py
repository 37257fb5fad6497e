"""The bodies of the requests under way: memory holds so much of them at a time, and whoever sends more is told to come back."""

import threading
from collections.abc import Iterable
from typing import IO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from .queue import Busy
from .watch import Figures


class Bodies:
    """A WSGI application before another. most: bytes that have come of all its requests together."""

    def __init__(self, app: WSGIApplication, most: int, figures: Figures):
        self._app, self._most, self._figures = app, most, figures
        self._lock = threading.Lock()
        self._held = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = CountedBody(environ["wsgi.input"], self)
        try:
            return self._app(environ | {"wsgi.input": body}, start_response)
        finally:
            self.let_go(body.received)

    def hold(self, size: int) -> None:
        """So many bytes have come. Raises Busy."""
        with self._lock:
            if self._held + size > self._most:
                self._figures.turned_away.inc()
                raise Busy
            self._held += size

    def let_go(self, size: int) -> None:
        """So many bytes are not needed any more."""
        with self._lock:
            self._held -= size


class CountedBody:
    """A request's body that counts what was read of it; Werkzeug calls nothing else."""

    def __init__(self, stream: IO[bytes], bodies: Bodies):
        self._stream, self._bodies = stream, bodies
        self.received = 0

    def read(self, size: int = -1) -> bytes:
        """Raises Busy."""
        content = self._stream.read(size)
        self._bodies.hold(len(content))
        self.received += len(content)
        return content
