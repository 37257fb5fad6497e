"""Films are graded a few requests at a time; those beyond wait, and when too many wait the next one is told to come back."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .problems import ShownError
from .watch import Figures

MOST_AT_A_TIME = 4
"""Each may unpack a film of KNEEOA_MAX_PIXELS, which takes a quarter of a gigabyte."""
AT_A_TIME = min(MOST_AT_A_TIME, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Requests that are graded at once: one a core, since more only take turns."""
BUSY_SECONDS = 5


class Busy(ShownError):
    """Too many requests wait already."""

    code = "busy"
    status = 503
    retry_after = BUSY_SECONDS

    def __init__(self) -> None:
        super().__init__(f"Too many films are waiting to be graded; nothing was kept of yours. Send them again in {BUSY_SECONDS} seconds.")


class Queue:
    """Turns for the requests of one process. most: that may wait."""

    def __init__(self, most: int, figures: Figures):
        self._most, self._figures = most, figures
        self._turns = threading.BoundedSemaphore(AT_A_TIME)
        self._lock = threading.Lock()
        self._waiting = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it. Raises Busy."""
        if not self._turns.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._turns.release()

    def _wait(self) -> None:
        with self._lock:
            if self._waiting >= self._most:
                self._figures.turned_away.inc()
                raise Busy
            self._waiting += 1
            self._figures.waiting.inc()
        try:
            self._turns.acquire()
        finally:
            with self._lock:
                self._waiting -= 1
                self._figures.waiting.dec()
