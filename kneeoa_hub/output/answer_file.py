"""Writes answers to a CSV or JSON lines file, and continues a file that an interrupted run has left."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, SettingsError
from ..escaping import unescape_cell
from ..files import release, replacing
from ..report import Answer
from .tables import CSV_COLUMNS, csv_line, write_csv, write_json

if TYPE_CHECKING:
    from filelock import FileLock

FORMS = {".csv": "csv", ".jsonl": "json"}
"""The ending of a file's name sets its form."""
JSON_BEGINS = '{"film": '
"""Each line of JSON begins so."""
NAMES = "surrogateescape"
"""This error handler writes a name that is not UTF-8 byte by byte."""


class AnswerFile:
    """Writes a CSV or JSON lines file, a new one or one that an interrupted run has left.

    The last film of an interrupted run is graded again, since its lines may be incomplete. So is each film that failed.

    Attributes:
        path: The file.
        form: "csv" or "json".
        done: The films that need not be graded again.
    """

    def __init__(self, path: Path, revision: str, level: float):
        if path.suffix.lower() not in FORMS:
            raise SettingsError(f"--out {path}: the name must end in .csv or .jsonl.")
        self.path: Path = path
        self.form: str = FORMS[path.suffix.lower()]
        self._kept: list[_Record] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _only_writer(path)
            self._take_up(revision, level)
        except OSError as error:
            raise OutputError(
                f"{path} can't be written ({error.strerror}); give an --out with room and access."
            ) from None
        self.done: set[str] = {record.film for record in self._kept}

    def write(self, answers: Iterable[tuple[str, Answer]]) -> int:
        """Add the answers as they come, and return how many films failed."""
        try:
            self._leave_the_kept()
            with self.path.open("a", encoding="utf-8", errors=NAMES, newline="") as out:
                if self.form == "json":
                    return write_json(answers, out)
                return write_csv(answers, out, header=out.tell() == 0)
        except OSError as error:
            raise OutputError(
                f"{self.path} can't be written ({error.strerror}); make room, and give the same command again to go on."
            ) from None
        finally:
            if self._lock:
                release(self._lock)

    def _take_up(self, revision: str, level: float) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        text = content[: content.rfind(b"\n") + 1].decode("utf-8", NAMES)  # a last line without its end was cut off
        try:
            if not text:
                _check_cut_off(content, self.form)
            records = list(_csv_records(text) if self.form == "csv" else _json_records(text))
        except (ValueError, csv.Error) as error:
            raise SettingsError(f"--out {self.path} can't be continued: it has {error}; give another --out.") from None
        for record in records:
            if record.revision not in ("", revision):
                raise SettingsError(
                    f"--out {self.path} holds answers of revision {record.revision}, and this model is {revision}; give"
                    " another --out."
                )
            if record.level is not None and record.level != level:
                raise SettingsError(
                    f"--out {self.path} holds prediction sets at the level {record.level:g}, and --level is {level:g};"
                    " give another --out."
                )
        self._kept = [record for record in records if record.film != records[-1].film and not record.failed]

    def _leave_the_kept(self) -> None:
        """Take the films that are graded again out of the file."""
        if not self.path.exists():
            return
        with replacing(self.path) as part, part.open("w", encoding="utf-8", errors=NAMES, newline="") as out:
            if self.form == "csv" and self._kept:
                out.write(csv_line(CSV_COLUMNS))
            out.writelines(record.text for record in self._kept)
        self._kept = []  # else those of an archive stay in memory to the end


def _check_cut_off(content: bytes, form: str) -> None:
    """Raise ValueError for a file that has no whole line and is not the beginning of an answer file."""
    begins = (csv_line(CSV_COLUMNS) if form == "csv" else JSON_BEGINS).encode()
    if not content.startswith(begins) and not begins.startswith(content):
        raise ValueError("no line of answers")


def _only_writer(path: Path) -> "FileLock | None":
    """Return the lock of an answer file, or None if nothing can be locked.

    Raises SettingsError when another process writes to it, since each would take the other's answers out, and OSError
    if nothing can be written.
    """
    from filelock import FileLock, Timeout

    held = path.with_name(f".{path.name}.lock")
    lock = FileLock(held)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held.stat()  # there is none where the folder takes no files, as /proc
        raise SettingsError(f"--out {path}: another process writes to it; wait for its end, or give another.") from None
    except NotImplementedError:
        return None
    return lock


@dataclass(frozen=True)
class _Record:
    """Holds one line of an answer file.

    Attributes:
        film: The film.
        revision: The revision of the model, "" if the film failed.
        level: The coverage level of its prediction sets, or None if it has none.
        text: The line.
    """

    film: str
    revision: str
    level: float | None
    text: str

    @property
    def failed(self) -> bool:
        """Whether the film failed: only graded and refused films name a revision."""
        return not self.revision


def _csv_records(text: str) -> Iterator[_Record]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if rows and len(rows[0]) > 1 and tuple(rows[0]) == CSV_COLUMNS[: len(rows[0])] and len(rows[0]) < len(CSV_COLUMNS):
        raise ValueError(f"the columns of an older version, without {', '.join(CSV_COLUMNS[len(rows[0]) :])}")
    if rows and tuple(rows[0]) != CSV_COLUMNS:
        raise ValueError(f"other columns than answers ({','.join(rows[0])})")
    film, revision, level = (CSV_COLUMNS.index(name) for name in ("film", "revision", "level"))
    # A row that was cut off within a name that holds the end of a line is short.
    if len(rows) > 1 and len(rows[-1]) < len(CSV_COLUMNS) and "\n" in "".join(rows[-1]):
        rows.pop()
    for row in rows[1:]:
        if len(row) != len(CSV_COLUMNS):
            raise ValueError(f"a row of {len(row)} columns")
        try:
            sets_at = float(row[level]) if row[level] else None
        except ValueError:
            raise ValueError(f"a level that is no number ({row[level]})") from None
        yield _Record(unescape_cell(row[film]), row[revision], sets_at, csv_line(row))


def _json_records(text: str) -> Iterator[_Record]:
    for line in text.split("\n")[:-1]:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        film, report = (document.get("film"), document.get("report", {})) if isinstance(document, dict) else (None, {})
        if not isinstance(film, str) or not isinstance(report, dict):
            raise ValueError("a line that is not an answer")
        revision, level = report.get("revision", ""), report.get("level")
        if not isinstance(revision, str) or not isinstance(level, float | int | None):
            raise ValueError("a line with a revision or a level that no answer has")
        yield _Record(film, revision, level, line + "\n")
