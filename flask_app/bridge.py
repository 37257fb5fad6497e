"""Lets an ASGI server call the WSGI app, with a thread for each request whose head is complete.

Requests without a body, such as pages, have threads of their own, and questions of health others again. So bodies that
stall hold up other bodies alone, and neither they nor pages that are long to make hide that the process lives.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from wsgiref.types import WSGIEnvironment

from .problems import problem
from .turns import Busy

BODY_THREADS = 24
"""Requests with a body share 24 threads. Most of them wait for their turn to be graded."""
LIGHT_THREADS = 8
"""Requests without a body share eight threads."""
PROBE_THREADS = 2
PROBES = ("/health/", "/metrics")
"""An orchestrator asks these paths."""
MOST_BODIES = 100
"""At most a hundred requests with a body have a thread or wait for one. Further ones get 503."""
SILENCE_SECONDS = 5
"""More of a body must arrive within five seconds."""
GRACE_SECONDS = 20
SLOWEST = 50_000
"""The server waits for a body GRACE_SECONDS and, in addition, a second for every 50,000 bytes."""
BODY_SECONDS = 120
"""The server waits for a body at most two minutes, whatever its pace."""

GATHERED_BYTES = 512 * 1024
"""The loop gathers 512 kB of a body before it hands them to the thread. To wake a thread for each piece that arrives
would take longer than to read a film of ten megabytes."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App(Protocol):
    """Describes a WSGI app that a server can tell of a stop, and of requests that it turned away."""

    def __call__(self, environ: WSGIEnvironment, start_response: Any) -> Any: ...
    def stop(self) -> None: ...
    def count_turned_away(self) -> None: ...


@dataclass
class Response:
    """Holds the response of the app: the status, the headers as ASGI has them, and the body."""

    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = b""


class PacedBody:
    """Reads the body of a request in a thread, from a client that has to keep the pace.

    Attributes:
        complete: Whether the whole body has arrived.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop, complete: bool):
        self._receive, self._loop, self.complete = receive, loop, complete
        self._rest = memoryview(b"")
        self._waited, self._received = 0.0, 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or b"" at the end. Raises ConnectionResetError when the client went or dawdles."""
        while not self._rest and not self.complete:
            self._fetch()
        size = len(self._rest) if size < 0 else size
        content, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return content

    def _fetch(self) -> None:
        began, pieces = time.monotonic(), list[bytes]()
        waiting = asyncio.run_coroutine_threadsafe(self._gather(pieces), self._loop)
        while True:
            arrived = len(pieces)
            allowed = min(GRACE_SECONDS + (self._received + sum(map(len, pieces))) / SLOWEST, BODY_SECONDS)
            left = allowed - self._waited - (time.monotonic() - began)
            try:
                self.complete = waiting.result(max(min(left, SILENCE_SECONDS), 0.001))
                break
            except OutOfTime:
                if left <= SILENCE_SECONDS or len(pieces) == arrived:
                    waiting.cancel()
                    raise ConnectionResetError("the client was too slow") from None
        self._waited += time.monotonic() - began
        self._rest = memoryview(b"".join(pieces))
        self._received += len(self._rest)

    async def _gather(self, pieces: list[bytes]) -> bool:
        """Add to `pieces` what arrives until it is enough for the thread. Return whether the body has ended."""
        size = 0
        while size < GATHERED_BYTES:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went")
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if not message.get("more_body", False):
                return True
        return False


class Bridge:
    """Calls a WSGI app from an ASGI server."""

    def __init__(self, app: App):
        self.app = app
        self._with_body = 0  # requests under way
        self._heavy = ThreadPoolExecutor(BODY_THREADS, "body")
        self._light = ThreadPoolExecutor(LIGHT_THREADS, "light")
        self._probes = ThreadPoolExecutor(PROBE_THREADS, "probe")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        has_body = any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
            for name, value in scope["headers"]
        )
        if has_body and self._with_body >= MOST_BODIES:
            self.app.count_turned_away()
            await _send(_busy(), send, close=True)
            return
        loop = asyncio.get_running_loop()
        body = PacedBody(receive, loop, complete=not has_body)
        pool = self._heavy if has_body else self._probes if scope["path"].startswith(PROBES) else self._light
        self._with_body += has_body
        try:
            response = await loop.run_in_executor(pool, partial(_call, self.app, environ(scope, body)))
        finally:
            self._with_body -= has_body
        await _send(response, send, close=not body.complete)


def environ(scope: Message, body: PacedBody) -> WSGIEnvironment:
    """Return the environment of PEP 3333 for a request.

    Headers with an underscore are left out: a client could forge one that a proxy sets, under a name that WSGI cannot
    tell from it.
    """
    host, port = scope["server"] or ("localhost", 80)
    client = scope["client"] or ("", 0)
    found: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
        text = value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def _call(app: App, environ: WSGIEnvironment) -> Response:
    """Run the app in this thread, to the end of its response."""
    response = Response()
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
        response.status = int(status.split(" ", 1)[0])
        response.headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return written.append

    parts = app(environ, start)
    try:
        response.content = b"".join((*written, *parts))
    finally:
        if close := getattr(parts, "close", None):
            close()
    return response


async def _send(response: Response, send: Send, close: bool) -> None:
    headers = [*response.headers, *([(b"connection", b"close")] if close else [])]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


def _busy() -> Response:
    error = Busy("Too many films are on their way")
    content = json.dumps(problem(error)).encode()
    headers = {
        "content-type": "application/problem+json",
        "content-length": str(len(content)),
        "retry-after": str(error.retry_after),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(error.status, tuple((name.encode(), value.encode()) for name, value in headers.items()), content)
