"""Films are graded a few requests at a time; those beyond wait, and when too many wait the next one is told to come
back.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask

from .figures import Figures
from .problems import ShownError

MOST_AT_A_TIME = 4
"""Each may unpack a film that is not large (sizes.LARGE), which takes some sixty megabytes, and one beside them a film
of KNEEOA_MAX_PIXELS."""
AT_A_TIME = min(
    MOST_AT_A_TIME, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
"""Requests that are graded at once: one a core, since more only take turns."""
WAIT_SECONDS = 60
"""For a turn; a proxy before the app that waits two minutes has its answer in time."""
BUSY_SECONDS = 5


class Busy(ShownError):
    """Too many requests wait already."""

    code = "busy"
    status = 503
    retry_after = BUSY_SECONDS

    def __init__(self, reason: str = "Too many films are waiting to be graded") -> None:
        super().__init__(f"{reason}; nothing was kept of yours. Send them again in {BUSY_SECONDS} seconds.")


class Stopping(Busy):
    """The server is being stopped, as for an upgrade."""

    def __init__(self) -> None:
        super().__init__("This server is being stopped")


@dataclass(eq=False)
class _Ticket:
    large: bool


class Queue:
    """Turns for the requests of one process, in the order in which they came. most: that may wait."""

    def __init__(self, most: int, figures: Figures):
        self._most, self._figures = most, figures
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._under_way: list[_Ticket] = []
        self._stopped = False

    def stop(self) -> None:
        """The server is being stopped: who waits is told, who has a turn is left to end it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @contextmanager
    def turn(self, large: bool = False) -> Iterator[None]:
        """Wait for a turn and hold it.

        large: with a large film, of which one has a turn at a time; others pass by. Raises Busy.
        """
        ticket = _Ticket(large)
        with self._changed:
            self._admit(ticket)
            self._under_way.append(ticket)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.remove(ticket)
                self._changed.notify_all()

    def _admit(self, ticket: _Ticket) -> None:
        self._waiting.append(ticket)
        try:
            if self._may_begin(ticket):
                return
            if not self._stopped and len(self._waiting) > self._most:
                self._figures.turned_away.inc()
                raise Busy
            self._figures.waiting.inc()
            try:
                self._changed.wait_for(lambda: self._stopped or self._may_begin(ticket), WAIT_SECONDS)
            finally:
                self._figures.waiting.dec()
            if not self._may_begin(ticket):
                if self._stopped:
                    raise Stopping
                self._figures.turned_away.inc()
                raise Busy
        finally:
            self._waiting.remove(ticket)
            self._changed.notify_all()

    def _may_begin(self, ticket: _Ticket) -> bool:
        if len(self._under_way) >= AT_A_TIME:
            return False
        taken = any(one.large for one in self._under_way)
        return ticket is next((one for one in self._waiting if not (taken and one.large)), None)


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
