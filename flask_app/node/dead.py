"""Keeps dead letters: the files of faulty films, in a folder for the operator, bounded by number, size and age."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .disk import private

FOLDER = "dead"
DAY_SECONDS = 86400

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """Says what the folder holds.

    Attributes:
        letters: The number of files.
        size: Their bytes.
        oldest: The time at which the oldest file was written, or None.
    """

    letters: int
    size: int
    oldest: datetime | None


@dataclass(frozen=True)
class DeadLetters:
    """Keeps dead letters in the folder of a queue.

    Attributes:
        queue: The folder of the queue.
        most: Most files.
        max_bytes: Most bytes of all files.
        days: Days for which a file is kept.
    """

    queue: Path
    most: int
    max_bytes: int
    days: float

    def bury(self, name: str, content: bytes) -> None:
        """Keep a film under the pseudonyms of its study and of itself.

        A disk without room is logged, since the queue has the film too.
        """
        folder = self.queue / FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            letter = folder / f"{name}.dcm"
            private(letter)
            letter.write_bytes(content)
            self.sweep(letter.stat().st_mtime)
        except OSError as error:
            log.error("A dead letter can't be written or deleted (%s)", error.strerror)

    def sweep(self, now: float) -> None:
        """Delete what is too old at the time `now` (seconds since 1970), and the oldest of what is too much."""
        size = 0
        for number, (path, bytes_of, written) in enumerate(self._newest_first(), 1):
            size += bytes_of
            if number > self.most or size > self.max_bytes or now - written > self.days * DAY_SECONDS:
                path.unlink(missing_ok=True)

    def kept(self) -> Kept:
        """Return what the folder holds."""
        letters = self._newest_first()
        oldest = datetime.fromtimestamp(letters[-1][2], UTC) if letters else None
        return Kept(len(letters), sum(size for _, size, _ in letters), oldest)

    def _newest_first(self) -> list[tuple[Path, int, float]]:
        """Return path, bytes and time of writing of each file."""
        found = []
        for path in (self.queue / FOLDER).glob("*.dcm"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process was faster
                continue
            found.append((path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda letter: letter[2], reverse=True)
