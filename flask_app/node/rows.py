"""Reads the rows of the worklist: what came of each study, found by day, state or identifier."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Row as DatabaseRow
from typing import Any

from kneeoa_hub.escaping import escape_cell
from kneeoa_hub.imaging.identity import date_of, patient_parts
from kneeoa_hub.knee import span

from .queue import Queue

STATES = {
    "waiting": "Waits to be graded",
    "to send": "Report waits to be sent",
    "sent": "Report sent",
    "rejected": "Report refused by the archive",
    "no report": "Graded, but a header allows no report",
    "refused": "Not graded: refused",
    "faulty": "Not graded: faulty",
}
"""Each state of a study has these words."""
AT_A_TIME = 500
"""The queue is read 500 rows at a time."""
STUDIES = """
SELECT studies.*, studies.rowid AS number,
    (SELECT count(*) FROM films WHERE films.study = studies.study) AS films,
    (SELECT group_concat(reason, ' ') FROM
        (SELECT reason FROM films WHERE films.study = studies.study AND reason <> ''
         UNION SELECT reason FROM objects WHERE objects.study = studies.study AND reason <> '')) AS reasons,
    CASE
        WHEN due_at IS NOT NULL THEN 'waiting'
        WHEN EXISTS (SELECT 1 FROM objects WHERE objects.study = studies.study AND state = 'waiting') THEN 'to send'
        WHEN EXISTS (SELECT 1 FROM objects WHERE objects.study = studies.study AND state = 'rejected') THEN 'rejected'
        WHEN EXISTS (SELECT 1 FROM objects WHERE objects.study = studies.study AND state = 'sent') THEN 'sent'
        WHEN EXISTS (SELECT 1 FROM films WHERE films.study = studies.study AND state = 'graded') THEN 'no report'
        WHEN EXISTS (SELECT 1 FROM films WHERE films.study = studies.study AND state = 'faulty') THEN 'faulty'
        ELSE 'refused'
    END AS state
FROM studies
"""
"""This query gives the studies, each with the number of its films, what went wrong, and its state."""
FOUND = f"""
SELECT * FROM (SELECT * FROM ({STUDIES}) WHERE received_at >= ? AND received_at <= ?)
WHERE (received_at, number) < (?, ?) AND (? = '' OR state = ?)
    AND (? = '' OR ? IN (pseudonym(study), pseudonym(accession), pseudonym(patient))
    OR ? AND ? IN (study, accession,
        replace(replace(substr(patient, 1, instr(patient, '|') - 1), '%7C', '|'), '%25', '%')))
ORDER BY received_at DESC, number DESC LIMIT ?
"""
"""This query selects the studies of some days, before one of them, of a state, and with an identifier or its pseudonym.
"""


@dataclass(frozen=True)
class Wanted:
    """Says which rows are wanted.

    Attributes:
        day: The day on which the study came, as YYYY-MM-DD in the server's time zone; "" is any.
        state: A key of STATES; "" is any.
        search: A pseudonym, or a whole study UID, accession number or patient ID if that is allowed; "" is any.
    """

    day: str = ""
    state: str = ""
    search: str = ""


@dataclass(frozen=True)
class StudyRow:
    """Describes a row of the worklist.

    Attributes:
        key: The pseudonym of the study, by which pages and the audit trail name it.
        study: Its UID.
        accession: Its accession number.
        patient: The patient's ID, issuer and birth date, with | between them.
        date: Its date.
        received: When its first film came, in the server's time zone, as `Wanted.day` is.
        films: The number of its films.
        knees: Side, grade, prediction set and likeliest grade of each knee in words.
        state: A key of STATES.
        reason: Why films were not graded or objects not sent, or "".
    """

    key: str
    study: str
    accession: str
    patient: str
    date: str
    received: datetime
    films: int
    knees: tuple[tuple[str, str, str, str], ...]
    state: str
    reason: str

    @property
    def can_send(self) -> bool:
        """Whether there is a report that can be sent again."""
        return self.state in ("to send", "sent", "rejected")

    @property
    def patient_words(self) -> str:
        """The patient as a page names him or her: ID, issuer and birth date; a pseudonym stays as it is."""
        identifier, *others = patient_parts(self.patient)
        if not others:
            return identifier
        issuer, birth_date = others
        born = f"born {date_of(birth_date) or birth_date}" if birth_date else ""
        return ", ".join(part for part in (identifier, issuer, born) if part)


def rows(queue: Queue, wanted: Wanted, by_identifier: bool) -> Iterator[StudyRow]:
    """Return the rows that are wanted, newest first. They are read when their turn comes.

    Args:
        queue: The queue.
        wanted: The rows that are wanted.
        by_identifier: Whether the search may also be a study UID, an accession number or a patient ID itself.

    Raises:
        ValueError: The day does not exist.
    """
    first, last = 0.0, float("inf")
    if wanted.day:
        day = datetime.strptime(wanted.day, "%Y-%m-%d")  # without a zone, so that it ends where the clocks change too
        try:
            first, last = day.timestamp(), (day + timedelta(days=1)).timestamp()
        except OverflowError as error:
            raise ValueError from error
    return _rows(queue, wanted, by_identifier, first, last)


def _rows(queue: Queue, wanted: Wanted, by_identifier: bool, first: float, last: float) -> Iterator[StudyRow]:
    """Yield the rows that came from the time `first` until `last`."""
    state, search, number = wanted.state, wanted.search, 0
    while True:
        found = queue.select(
            *(FOUND, first, last, last, number, state, state, search, search, by_identifier, search, AT_A_TIME)
        )
        yield from (_row(queue, one) for one in found)
        if len(found) < AT_A_TIME:
            return
        last, number = found[-1]["received_at"], found[-1]["number"]


def counts(queue: Queue) -> dict[str, int]:
    """Return the number of studies in each of STATES."""
    found = dict.fromkeys(STATES, 0)
    for state, count in queue.select(f"SELECT state, count(*) FROM ({STUDIES}) GROUP BY state"):
        found[state] = count
    return found


def as_csv(shown: Iterable[StudyRow]) -> Iterator[str]:
    """Yield the lines of a CSV file: one for each knee, and one for each study without one."""
    yield _line(
        (
            *("received", "study", "accession", "patient", "date", "films", "side", "grade", "set", "state", "reason"),
            "likeliest",  # new ones go to the end: programs read it
        )
    )
    for one in shown:
        about = (
            one.received.isoformat(),
            *map(escape_cell, (one.study, one.accession, one.patient)),
            one.date,
            one.films,
        )
        for side, grade, grade_set, likeliest in one.knees or (("", "", "", ""),):
            yield _line((*about, side, grade, grade_set, one.state, escape_cell(one.reason), likeliest))


def _line(cells: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _likeliest(knee: dict[str, Any]) -> str:
    """Return the likeliest grade of a knee as the queue keeps it. Of equal ones, the lowest counts."""
    probabilities = knee["probabilities"]
    return str(probabilities.index(max(probabilities)))


def _row(queue: Queue, found: DatabaseRow) -> StudyRow:
    knees = tuple(
        (knee["side"] or "not known", str(knee["grade"]), span(knee["grade_set"]), _likeliest(knee))
        for knee in json.loads(found["knees"])
    )
    return StudyRow(
        queue.pseudonyms.of(found["study"]),
        found["study"],
        found["accession"],
        found["patient"],
        found["date"],
        datetime.fromtimestamp(found["received_at"]).astimezone(),
        found["films"],
        knees,
        found["state"],
        found["reasons"] or "",
    )
