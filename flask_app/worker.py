"""gunicorn's threaded worker, made so that no client that is slow or idle keeps others waiting.

Heads are read, and closed connections seen off, by the main loop; a thread is taken only by a request that is
understood to its body. Requests without a body, such as pages, have threads of their own, and questions of health
others again, so that bodies that stall hold up other bodies alone, and neither them nor pages that are long to make
hides that the process lives.
"""

import errno
import json
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.http.parser import Parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import TConn, ThreadWorker

from .problems import problem
from .queue import Busy
from .watch import log_as_json

HEAD_SECONDS = 10
"""In which a request's head must have come, or the first byte of it."""
HEAD_BYTES = 65536
HEAD_END = b"\r\n\r\n"
HAS_BODY = re.compile(rb"^(content-length[ \t]*:[ \t]*0*[1-9]|transfer-encoding)", re.IGNORECASE | re.MULTILINE)
SILENCE_SECONDS = 5
"""In which more of a body must have come."""
GRACE_SECONDS = 20
SLOWEST = 50_000
"""Bytes a second: a body may take the grace and a second for every so many bytes of it."""
BODY_SECONDS = 120
"""For a body, whatever its pace."""
SEND_SECONDS = 60
"""In which a client must have taken its answer."""
LINGER_SECONDS = 2
"""For which a connection that was closed is kept, for its client to read the last answer (RFC 9112, 9.6)."""
LINGER_BYTES = 8 * 2**20
"""Of what it still sends meanwhile."""
MOST_LINGERING = 128
LIGHT_THREADS = 8
"""Of requests without a body."""
PROBE_THREADS = 2
PROBE = re.compile(rb"(GET|HEAD) (/health/|/metrics)")
"""What an orchestrator asks."""
MOST_BODIES = 100
"""Requests with a body that have a thread or wait for one; more are told to come back."""
STATUSES = {
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Of what is wrong with a request; the rest of it is a bad request, and what fails for no reason of these is the
server's fault."""


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
        left = self._began + min(GRACE_SECONDS + self._received / SLOWEST, BODY_SECONDS) - time.monotonic()
        try:
            self.sock.settimeout(max(min(left, SILENCE_SECONDS), 0.001))
            received = super().chunk(size_hint)  # pyright: ignore[reportCallIssue]  # its stubs are older
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client was too slow") from None
        finally:
            self.sock.settimeout(SEND_SECONDS)
        self._received += len(received)
        return received


class PacedConnection(TConn):
    """A client's connection whose heads the main loop reads, and whose bodies are read in pace.

    head: what has come of the next request. due: until when the rest must. linger: takes the socket when the last
    answer was sent.
    """

    head: bytearray
    due: float
    linger: Callable[[socket.socket], None]

    def init(self) -> None:
        """Called in a thread before each request is read."""
        fresh = not self.initialized
        super().init()
        self.sock.settimeout(SEND_SECONDS)  # for an answer whose request brought no body to wait for, too
        if not isinstance(self.parser, Parser):
            return
        if fresh:
            self.parser.unreader = PacedUnreader(self.sock)
        if isinstance(self.parser.unreader, PacedUnreader):
            self.parser.unreader.begin()
            self.parser.unreader.unread(bytes(self.head))
            self.head.clear()

    def close(self, graceful: bool = False) -> None:
        """gunicorn's own lingers in the main loop, where all others wait for it."""
        if graceful:
            self.linger(self.sock)
        else:
            super().close()


class Worker(ThreadWorker):
    """Threads for what was read; a main loop that never waits for one client."""

    def init_process(self) -> None:
        """Called once in the new process; runs it."""
        self._heads: dict[PacedConnection, None] = {}  # in the order in which they are due
        self._lingering: dict[socket.socket, float] = {}  # until when, in that order
        self._read_since: dict[socket.socket, int] = {}  # bytes, of each that lingers
        self._bodies = 0  # requests with a body, begun or waiting for a thread
        self._light = ThreadPoolExecutor(LIGHT_THREADS, "light")
        self._probes = ThreadPoolExecutor(PROBE_THREADS, "probe")
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A stop: who waits to be graded is told to come back, and who is being graded is answered."""
        super().handle_exit(sig, frame)
        self.method_queue.defer(self._stop)

    def _stop(self) -> None:
        for conn in self._heads:
            conn.due = min(conn.due, time.monotonic() + LINGER_SECONDS)
        if stop := getattr(self.wsgi, "stop", None):
            stop()

    def accept(self, listener: Any) -> None:
        """A new connection.

        One that was answered makes room for it, or the one that has waited longest for its head.
        """
        while self.nr_conns >= self.worker_connections - 1 and (self._lingering or self._heads):
            if self._lingering:
                self._let_go(next(iter(self._lingering)))
            else:
                self._drop(next(iter(self._heads)))
        super().accept(listener)

    def enqueue_req(self, conn: TConn) -> None:
        """A connection that is new, or has something to read again."""
        conn.__class__ = PacedConnection  # gunicorn has no setting for the kind of its connections
        assert isinstance(conn, PacedConnection)
        ahead = conn.parser.unreader.take_buffered() if isinstance(conn.parser, Parser) else b""  # pyright: ignore[reportAttributeAccessIssue]  # its stubs are older
        conn.head, conn.due, conn.linger = bytearray(ahead), time.monotonic() + HEAD_SECONDS, self._linger
        if self.cfg.is_ssl:  # the head is read by gunicorn then, in a thread
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        self._heads[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._read_head, conn))
        if not self._went_on(conn):
            self._read_head(conn, conn.sock)

    def _read_head(self, conn: PacedConnection, _: Any) -> None:
        """Called by the poller when something has come."""
        if conn not in self._heads:  # dropped by another event of the same moment
            return
        try:
            received = conn.sock.recv(HEAD_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(conn)
            return
        conn.head += received
        if not self._went_on(conn) and not received:
            self._drop(conn)

    def _went_on(self, conn: PacedConnection) -> bool:
        """Whether the head is whole, or never will be, and was handed on."""
        end = conn.head.find(HEAD_END)
        if end < 0 and len(conn.head) > HEAD_BYTES:
            self._turn_away(conn, errors.LimitRequestHeaders("head"))
        elif end >= 0:
            self._hand_on(conn, has_body=bool(HAS_BODY.search(conn.head, 0, end)))
        else:
            return False
        return True

    def _hand_on(self, conn: PacedConnection, has_body: bool) -> None:
        """To a thread."""
        if has_body and self._bodies >= MOST_BODIES:
            self._turn_away(conn, Busy("Too many films are on their way"))
            return
        self._forget(conn)
        self._bodies += has_body
        conn.data_ready = True
        pool = self.tpool if has_body else self._probes if PROBE.match(conn.head) else self._light
        assert pool
        pool.submit(self.handle, conn).add_done_callback(partial(self._handled, conn, has_body))

    def _handled(self, conn: PacedConnection, had_body: bool, done: Future[Any]) -> None:
        self.method_queue.defer(self._finish, conn, had_body, done)

    def _finish(self, conn: PacedConnection, had_body: bool, done: Future[Any]) -> None:
        self._bodies -= had_body
        self.finish_request(conn, done)

    def _turn_away(self, conn: PacedConnection, error: Exception) -> None:
        self._forget(conn)
        if isinstance(error, Busy) and (count := getattr(self.wsgi, "count_turned_away", None)):
            count()
        self.handle_error(None, conn.sock, conn.client, error)
        self.nr_conns -= 1
        conn.close(graceful=True)

    def murder_pending(self) -> None:
        """Called every second and after each event: closes what is due."""
        super().murder_pending()
        now = time.monotonic()
        while self._heads and (first := next(iter(self._heads))).due <= now:
            self._drop(first)
        while self._lingering and self._lingering[sock := next(iter(self._lingering))] <= now:
            self._let_go(sock)

    def _forget(self, conn: PacedConnection) -> None:
        del self._heads[conn]
        self.poller.unregister(conn.sock)

    def _drop(self, conn: PacedConnection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _linger(self, sock: socket.socket) -> None:
        """Tell the client that no more comes, and read what it still sends for a moment: a reset would take the answer
        from it.
        """
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, EVENT_READ, self._read_on)
        except OSError:
            sock.close()
            return
        self._lingering[sock], self._read_since[sock] = time.monotonic() + LINGER_SECONDS, 0
        self.nr_conns += 1  # a stop waits for it, too
        if len(self._lingering) > MOST_LINGERING:
            self._let_go(next(iter(self._lingering)))

    def _read_on(self, sock: socket.socket) -> None:
        if sock not in self._lingering:
            return
        try:
            more = len(sock.recv(HEAD_BYTES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            more = 0
        self._read_since[sock] += more
        if not more or self._read_since[sock] > LINGER_BYTES:
            self._let_go(sock)

    def _let_go(self, sock: socket.socket) -> None:
        del self._lingering[sock], self._read_since[sock]
        self.poller.unregister(sock)
        self.nr_conns -= 1
        sock.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """A request that is not HTTP, or has no place, or an answer that failed.

        gunicorn's own repeats the request's words, in the log too.
        """
        bad = HTTPStatus.BAD_REQUEST if isinstance(exc, errors.ParseException) else HTTPStatus.INTERNAL_SERVER_ERROR
        status = STATUSES.get(type(exc), bad)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("A request failed", exc_info=exc)
        else:
            self.log.warning("A request could not be taken (%s)", type(exc).__name__)
        kind, text = "text/plain", f"{status.phrase}\n"
        if isinstance(exc, Busy):
            kind, text = f"application/problem+json\r\nRetry-After: {exc.retry_after}", json.dumps(problem(exc))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length:"
            f" {len(text)}\r\n"
        )
        try:
            write_nonblock(
                client,
                f"{head}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n{text}".encode("ascii"),
            )
        except OSError:
            self.log.debug("The client went before it was told.")


class Log(Logger):
    """gunicorn's own messages among the app's, in one form, also where gunicorn was started by its own command."""

    def setup(self, cfg: Config) -> None:
        """Called once a process."""
        super().setup(cfg)
        log_as_json()
        self.error_log.handlers.clear()
        self.error_log.propagate = True
