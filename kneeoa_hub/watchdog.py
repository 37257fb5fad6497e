"""Ends blocks of code that take too long. One thread watches for the whole process.

A timer for each forward pass would start a thread each time. That takes as long as finding the knees of a small film.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.5
"""The thread looks at the blocks at this interval."""
IDLE_SECONDS = 60
"""The thread ends after a minute without anything to watch."""


class Watchdog:
    """Watches blocks of code in any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[float, float, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def ending(self, seconds: float, end: Callable[[], object], *, computing: bool = False) -> Iterator[None]:
        """Call `end` in another thread if the block takes too long.

        Args:
            seconds: Seconds that the block may take, give or take LOOK_SECONDS.
            end: Is called.
            computing: Whether the block may take longer until the process has also computed for so many seconds. Other
                programs can keep the processor busy for minutes.
        """
        computed = time.process_time() + seconds if computing else 0.0
        with self._lock:
            self._watched[id(end)] = time.monotonic() + seconds, computed, end
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="kneeoa-watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[id(end)]

    def _watch(self) -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            now, computed = time.monotonic(), time.process_time()
            with self._lock:
                for due, due_computed, end in self._watched.values():
                    if now > due and computed > due_computed:
                        end()
                idle_since = now if self._watched else idle_since
                if now - idle_since > IDLE_SECONDS:
                    self._thread = None
                    return


watchdog: Watchdog = Watchdog()
if hasattr(os, "register_at_fork"):  # a fork has no other thread, and may have a lock that one of them held
    os.register_at_fork(after_in_child=watchdog.__init__)
