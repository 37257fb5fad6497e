"""Keeps the node's queue: films and studies that came, reports that were made, and objects that wait to be sent."""

import json
from collections.abc import Iterator
from dataclasses import astuple
from sqlite3 import Connection, Row
from typing import Any

from kneeoa_hub.imaging.identity import FilmIdentity, names_patient
from kneeoa_hub.study import OTHER_PATIENT

from .digests import Digests
from .disk import Disk
from .records import GradedStudy, KeptFilm, Object, QueuedFilm, StoredGrades, Study

LONGEST_WAIT = 10800
"""An object waits for its next try at most this many seconds, see `deliver`. A time further ahead was noted by a clock
that has been put back since.
"""
AFTER = 0.001
"""A report of a study is made at least this many seconds after the one before, whatever the clock says."""


class Queue(Disk):
    """Keeps a queue in a folder: what came, what its grading gave, and what waits to be sent."""

    def receive(self, film: bytes, identity: FilmIdentity, digests: Digests, caller: str, settle: float) -> str:
        """Keep a film, and make its study due `settle` seconds from now.

        Args:
            film: The file.
            identity: Its identity.
            digests: Its digests.
            caller: The AE title that sent it.
            settle: Seconds.

        Returns:
            "new"; "known" where the same film came before; "corrected" where its header says something else now, so
            that its study is graded again; "other" where another film came under the same UID, which is not kept.

        Raises:
            sqlite3.Error: The film could not be kept.
        """
        now = self.clock()
        with self.transaction() as database:
            known = database.execute("SELECT * FROM films WHERE film = ?", (identity.instance,)).fetchone()
            if known:
                same_pixels = bool(digests.pixels) and digests.pixels == known["pixels"]
                if known["sha256"] == digests.whole or (same_pixels and known["header"] == digests.header):
                    return "known"
                if not same_pixels or not _is_whole(database, known, identity.study):
                    return "other"
                _correct(database, known, film, identity, digests, now + settle)
                return "corrected"
            database.execute(
                "INSERT INTO studies (study, accession, patient, sex, date, received_at, due_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (study) DO UPDATE SET due_at = excluded.due_at",
                (identity.study, identity.accession, identity.patient, identity.sex, identity.date, now, now + settle),
            )
            database.execute(
                "INSERT INTO films (film, study, received_at, caller, sha256, header, pixels, content)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (identity.instance, identity.study, now, caller, *astuple(digests), film),
            )
        return "new"

    def kept(self, film: str) -> KeptFilm | None:
        """Return the film that the queue has under a UID, or None if there is none or it was deleted."""
        row = self.row("SELECT content, sha256, header, pixels FROM films WHERE film = ? AND content IS NOT NULL", film)
        return KeptFilm(row["content"], Digests(*row[1:])) if row else None

    def due(self) -> Study | None:
        """Return the study that has been due for longest, or None.

        A study is also due if a film of it came later than now, since the clock was then put back.
        """
        now = self.clock()
        row = self.row(
            "SELECT study, patient, sex, date, due_at FROM studies WHERE due_at IS NOT NULL AND (due_at <= ? OR EXISTS"
            " (SELECT 1 FROM films WHERE films.study = studies.study AND state = 'waiting' AND films.received_at > ?))"
            " ORDER BY due_at LIMIT 1",
            now,
            now,
        )
        return Study(*row) if row else None

    def films(self, study: str) -> Iterator[QueuedFilm]:
        """Yield the films of a study in the order in which they came, each read when its turn comes."""
        for (film,) in self.select("SELECT film FROM films WHERE study = ? ORDER BY received_at, film", study):
            if row := self.row("SELECT film, state, attempts, content, corrections FROM films WHERE film = ?", film):
                yield QueuedFilm(*row)

    def begin(self, *films: str) -> None:
        """Note that work on films begins, so that a film that ends the process is known by its attempts."""
        with self.transaction() as database:
            database.executemany("UPDATE films SET attempts = attempts + 1 WHERE film = ?", [(one,) for one in films])

    def end(self, *films: str) -> None:
        """Note that the process has survived the work on films, so that its attempt does not count."""
        with self.transaction() as database:
            database.executemany(
                "UPDATE films SET attempts = max(0, attempts - 1) WHERE film = ?", [(one,) for one in films]
            )

    def finish(self, study: Study, graded: GradedStudy) -> None:
        """Keep what the grading of a study gave, and its objects as waiting.

        The study stays due where a film or a corrected header came meanwhile. A faulty film is then looked at again,
        since its header may be the one that was corrected.
        """
        now = self.clock()
        with self.transaction() as database:
            before = _study(database, study.study)
            ((newest,),) = database.execute("SELECT max(made_at) FROM objects WHERE study = ?", (study.study,))
            final, made_at = before["due_at"] == study.due_at, max(now, (newest or 0) + AFTER)
            for film, (state, reason) in graded.outcomes.items():
                if state == "faulty" and not final:
                    continue
                database.execute(
                    "UPDATE films SET state = ?, reason = ?, attempts = 0 WHERE film = ?", (state, reason, film)
                )
            database.execute(
                "UPDATE studies SET answered_at = ?, revision = ?, knees = ? WHERE study = ?",
                (now, graded.revision, json.dumps(list(graded.knees)), study.study),
            )
            _compare_again(database, before, _study(database, study.study), now)
            database.execute(
                "UPDATE studies SET due_at = NULL WHERE study = ? AND due_at = ?", (study.study, study.due_at)
            )
            for one in graded.objects:
                database.execute(
                    "INSERT INTO objects (object, study, kind, made_at, state, next_at, content, begun)"
                    " VALUES (?, ?, ?, ?, 'waiting', ?, ?, 0) ON CONFLICT (object) DO UPDATE SET state = 'waiting',"
                    " made_at = excluded.made_at WHERE state = 'withdrawn'",
                    (one.object, study.study, one.kind, made_at, now, one.content),
                )

    def grades_of(self, study: str) -> StoredGrades:
        """Return the grades that the queue keeps for a study."""
        ((revision, knees),) = self.select("SELECT revision, knees FROM studies WHERE study = ?", study)
        return StoredGrades(revision, json.loads(knees))

    def withdraw(self, study: str) -> None:
        """Take back the objects of a study that the archive lacks, since those of another report take their place.

        One whose sending has begun may have reached the archive all the same. It is not sent again, and stays as what
        the next report replaces.
        """
        with self.transaction() as database:
            database.execute(
                "DELETE FROM objects WHERE study = ? AND (state = 'waiting' AND begun = 0 OR state = 'rejected')",
                (study,),
            )
            database.execute(
                "UPDATE objects SET state = 'withdrawn', reason = '' WHERE study = ? AND state = 'waiting'", (study,)
            )

    def postpone(self, study: Study, seconds: float) -> None:
        """Make a study due later, for a reason that lies in none of its films."""
        with self.transaction() as database:
            now = self.clock()
            database.execute(
                "UPDATE films SET attempts = 0, received_at = min(received_at, ?) WHERE study = ?", (now, study.study)
            )
            database.execute(
                "UPDATE studies SET due_at = ? WHERE study = ? AND due_at = ?",
                (now + seconds, study.study, study.due_at),
            )

    def previous_report(self, study: str) -> bytes | None:
        """Return the newest structured report of a study as a file, or None if there is none any more."""
        row = self.row(
            "SELECT content FROM objects WHERE study = ? AND kind = 'sr' AND length(content) > 0"
            " ORDER BY made_at DESC LIMIT 1",
            study,
        )
        return row["content"] if row else None

    def had_replaced(self, name: str, newest: str) -> bool:
        """Return whether the archive may have a report of this UID already, and the report `newest` in its place."""
        return name != newest and self.row("SELECT 1 FROM objects WHERE object = ?", name) is not None

    def earlier(self, study: Study) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Return date, revision and knees of the same patient's answered studies before a study, oldest first.

        There are none if the header does not name the patient by ID and birth date.
        """
        if not names_patient(study.patient) or not study.date:
            return []
        rows = self.select(
            "SELECT date, revision, knees FROM studies WHERE patient = ? AND date <> '' AND date < ? AND knees <> '[]'"
            " AND (sex = '' OR ? IN ('', sex)) ORDER BY date",
            study.patient,
            study.date,
            study.sex,
        )
        return [(row["date"], row["revision"], json.loads(row["knees"])) for row in rows]

    def to_send(self, most: int) -> list[Object]:
        """Return the objects whose time to be sent has come, oldest first.

        The objects of a study that is to be graded again wait, since they may be withdrawn.
        """
        now = self.clock()
        rows = self.select(
            "SELECT object, kind, content, attempts FROM objects JOIN studies USING (study)"
            " WHERE state = 'waiting' AND due_at IS NULL"
            " AND (next_at <= ? OR next_at > ? OR attempts = 0 AND made_at > ?)"
            " ORDER BY made_at, objects.rowid LIMIT ?",
            now,
            now + LONGEST_WAIT,
            now + AFTER,
            most,
        )
        return [Object(*row) for row in rows]

    def begin_sending(self, name: str) -> bool:
        """Note that an object is about to be sent; return whether it still is to be."""
        with self.transaction() as database:
            return bool(
                database.execute(
                    "UPDATE objects SET begun = 1 WHERE object = ? AND state = 'waiting'"
                    " AND study IN (SELECT study FROM studies WHERE due_at IS NULL)",
                    (name,),
                ).rowcount
            )

    def sent(self, name: str) -> None:
        """Note that the archive has taken an object."""
        with self.transaction() as database:
            database.execute(
                "UPDATE objects SET state = 'sent', reason = '', sent_at = ? WHERE object = ?", (self.clock(), name)
            )

    def not_sent(self, name: str, reason: str, after: float | None) -> None:
        """Note that the archive did not take an object.

        Args:
            name: SOP Instance UID of the object.
            reason: The reason that the worklist shows.
            after: Seconds until the next attempt; None gives the object up.
        """
        with self.transaction() as database:
            database.execute(
                "UPDATE objects SET state = ?, reason = ?, attempts = attempts + 1, next_at = ?"
                " WHERE object = ? AND state <> 'withdrawn'",
                ("rejected" if after is None else "waiting", reason, self.clock() + (after or 0), name),
            )

    def put_off(self, name: str, seconds: float) -> None:
        """Send an object after so many seconds, so that others are sent before it."""
        with self.transaction() as database:
            database.execute("UPDATE objects SET next_at = ? WHERE object = ?", (self.clock() + seconds, name))

    def unreachable(self, reason: str) -> None:
        """Note with everything that waits why the archive could not be reached."""
        with self.transaction() as database:
            database.execute("UPDATE objects SET reason = ? WHERE state = 'waiting'", (reason,))

    def resend(self, study: str) -> int:
        """Make the newest objects of a study that are still here wait to be sent at once, and return their number."""
        with self.transaction() as database:
            return database.execute(
                "UPDATE objects SET state = 'waiting', attempts = 0, next_at = ?, asked_at = ?"
                " WHERE study = ? AND length(content) > 0 AND state <> 'withdrawn' AND made_at ="
                " (SELECT max(made_at) FROM objects WHERE study = ? AND state <> 'withdrawn')",
                (self.clock(), self.clock(), study, study),
            ).rowcount

    def newest_request(self) -> float:
        """Return when a person last asked to send something again that still waits.

        The time is in seconds since 1970; 0 stands for never.
        """
        ((newest,),) = self.select("SELECT coalesce(max(asked_at), 0) FROM objects WHERE state = 'waiting'")
        return newest

    def note(self, who: str, action: str, subject: str) -> None:
        """Add a line to the audit trail.

        Args:
            who: Name of the reader's key.
            action: What the reader did.
            subject: What the action was about; a pseudonym where it is a patient or study.
        """
        with self.transaction() as database:
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (self.clock(), who, action, subject))


def _is_whole(database: Connection, film: Row, study: str) -> bool:
    """Return whether a film is of this study, and the queue still has all other films of it that were graded.

    Without them, nobody could say which knees of the older report were those of this film.
    """
    others = "SELECT 1 FROM films WHERE study = ? AND film <> ? AND content IS NULL AND state = 'graded'"
    return film["study"] == study and not database.execute(others, (study, film["film"])).fetchone()


def _correct(
    database: Connection, known: Row, film: bytes, identity: FilmIdentity, digests: Digests, due_at: float
) -> None:
    """Put a film with a corrected header in the place of the older one, and make its study due.

    The study takes over patient and date, unless the film was not part of its report. Films that named another patient
    than the study's first film may agree with it now.
    """
    database.execute(
        "UPDATE films SET sha256 = ?, header = ?, pixels = ?, content = ?, state = 'waiting', reason = '',"
        " attempts = 0, corrections = corrections + 1 WHERE film = ?",
        (*astuple(digests), film, identity.instance),
    )
    before = _study(database, identity.study)
    if known["state"] != "faulty":
        database.execute(
            "UPDATE studies SET accession = ?, patient = ?, sex = ?, date = ? WHERE study = ?",
            (identity.accession, identity.patient, identity.sex, identity.date, identity.study),
        )
        _compare_again(database, before, _study(database, identity.study), due_at)
    database.execute(
        "UPDATE films SET state = 'waiting', reason = '' WHERE study = ? AND state = 'faulty' AND reason = ?",
        (identity.study, OTHER_PATIENT),
    )
    database.execute("UPDATE studies SET due_at = ? WHERE study = ?", (due_at, identity.study))


def _study(database: Connection, study: str) -> Row:
    return database.execute("SELECT * FROM studies WHERE study = ?", (study,)).fetchone()


def _compare_again(database: Connection, before: Row, after: Row, due_at: float) -> None:
    """Make the later studies due whose comparison with a study has changed.

    Only studies of a later date become due, so one change cannot go round in a circle. A study stays as it is where it
    has no knee of the same side, or where the queue no longer has all its films. One that is due already may be in
    work, and becomes due again.

    Args:
        database: The database, in a transaction.
        before: The row of the earlier study before its change.
        after: Its row now.
        due_at: The time at which the later studies become due.
    """
    if all(before[name] == after[name] for name in ("patient", "sex", "date", "revision", "knees")):
        return
    for one in (before, after):
        if names_patient(one["patient"]) and one["date"]:
            database.execute(
                "UPDATE studies SET due_at = max(coalesce(due_at + ?, 0), ?) WHERE patient = ? AND date > ?"
                " AND answered_at IS NOT NULL AND (? = '' OR sex IN ('', ?))"
                " AND EXISTS (SELECT 1 FROM json_each(knees) AS now, json_each(?) AS past WHERE"
                " json_extract(now.value, '$.side') = json_extract(past.value, '$.side'))"
                " AND NOT EXISTS (SELECT 1 FROM films WHERE films.study = studies.study AND state = 'graded'"
                " AND content IS NULL)",
                (AFTER, due_at, one["patient"], one["date"], one["sex"], one["sex"], one["knees"]),
            )
