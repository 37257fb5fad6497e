"""The node's queue on disk: films, studies and answers in one SQLite file, which survives `kill -9` and a full disk.

Each change is one transaction that SQLite has synced to the disk (WAL, synchronous=FULL) before the call returns. The
films lie in the same file, so a film and its row appear together or not at all.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kneeoa_hub.imaging.identity import FilmIdentity

from .privacy import Pseudonyms

FILE = "queue.sqlite"
PAGE_BYTES = 16384
WAIT_SECONDS = 30
"""A transaction waits this many seconds for the others to end."""
TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, accession TEXT NOT NULL, patient TEXT NOT NULL, date TEXT NOT NULL,
    received_at REAL NOT NULL, due_at REAL, answered_at REAL, revision TEXT NOT NULL DEFAULT '',
    knees TEXT NOT NULL DEFAULT '[]');
CREATE TABLE IF NOT EXISTS films (
    film TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, received_at REAL NOT NULL, caller TEXT NOT NULL,
    sha256 TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, content BLOB);
CREATE TABLE IF NOT EXISTS objects (
    object TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, kind TEXT NOT NULL, made_at REAL NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    sent_at REAL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS audit (at REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS films_by_study ON films (study);
CREATE INDEX IF NOT EXISTS studies_by_due ON studies (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS studies_by_arrival ON studies (received_at);
CREATE INDEX IF NOT EXISTS studies_by_patient ON studies (patient, date);
CREATE INDEX IF NOT EXISTS objects_by_state ON objects (state, next_at);
CREATE INDEX IF NOT EXISTS objects_by_study ON objects (study);
"""


@dataclass(frozen=True)
class Study:
    """A study whose films wait to be graded together.

    Attributes:
        study: Its Study Instance UID.
        patient: `FilmIdentity.patient` of its films.
        date: Its date, as YYYY-MM-DD, or "".
        due_at: The time since which it is due, by which `answer` knows whether a film came meanwhile.
    """

    study: str
    patient: str = field(repr=False)
    date: str = field(repr=False)
    due_at: float


@dataclass(frozen=True)
class QueuedFilm:
    """A film of a study.

    Attributes:
        film: Its SOP Instance UID.
        state: "waiting", "graded", "refused" or "faulty".
        attempts: How often its grading began since it last ended.
        content: The file, or None where it was deleted.
    """

    film: str
    state: str
    attempts: int
    content: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Object:
    """An object that goes to the archive.

    Attributes:
        object: Its SOP Instance UID.
        kind: "sr" or "sc".
        content: The DICOM file.
        attempts: How often sending failed.
    """

    object: str
    kind: str
    content: bytes = field(repr=False)
    attempts: int = 0


@dataclass(frozen=True)
class Answer:
    """What the grading of a study gave.

    Attributes:
        outcomes: State and reason of each film, by its UID.
        revision: The revision of the model.
        knees: The knees as JSON values, for later comparisons and for the worklist.
        objects: What goes to the archive.
    """

    outcomes: dict[str, tuple[str, str]]
    revision: str
    knees: Sequence[dict[str, Any]]
    objects: Sequence[Object]


