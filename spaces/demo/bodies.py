"""Bounds the bodies of requests.

Gradio parses any JSON, whose lists take twenty times the bytes of their text. It keeps a field of a form in memory
whatever its length, and takes a thousand files at once.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gradio import route_utils
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

UPLOADS = "/upload"
"""Gradio's form sends files to a path that ends so. It bounds the size of each itself."""
FIELD_BYTES = 64 * 1024
"""A field of a form that is no file has at most 64 kB."""
MARKS = b"[{,"
"""Each value of a list or an object begins with one of these."""
MOST_MARKS = 100_000
"""A body has at most 100,000 of these, for about ten megabytes of memory. A request has a few dozen."""
OVERHEAD_BYTES = 256 * 1024
"""A body has at most 256 kB beside the film that it may hold as text."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class SmallBodies:
    """Bounds bodies, as an ASGI application in front of Gradio's.

    Args:
        app: Gradio's application.
        max_bytes: Most bytes of a film, which a program may send as text of base 64.
        max_films: Most films of an upload.
    """

    def __init__(self, app: App, max_bytes: int, max_films: int):
        self._app, self._most = app, max_bytes * 4 // 3 + OVERHEAD_BYTES
        self._most_upload = max_bytes * max_films + OVERHEAD_BYTES

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on. Its application gets a 413 to raise in place of what exceeds the bounds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = scope["path"].endswith(UPLOADS)
        bytes_left, marks_left = self._most_upload if upload else self._most, MOST_MARKS

        async def bounded() -> dict[str, Any]:
            nonlocal bytes_left, marks_left
            message = await receive()
            body = message.get("body", b"")
            bytes_left -= len(body)
            marks_left -= 0 if upload else sum(map(body.count, MARKS))
            if min(bytes_left, marks_left) < 0:
                raise HTTPException(413, "The request is too large; send the film as a file.")
            return message

        await self._app(scope, bounded, send)


class SmallFields(route_utils.GradioMultiPartParser):
    """Parses forms as Gradio does, with a bound on fields that are no files."""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a part.

        Args:
            data: The bytes that hold it.
            start: The offset at which it begins.
            end: The offset at which it ends.

        Raises:
            MultiPartException: The part is a field of over FIELD_BYTES.
        """
        super().on_part_data(data, start, end)
        if self._current_part.file is None and len(self._current_part.data) > FIELD_BYTES:
            raise MultiPartException(f"A field of the form exceeds its maximum allowed size of {FIELD_BYTES} bytes.")


def bound_fields() -> None:
    """Let Gradio parse uploads with `SmallFields`, for which it has no setting."""
    route_utils.GradioMultiPartParser = SmallFields
