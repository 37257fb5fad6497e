"""Changes what the queue holds after a corrected header, a faulty film that comes again, or other earlier grades."""

from dataclasses import astuple
from sqlite3 import Connection, Row

from kneeoa_hub.imaging.identity import FilmIdentity, names_patient
from kneeoa_hub.study import OTHER_PATIENT

from .digests import Digests
from .outbox import AFTER


def is_whole(database: Connection, film: Row, study: str) -> bool:
    """Return whether a film is of this study, and the queue still has all other films of it that were graded.

    Without them, nobody could say which knees of the older report were those of this film.

    Args:
        database: The database, in a transaction.
        film: The row of the film.
        study: The study UID that a new header names.
    """
    others = "SELECT 1 FROM films WHERE study = ? AND film <> ? AND content IS NULL AND state = 'graded'"
    return film["study"] == study and not database.execute(others, (study, film["film"])).fetchone()


def correct(
    database: Connection, known: Row, film: bytes, identity: FilmIdentity, digests: Digests, due_at: float
) -> None:
    """Put a film with a corrected header, or any after a faulty one, in the place of the older one; make its study due.

    The study takes over patient and date, unless the film was not part of its report and others may be. Films that
    named another patient than the study's first film may agree with it now.

    Args:
        database: The database, in a transaction.
        known: The row of the older film.
        film: The file.
        identity: The identity of the film.
        digests: The digests of the film.
        due_at: The time at which the study becomes due.
    """
    _waits(database, identity.instance, film, digests)
    database.execute("UPDATE films SET corrections = corrections + 1 WHERE film = ?", (identity.instance,))
    before = study_row(database, identity.study)
    others = database.execute(
        "SELECT 1 FROM films WHERE study = ? AND film <> ? AND state <> 'faulty'", (identity.study, identity.instance)
    ).fetchone()
    if known["state"] != "faulty" or not others:
        database.execute(
            "UPDATE studies SET accession = ?, patient = ?, sex = ?, date = ? WHERE study = ?",
            (identity.accession, identity.patient, identity.sex, identity.date, identity.study),
        )
        compare_again(database, before, study_row(database, identity.study), due_at)
    database.execute(
        "UPDATE films SET state = 'waiting', reason = '' WHERE study = ? AND state = 'faulty' AND reason = ?",
        (identity.study, OTHER_PATIENT),
    )
    database.execute("UPDATE studies SET due_at = ? WHERE study = ?", (due_at, identity.study))


def grade_again(database: Connection, known: Row, film: bytes, digests: Digests, due_at: float) -> None:
    """Let a faulty film that came again wait, and make its study due.

    Args:
        database: The database, in a transaction.
        known: The row of the film.
        film: The file, which may have been deleted since it came first.
        digests: The digests of the film.
        due_at: The time at which the study becomes due.
    """
    _waits(database, known["film"], film, digests)
    database.execute("UPDATE studies SET due_at = ? WHERE study = ?", (due_at, known["study"]))


def _waits(database: Connection, instance: str, film: bytes, digests: Digests) -> None:
    database.execute(
        "UPDATE films SET sha256 = ?, header = ?, pixels = ?, content = ?, state = 'waiting', reason = '', attempts = 0"
        " WHERE film = ?",
        (*astuple(digests), film, instance),
    )


def study_row(database: Connection, study: str) -> Row:
    """Return the row of a study."""
    return database.execute("SELECT * FROM studies WHERE study = ?", (study,)).fetchone()


def compare_again(database: Connection, before: Row, after: Row, due_at: float) -> None:
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
