"""Turns to draw: a picture takes tens of megabytes while it is drawn and a document seconds, so neither is drawn by all who ask at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from .queue import Busy

EXTENSION = "kneeoa_drawing"
MOST_DOCUMENTS = 2
"""Made at a time; they take turns film by film, with each other and with pictures."""
PATIENCE_SECONDS = 5
"""After which who waits to make a document is told to come back."""


class Drawing:
    """Of one process."""

    def __init__(self) -> None:
        self._pen = threading.Lock()
        self._documents = threading.BoundedSemaphore(MOST_DOCUMENTS)

    @classmethod
    def of(cls, app: Flask) -> "Drawing":
        """The app's."""
        return app.extensions[EXTENSION]

    @contextmanager
    def picture(self) -> Iterator[None]:
        """Hold the pen."""
        with self._pen:
            yield

    @contextmanager
    def document(self) -> Iterator[None]:
        """Be one of those who make a document. Raises Busy."""
        if not self._documents.acquire(timeout=PATIENCE_SECONDS):
            raise Busy("Too many documents are being made")
        try:
            yield
        finally:
            self._documents.release()