class Queue:
    """The queue in a folder. Threads may share it, and processes may open it beside each other.

    Args:
        folder: The folder, which is made where it is missing, readable by its owner only.
        max_bytes: Beyond this size `receive` raises sqlite3.Error; 0 is no limit. The limit holds for this object
            alone, so that the worker can still answer what was taken before.
        clock: Seconds since 1970.

    Attributes:
        folder: The folder.
        pseudonyms: What stands for an identifier.
    """

    def __init__(self, folder: Path, max_bytes: int = 0, clock: Callable[[], float] = time.time):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder: Path = folder
        self._clock, self._lock = clock, threading.RLock()
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
        self.pseudonyms: Pseudonyms = Pseudonyms(folder)
        self._database.create_function("pseudonym", 1, self.pseudonyms.of)
        if max_bytes:
            self._database.execute(f"PRAGMA max_page_count={max(1, max_bytes // PAGE_BYTES)}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def receive(self, film: bytes, identity: FilmIdentity, sha256: str, caller: str, settle: float) -> str:
        """Keep a film, and make its study due `settle` seconds from now.

        Args:
            film: The file.
            identity: Its identity.
            sha256: The SHA-256 of its data set, without the header that the receiver puts before it.
            caller: The AE title that sent it.
            settle: Seconds.

        Returns:
            "new"; "known" where the same file came before; "other" where another file came under the same UID, which
            is not kept.

        Raises:
            sqlite3.Error: The film could not be kept.
        """
        now = self._clock()
        with self._transaction() as database:
            known = database.execute("SELECT sha256 FROM films WHERE film = ?", (identity.instance,)).fetchone()
            if known:
                return "known" if known["sha256"] == sha256 else "other"
            database.execute(
                "INSERT INTO studies (study, accession, patient, date, received_at, due_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (study) DO UPDATE SET due_at = excluded.due_at",
                (identity.study, identity.accession, identity.patient, identity.date, now, now + settle),
            )
            database.execute(
                "INSERT INTO films (film, study, received_at, caller, sha256, content) VALUES (?, ?, ?, ?, ?, ?)",
                (identity.instance, identity.study, now, caller, sha256, film),
            )
        return "new"

    def due(self) -> Study | None:
        """Return the study that has been due for longest, or None."""
        row = self._row(
            "SELECT study, patient, date, due_at FROM studies WHERE due_at <= ? ORDER BY due_at LIMIT 1", self._clock()
        )
        return Study(*row) if row else None

    def films(self, study: str) -> Iterator[QueuedFilm]:
        """Yield the films of a study in the order in which they came, each read when its turn comes."""
        for (film,) in self.select("SELECT film FROM films WHERE study = ? ORDER BY received_at, film", study):
            if row := self._row("SELECT film, state, attempts, content FROM films WHERE film = ?", film):
                yield QueuedFilm(*row)

    def begin(self, film: str) -> None:
        """Note that the grading of a film begins, so that one that ends the process is known by its attempts."""
        with self._transaction() as database:
            database.execute("UPDATE films SET attempts = attempts + 1 WHERE film = ?", (film,))

    def answer(self, study: Study, answer: Answer) -> None:
        """Keep the answer for a study, and its objects as waiting. The study stays due where a film came meanwhile."""
        now = self._clock()
        with self._transaction() as database:
            for film, (state, reason) in answer.outcomes.items():
                database.execute(
                    "UPDATE films SET state = ?, reason = ?, attempts = 0 WHERE film = ?", (state, reason, film)
                )
            database.execute(
                "UPDATE studies SET answered_at = ?, revision = ?, knees = ? WHERE study = ?",
                (now, answer.revision, json.dumps(list(answer.knees)), study.study),
            )
            database.execute(
                "UPDATE studies SET due_at = NULL WHERE study = ? AND due_at = ?", (study.study, study.due_at)
            )
            for one in answer.objects:
                database.execute(
                    "INSERT INTO objects (object, study, kind, made_at, state, next_at, content)"
                    " VALUES (?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (object) DO NOTHING",
                    (one.object, study.study, one.kind, now, now, one.content),
                )

    def postpone(self, study: Study, seconds: float) -> None:
        """Make a study due later, for a reason that lies in none of its films."""
        with self._transaction() as database:
            database.execute("UPDATE films SET attempts = 0 WHERE study = ?", (study.study,))
            database.execute(
                "UPDATE studies SET due_at = ? WHERE study = ? AND due_at = ?",
                (self._clock() + seconds, study.study, study.due_at),
            )

    def previous_report(self, study: str) -> bytes | None:
        """Return the newest structured report of a study as a file, or None."""
        row = self._row(
            "SELECT content FROM objects WHERE study = ? AND kind = 'sr' ORDER BY made_at DESC LIMIT 1", study
        )
        return row["content"] if row else None

    def earlier(self, study: Study) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Return date, revision and knees of the same patient's answered studies before a study, oldest first."""
        if not study.patient or not study.date:
            return []
        rows = self.select(
            "SELECT date, revision, knees FROM studies WHERE patient = ? AND date <> '' AND date < ? AND knees <> '[]'"
            " ORDER BY date",
            study.patient,
            study.date,
        )
        return [(row["date"], row["revision"], json.loads(row["knees"])) for row in rows]

    def to_send(self, most: int) -> list[Object]:
        """Return the objects whose time to be sent has come, oldest first."""
        rows = self.select(
            "SELECT object, kind, content, attempts FROM objects WHERE state = 'waiting' AND next_at <= ?"
            " ORDER BY made_at, rowid LIMIT ?",
            self._clock(),
            most,
        )
        return [Object(*row) for row in rows]

    def sent(self, name: str) -> None:
        """Note that the archive has taken an object."""
        with self._transaction() as database:
            database.execute(
                "UPDATE objects SET state = 'sent', reason = '', sent_at = ? WHERE object = ?", (self._clock(), name)
            )

    def not_sent(self, name: str, reason: str, after: float | None) -> None:
        """Note that the archive did not take an object. Try again after so many seconds; None gives it up."""
        with self._transaction() as database:
            database.execute(
                "UPDATE objects SET state = ?, reason = ?, attempts = attempts + 1, next_at = ? WHERE object = ?",
                ("rejected" if after is None else "waiting", reason, self._clock() + (after or 0), name),
            )

    def unreachable(self, reason: str) -> None:
        """Note with everything that waits why the archive could not be reached."""
        with self._transaction() as database:
            database.execute("UPDATE objects SET reason = ? WHERE state = 'waiting'", (reason,))

    def resend(self, study: str) -> int:
        """Make the newest objects of a study wait to be sent at once, and return how many."""
        with self._transaction() as database:
            return database.execute(
                "UPDATE objects SET state = 'waiting', attempts = 0, next_at = ? WHERE study = ? AND made_at ="
                " (SELECT max(made_at) FROM objects WHERE study = ?)",
                (self._clock(), study, study),
            ).rowcount

    def note(self, who: str, action: str, subject: str) -> None:
        """Add a line to the audit trail."""
        with self._transaction() as database:
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (self._clock(), who, action, subject))

    def sweep(self, keep_films: float, keep_days: float, roomy_bytes: int = 0) -> None:
        """Delete what is older than so many days. Nothing goes that is not graded, and no answer that waits.

        Args:
            keep_films: Days for which the films of an answered study are kept.
            keep_days: Days for which rows, answers and the audit trail are kept.
            roomy_bytes: While the queue uses more bytes than this, the oldest films of answered studies go earlier;
                0 is no limit.
        """
        now, day = self._clock(), 86400
        answered = "study IN (SELECT study FROM studies WHERE due_at IS NULL AND answered_at < ?)"
        unsent = "(SELECT study FROM objects WHERE state = 'waiting')"
        with self._transaction() as database:
            database.execute(
                f"UPDATE films SET content = NULL WHERE content IS NOT NULL AND {answered}", (now - keep_films * day,)
            )
            old = (now - keep_days * day,)
            for table in ("films", "objects", "studies"):  # the rows that a study's own row is needed for go first
                database.execute(f"DELETE FROM {table} WHERE {answered} AND study NOT IN {unsent}", old)
            database.execute("DELETE FROM audit WHERE at < ?", old)
        while roomy_bytes and self.used_bytes() > roomy_bytes and self._drop_oldest():
            pass

    def used_bytes(self) -> int:
        """Return the bytes of the file that are in use."""
        pages, free = (self._row(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count"))  # type: ignore[index]
        return (pages - free) * PAGE_BYTES

    def _drop_oldest(self) -> bool:
        with self._transaction() as database:
            return bool(
                database.execute(
                    "UPDATE films SET content = NULL WHERE film = (SELECT film FROM films JOIN studies USING (study)"
                    " WHERE content IS NOT NULL AND due_at IS NULL ORDER BY films.received_at LIMIT 1)"
                ).rowcount
            )

    def _row(self, query: str, *values: object) -> sqlite3.Row | None:
        with self._lock:
            return self._database.execute(query, values).fetchone()

    def select(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query, which may call `pseudonym`."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
