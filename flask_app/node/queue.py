"""Keeps the node's queue: films and studies that came, reports that were made, and objects that wait to be sent."""

import json
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

from kneeoa_hub.imaging.identity import FilmIdentity, names_patient

from .changes import compare_again, correct, grade_again, is_whole, study_row
from .digests import Digests
from .outbox import AFTER, Outbox
from .records import GradedStudy, KeptFilm, QueuedFilm, StoredGrades, Study


class Queue(Outbox):
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
            "new"; "known" if the same film came before; "again" if it was faulty, perhaps by a fault that has passed,
            or "corrected" if its header says something else now or it takes the place of a faulty one, so that its
            study is graded again; "other" if another film came under the same UID, which is not kept.

        Raises:
            sqlite3.Error: The film could not be kept.
        """
        now = self.clock()
        with self.transaction() as database:
            known = database.execute("SELECT * FROM films WHERE film = ?", (identity.instance,)).fetchone()
            if known:
                same_pixels = bool(digests.pixels) and digests.pixels == known["pixels"]
                faulty = known["state"] == "faulty"
                if known["sha256"] == digests.whole or (same_pixels and known["header"] == digests.header):
                    if not faulty:
                        return "known"
                    grade_again(database, known, film, digests, now + settle)
                    return "again"
                if not (same_pixels or faulty) or not is_whole(database, known, identity.study):
                    return "other"
                correct(database, known, film, identity, digests, now + settle)
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
        """Note that the work on films was no fault of theirs, so that its attempt does not count."""
        with self.transaction() as database:
            database.executemany(
                "UPDATE films SET attempts = max(0, attempts - 1) WHERE film = ?", [(one,) for one in films]
            )

    def finish(self, study: Study, graded: GradedStudy) -> None:
        """Keep what the grading of a study gave, and its objects as waiting.

        The study stays due if a film or a corrected header came meanwhile. A faulty film is then looked at again,
        since its header may be the one that was corrected.
        """
        now = self.clock()
        with self.transaction() as database:
            before = study_row(database, study.study)
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
            compare_again(database, before, study_row(database, study.study), now)
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
        """Make a study due later."""
        with self.transaction() as database:
            now = self.clock()
            database.execute("UPDATE films SET received_at = min(received_at, ?) WHERE study = ?", (now, study.study))
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

    def note(self, who: str, action: str, subject: str) -> None:
        """Add a line to the audit trail.

        Args:
            who: Name of the reader's key.
            action: What the reader did.
            subject: What the action was about; a pseudonym for a patient or study.
        """
        with self.transaction() as database:
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (self.clock(), who, action, subject))
