"""Bounds the JSON of a request. Gradio parses any of it, and a list takes twenty times the bytes of its text."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException

UPLOADS = "/upload"
"""End of the path to which Gradio's form sends files; it bounds these itself."""
MARKS = b"[{,"
"""What begins each value of a list or an object."""
MOST_MARKS = 100_000
"""Most of these in a body: some ten megabytes of memory. A request has a few dozen."""
OVERHEAD_BYTES = 256 * 1024
"""Bytes of a body beside the film that it may hold as text."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class SmallBodies:
    """An ASGI application in front of Gradio's.

    Args:
        app: Gradio's application.
        max_bytes: Most bytes of a film, which a program may send as text of base 64.
    """

    def __init__(self, app: App, max_bytes: int):
        self._app, self._most = app, max_bytes * 4 // 3 + OVERHEAD_BYTES

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on. Its application gets a 413 to raise in place of what exceeds the bounds."""
        if scope["type"] != "http" or scope["path"].endswith(UPLOADS):
            await self._app(scope, receive, send)
            return
        bytes_left, marks_left = self._most, MOST_MARKS

        async def bounded() -> dict[str, Any]:
            nonlocal bytes_left, marks_left
            message = await receive()
            body = message.get("body", b"")
            bytes_left -= len(body)
            marks_left -= sum(map(body.count, MARKS))
            if min(bytes_left, marks_left) < 0:
                raise HTTPException(413, "The request is too large; send the film as a file.")
            return message

        await self._app(scope, bounded, send)
