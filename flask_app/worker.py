"""gunicorn's threaded worker, which waits for a client only so long: twenty-four that send nothing would else hold all threads."""

import errno
import socket
import time
from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.http.parser import Parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import TConn, ThreadWorker

GRACE_SECONDS = 20
SLOWEST = 50_000
"""Bytes a second: a request may take the grace and a second for every so many bytes."""
STATUSES = {
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}
"""Of what is wrong with a request; the rest of it is a bad request."""
SEND_SECONDS = 60
"""In which a client must have taken its answer."""


class PacedUnreader(SocketUnreader):
    """Reads one request at a time from a client that has to keep the pace."""

    def __init__(self, sock: socket.socket):
        super().__init__(sock)
        self.begin()

    def begin(self) -> None:
        """Another request starts."""
        self._began, self._received = time.monotonic(), 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """What comes next. Raises ConnectionResetError, which gunicorn takes as the client's going."""
        left = self._began + GRACE_SECONDS + self._received / SLOWEST - time.monotonic()
        try:
            self.sock.settimeout(max(left, 0.001))
            received = super().chunk(size_hint)  # pyright: ignore[reportCallIssue]  # its stubs are older
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client was too slow") from None
        finally:
            self.sock.settimeout(SEND_SECONDS)
        self._received += len(received)
        return received


class PacedConnection(TConn):
    """A client's connection that is read in pace."""

    def init(self) -> None:
        """Called in a thread before the first request is read."""
        fresh = not self.initialized
        super().init()
        if fresh and isinstance(self.parser, Parser):
            self.parser.unreader = PacedUnreader(self.sock)


class Worker(ThreadWorker):
    """Threads with paced connections."""

    def enqueue_req(self, conn: TConn) -> None:
        """A connection has something to read."""
        conn.__class__ = PacedConnection  # gunicorn has no setting for the kind of its connections
        if isinstance(conn.parser, Parser) and isinstance(conn.parser.unreader, PacedUnreader):
            conn.parser.unreader.begin()
        super().enqueue_req(conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """A request that is not HTTP, or an answer that failed. gunicorn's own repeats the request's words, in the log too."""
        bad = HTTPStatus.BAD_REQUEST if isinstance(exc, errors.ParseException) else HTTPStatus.INTERNAL_SERVER_ERROR
        status = STATUSES.get(type(exc), bad)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("A request failed", exc_info=exc)
        else:
            self.log.warning("A request could not be read (%s)", type(exc).__name__)
        text = f"{status.phrase}\n"
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        try:
            write_nonblock(client, f"{head}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n{text}".encode("ascii"))
        except OSError:
            self.log.debug("The client went before it was told.")


class Log(Logger):
    """gunicorn's own messages among the app's, in one form."""

    def setup(self, cfg: Config) -> None:
        """Called once a process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
