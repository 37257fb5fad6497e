"""Stores the node's data in one SQLite database, which survives `kill -9` and a full disk.

Each change is one transaction that SQLite has synced to the disk (WAL, synchronous=FULL) before the call returns. The
films lie in the same file, so a film and its row appear together or not at all.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .privacy import Pseudonyms

FILE = "queue.sqlite"
PAGE_BYTES = 16384
WAIT_SECONDS = 30
"""A transaction waits 30 seconds for the others to end."""
TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, accession TEXT NOT NULL, patient TEXT NOT NULL, date TEXT NOT NULL,
    received_at REAL NOT NULL, due_at REAL, answered_at REAL, revision TEXT NOT NULL DEFAULT '',
    knees TEXT NOT NULL DEFAULT '[]', sex TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS films (
    film TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, received_at REAL NOT NULL, caller TEXT NOT NULL,
    sha256 TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, content BLOB, header TEXT NOT NULL DEFAULT '',
    pixels TEXT NOT NULL DEFAULT '', corrections INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS objects (
    object TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, kind TEXT NOT NULL, made_at REAL NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    sent_at REAL, content BLOB NOT NULL, begun INTEGER NOT NULL DEFAULT 0, asked_at REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS audit (at REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS films_by_study ON films (study);
CREATE INDEX IF NOT EXISTS studies_by_due ON studies (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS studies_by_arrival ON studies (received_at);
CREATE INDEX IF NOT EXISTS studies_by_patient ON studies (patient, date);
CREATE INDEX IF NOT EXISTS objects_by_state ON objects (state, next_at);
CREATE INDEX IF NOT EXISTS objects_by_study ON objects (study);
"""
ADDED = (
    ("studies", "sex", "TEXT NOT NULL DEFAULT ''"),
    ("films", "header", "TEXT NOT NULL DEFAULT ''"),
    ("films", "pixels", "TEXT NOT NULL DEFAULT ''"),
    ("films", "corrections", "INTEGER NOT NULL DEFAULT 0"),
    ("objects", "begun", "INTEGER NOT NULL DEFAULT 1"),  # what waited in an older queue may have been sent
    ("objects", "asked_at", "REAL NOT NULL DEFAULT 0"),
)
"""The queue of an older version lacks these columns, each with its table, name and type."""


def private(path: Path, make: bool = True) -> None:
    """Let only its owner read a file. A missing file is made unless `make` is false."""
    with suppress(PermissionError, FileNotFoundError):  # another user's file, or none
        if make:
            path.touch(mode=0o600)
        path.chmod(0o600)


class Disk:
    """Opens the database in a folder. Threads may share it, and processes may open it beside each other.

    Args:
        folder: The folder, which is made if it is missing. Only its owner can read a folder made here, and the
            files in any.
        max_bytes: Beyond this size a change raises sqlite3.Error; 0 is no limit. The limit holds for this object
            alone, so that the worker can still answer what was taken before.
        clock: Seconds since 1970.

    Attributes:
        folder: The folder.
        pseudonyms: Makes the pseudonym that replaces an identifier.
    """

    def __init__(self, folder: Path, max_bytes: int = 0, clock: Callable[[], float] = time.time):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder: Path = folder
        self.clock: Callable[[], float] = clock
        self.pseudonyms: Pseudonyms = Pseudonyms(folder)
        self._lock = threading.RLock()
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            private(folder / name, make=name == FILE)  # SQLite gives the others the mode of the first
        self._database = sqlite3.connect(
            folder / FILE, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.row_factory = sqlite3.Row
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",  # what retention deletes can identify patients
            f"journal_size_limit={64 * 2**20}",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(TABLES)
        with self.transaction() as database:  # the node and the app may start at once
            for table, column, kind in ADDED:
                if not any(one["name"] == column for one in database.execute(f"PRAGMA table_info({table})")):
                    database.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        self._database.create_function("pseudonym", 1, self.pseudonyms.of)
        if max_bytes:
            self._database.execute(f"PRAGMA max_page_count={max(1, max_bytes // PAGE_BYTES)}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._lock:
            return self._database.execute(query, values).fetchone()

    def select(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query, which may call `pseudonym`."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the database within a transaction, which ends when the block does, whole or not at all."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
