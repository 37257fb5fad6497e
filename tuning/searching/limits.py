"""The limits that end a search early: a full disk, and its hours."""

import time
from pathlib import Path

from kneeoa_hub.errors import DataError, OutputError

from ..run.folder import check_disk_space
from .durable import Durable


class Limits:
    """The limits that end a search early: a full disk, and its hours. The oracle counts the failed trials."""

    def __init__(self, out: Path, oracle: Durable, hours: float, began: float | None = None):
        """Begin to count the hours.

        Args:
            out: Output folder of the search.
            oracle: What draws the trials.
            hours: Hours that the run has; 0 for no limit.
            began: When the run began, by time.monotonic(); None for now.
        """
        self.out, self.oracle, self.hours = out, oracle, hours
        self._began = time.monotonic() if began is None else began

    def check(self) -> None:
        """Raise OutputError when the disk is full, DataError when the time is over; the search can be gone on with."""
        check_disk_space(self.out, 0)
        if self.oracle.fault:
            raise OutputError(f"{self.oracle.fault}; make room, and give the same command again to go on.")
        if self.hours and time.monotonic() - self._began > 3600 * self.hours:
            raise DataError(
                f"The --hours {self.hours:g} of this run are over. Give the same command again to go on;"
                f" `python -m tuning search-report --data {self.out}` shows what was found."
            )
