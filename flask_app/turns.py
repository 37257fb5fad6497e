"""Gives requests turns: a few grade at a time, others wait, and beyond a limit the next one is turned away.

Pictures and documents have turns of their own, so that pages that draw never delay a grading.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from flask import Flask

from kneeoa_hub.settings import usable_cores

from .metrics import Metrics
from .problems import ShownError

MOST_AT_A_TIME = 4
"""At most four requests grade at once. Each may unpack a film that is not large (sizes.LARGE), which takes some sixty
megabytes; one of them may unpack a film of KNEEOA_MAX_PIXELS."""
AT_A_TIME = min(MOST_AT_A_TIME, usable_cores())
"""A request is graded on each core at once, on four cores at most, since more requests would only take turns."""
WAIT_SECONDS = 60
"""A request waits a minute for a turn, so that a proxy that waits two minutes gets a response in time."""
BUSY_SECONDS = 5
"""A client that was turned away is asked to come back after five seconds."""


class Busy(ShownError):
    """Too many requests are waiting already."""

    code = "busy"
    status = 503
    retry_after = BUSY_SECONDS

    def __init__(self, reason: str = "Too many films are waiting to be graded") -> None:
        super().__init__(f"{reason}. The server kept nothing of your request; send it again in {BUSY_SECONDS} seconds.")


class Stopping(Busy):
    """The server is about to stop, as for an upgrade."""

    def __init__(self) -> None:
        super().__init__("This server is being stopped")


@dataclass(eq=False)
class _Ticket:
    large: bool
    called: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Gives turns to the requests of one process in the order in which they came. At most `most` of them wait.

    The end of a turn wakes the next request alone: each thread that wakes takes time from the one that grades.
    """

    def __init__(self, most: int, metrics: Metrics):
        self._most, self._metrics = most, metrics
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._under_way: list[_Ticket] = []
        self._stopped = False

    def stop(self) -> None:
        """Turn away the requests that wait. Requests with a turn may end it."""
        with self._lock:
            self._stopped = True
            for ticket in self._waiting:
                ticket.called.set()

    @contextmanager
    def turn(self, large: bool = False) -> Iterator[None]:
        """Wait for a turn and hold it. Raises Busy.

        Of requests with a large film one has a turn at a time; requests without one may overtake them.
        """
        ticket = _Ticket(large)
        self._admit(ticket)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(ticket)
                self._metrics.grading.dec()
                self._call_next()

    def _admit(self, ticket: _Ticket) -> None:
        with self._lock:
            self._waiting.append(ticket)
            self._call_next()
            if ticket in self._under_way:
                return
            if self._stopped or len(self._waiting) > self._most:
                self._turn_away(ticket)
            self._metrics.waiting.inc()
        ticket.called.wait(WAIT_SECONDS)
        with self._lock:
            self._metrics.waiting.dec()
            if ticket not in self._under_way:
                self._turn_away(ticket)

    def _turn_away(self, ticket: _Ticket) -> NoReturn:
        self._waiting.remove(ticket)
        if self._stopped:
            raise Stopping
        self._metrics.turned_away.inc()
        raise Busy

    def _call_next(self) -> None:
        """Give their turns to the requests that may begin."""
        while len(self._under_way) < AT_A_TIME:
            taken = any(one.large for one in self._under_way)
            ticket = next((one for one in self._waiting if not (taken and one.large)), None)
            if ticket is None:
                return
            self._waiting.remove(ticket)
            self._under_way.append(ticket)
            self._metrics.grading.inc()
            ticket.called.set()


EXTENSION = "kneeoa_drawing"
MOST_DOCUMENTS = 2
"""At most two documents are made at once. They take turns film by film, with each other and with pictures."""
PATIENCE_SECONDS = 5
"""A request waits five seconds for a place."""


class Places:
    """Gives places to the requests of one process, `most` of them at once; `reason` says why there is none."""

    def __init__(self, most: int, reason: str):
        self._free, self._reason = threading.BoundedSemaphore(most), reason

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place. Raises Busy."""
        if not self._free.acquire(timeout=PATIENCE_SECONDS):
            raise Busy(self._reason)
        try:
            yield
        finally:
            self._free.release()


class Drawing:
    """Gives turns to the requests of one process that draw pictures or documents."""

    def __init__(self) -> None:
        self._pen = threading.Lock()
        self._documents = Places(MOST_DOCUMENTS, "Too many documents are being made")

    @classmethod
    def of(cls, app: Flask) -> "Drawing":
        """Return the turns of an app."""
        return app.extensions[EXTENSION]

    @contextmanager
    def picture(self) -> Iterator[None]:
        """Wait for the pen and hold it."""
        with self._pen:
            yield

    @contextmanager
    def document(self) -> Iterator[None]:
        """Be one of those that make a document. Raises Busy."""
        with self._documents.place():
            yield
