"""gunicorn's threaded worker, which waits for a client only so long: twenty-four that send nothing would else hold all threads."""

import errno
import socket
import time

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.parser import Parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

GRACE_SECONDS = 20
SLOWEST = 50_000
"""Bytes a second: a request may take the grace and a second for every so many bytes."""
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


class Log(Logger):
    """gunicorn's own messages among the app's, in one form."""

    def setup(self, cfg: Config) -> None:
        """Called once a process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
