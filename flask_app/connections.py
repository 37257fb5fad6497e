"""Bounds the connections of the server: heads and responses that come or go slowly, too many of them, and their end.

uvicorn reads each connection in one event loop, so that a silent client costs no thread. It sets no limit on the time
and size of a head, nor on the time that a client takes to read its response; this module adds them.
"""

import asyncio
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10
"""The head of a request must arrive within ten seconds."""
HEAD_BYTES = 32 * 1024
"""The head of a request may have 32 kB."""
LENGTH_DIGITS = 19
"""A Content-Length may have 19 digits, as many as a file's size. Python reads none of thousands."""
PIECE_BYTES = 16 * 1024
"""The server parses 16 kB at a time. It takes a body of known length as far as it arrived in one piece, since uvicorn
joins the pieces of a body, and copies all before for each one."""
SEND_SECONDS = 60
"""A client must read its response within a minute."""
LINGER_SECONDS = 2
"""A closed connection is kept for two seconds, so that its client can read the last response (RFC 9112, 9.6)."""
LINGER_BYTES = 8 * 2**20
"""The server reads and drops 8 MB meanwhile, since a reset would take the response from the client."""
MOST_CONNECTIONS = 500
"""At 500 connections, a new one replaces the one that has waited longest without a request under way."""
REFUSAL = (
    "HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n{phrase}\n"
)


class LingeringTransport:
    """Lets the client read the last response before the connection closes."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop):
        self._transport, self._loop = transport, loop
        self._closed_at: float | None = None
        self._dropped = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data, or drop it after the close."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection is closed or lingers."""
        return self._closed_at is not None or self._transport.is_closing()

    def close(self) -> None:
        """Send what is buffered and the end of the stream, and go on reading for a moment."""
        if self.is_closing():
            return
        self._closed_at = self._loop.time()
        self._transport.resume_reading()
        self._transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self._end)

    def drop(self, data: bytes) -> None:
        """Count what a client still sends after the close, and end the connection when it is too much."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self._transport.abort()

    def _end(self) -> None:
        late = self._loop.time() - (self._closed_at or 0) >= SEND_SECONDS
        if late or not self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._loop.call_later(LINGER_SECONDS, self._end)


class Connection(HttpToolsProtocol):
    """Handles one client's connection."""

    transport: LingeringTransport  # pyright: ignore[reportIncompatibleVariableOverride]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        self.since = self.loop.time()
        others = cast("set[Connection]", self.connections)
        if len(others) >= MOST_CONNECTIONS and (idle := [other for other in others if other.idle]):
            min(idle, key=lambda other: other.since).transport.abort()
        self._held, self._in_head, self._head_bytes, self._of_body = b"", True, 0, 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        super().connection_made(cast(asyncio.Transport, LingeringTransport(transport, self.loop)))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._head_arrived()
        self.resume_writing()
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request is under way: its head has not arrived, or its response has gone."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.transport.is_closing():
            self.transport.drop(data)
            return
        self._held += data
        self._parse()

    def on_response_complete(self) -> None:
        """Begin with the next request that has arrived already."""
        super().on_response_complete()
        self._parse()

    def _parse(self) -> None:
        """Parse piece by piece as long as no further request waits, so that a client cannot queue thousands of them."""
        while self._held and not self.pipeline and not self.transport.is_closing():
            size = max(PIECE_BYTES, self._of_body)
            piece, self._held = self._held[:size], self._held[size:]
            self._head_bytes += len(piece) * self._in_head
            super().data_received(piece)
            if self._in_head and self._head_bytes >= HEAD_BYTES and not self.transport.is_closing():
                self.logger.warning("The head of a request is too large.")
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self.transport.is_closing():
            self._held = b""
        elif self._held:
            self.flow.pause_reading()
        elif self.idle and self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        self._in_head = False
        self._head_arrived()
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("a request names two hosts")
        lengths = [value for name, value in self.headers if name == b"content-length"]
        if any(len(value) > LENGTH_DIGITS for value in lengths):
            raise ValueError("a length that no number holds")
        self._of_body = int(lengths[0]) if lengths else 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what has not arrived yet of a body of known length."""
        self._of_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to read the next head."""
        self._in_head, self._head_bytes, self.since = True, 0, self.loop.time()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, without a word of it."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def pause_writing(self) -> None:
        """Give a client that reads more slowly than the server writes a time to read on."""
        self._send_timer = self._send_timer or self.loop.call_later(SEND_SECONDS, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on with a client that has read on."""
        if self._send_timer:
            self._send_timer.cancel()
        self._send_timer = None
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
        self._head_timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        text = REFUSAL.format(status=status.value, phrase=status.phrase, length=len(status.phrase) + 1)
        self.transport.write(text.encode("ascii"))
        self.transport.close()
