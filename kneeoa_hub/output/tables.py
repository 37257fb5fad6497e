"""Films in, lines out: a table for reading, CSV and JSON lines for programs, as each answer comes, and taken up
again.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import FilmError, KneeOAError, OutputError, SettingsError
from ..files import replacing
from ..imaging.formats import FILM_SUFFIXES, is_dicom
from ..inert import cell, from_cell, on_terminal
from ..report import Answer, FilmReport

CSV_COLUMNS: tuple[str, ...] = (
    *("film", "knee", "side", "grade", "label", "severity", "oa_probability"),
    *("p0", "p1", "p2", "p3", "p4", "grade_set", "level", "refused", "error", "model", "revision"),
)
if TYPE_CHECKING:
    from filelock import FileLock

FORMS = {".csv": "csv", ".jsonl": "json"}
"""What a file's name says of its form."""
NAMES = "surrogateescape"
"""How a film's name that is no UTF-8 is written: byte by byte, as it is."""


HEAD = 132
"""Bytes that hold the mark of DICOM."""


def films_of(paths: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The paths, in place of a folder the films below it by the order of their names; and of each folder how many files
    are no films.

    Raises FilmError for a folder that holds no film.
    """
    films: list[str] = []
    others: dict[str, int] = {}
    for path in paths:
        if not os.path.isdir(path):
            films.append(path)
            continue
        files = [file for file in Path(path).rglob("*") if file.is_file()]
        found = sorted(str(file) for file in files if _is_film(file))
        if not found:
            kinds = f"{', '.join(sorted(FILM_SUFFIXES))}, or DICOM without a suffix"
            raise FilmError(f"{path} is a folder without films ({kinds}); give one that holds some.")
        films += found
        others[path] = len(files) - len(found)
    return films, others


def _is_film(file: Path) -> bool:
    """By its suffix; without one, or with the last number of a UID in its place, by its first bytes.

    An archive's table of contents is none.
    """
    suffix = file.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return True
    if suffix.strip(".0123456789") or file.name.upper() == "DICOMDIR":
        return False
    try:
        with file.open("rb") as content:
            return is_dicom(content.read(HEAD))
    except OSError:
        return False


class AnswerFile:
    """A CSV or JSON lines file that a run which was stopped left behind, or a new one.

    `done` are the films that it answers. The last of them is taken out and graded again, as its lines may not be whole,
    and so is each that failed.
    """

    def __init__(self, path: Path, revision: str, level: float):
        if path.suffix.lower() not in FORMS:
            raise SettingsError(f"--out {path}: its name ends on .csv or .jsonl, by which it is written.")
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
        """Add the answers as they come; returns how many films failed."""
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
                Path(self._lock.lock_file).unlink(missing_ok=True)
                self._lock.release()

    def _take_up(self, revision: str, level: float) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        text = content[: content.rfind(b"\n") + 1].decode("utf-8", NAMES)  # a last line without its end was cut off
        try:
            records = list(_csv_records(text) if self.form == "csv" else _json_records(text))
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise SettingsError(
                f"--out {self.path} holds something else than answers ({error!r}); give another --out."
            ) from None
        for record in records:
            if record.revision not in ("", revision):
                raise SettingsError(
                    f"--out {self.path} holds answers of revision {record.revision}, and this model is {revision}; give"
                    " another --out."
                )
            if record.level is not None and record.level != level:
                raise SettingsError(
                    f"--out {self.path} holds sets at the level {record.level:g}, and {level:g} is asked for; give"
                    " another --out."
                )
        self._kept = [record for record in records if record.film != records[-1].film and not record.failed]

    def _leave_the_kept(self) -> None:
        """Take what is graded again out of the file."""
        if not self.path.exists():
            return
        with replacing(self.path) as part, part.open("w", encoding="utf-8", errors=NAMES, newline="") as out:
            if self.form == "csv" and self._kept:
                out.write(_line(CSV_COLUMNS))
            out.writelines(record.text for record in self._kept)


def _only_writer(path: Path) -> "FileLock | None":
    """Return the lock of an answer file, None where nothing can be locked.

    Raises SettingsError when another process writes to it: each would take the other's answers out.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(f"--out {path}: another process writes to it; wait for its end, or give another.") from None
    except NotImplementedError:
        return None
    return lock


@dataclass(frozen=True)
class _Record:
    """One line of an answer file. revision: "" where a film failed. level: of the sets in it, if there are any."""

    film: str
    revision: str
    level: float | None
    text: str

    @property
    def failed(self) -> bool:
        return not self.revision


def _csv_records(text: str) -> Iterator[_Record]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if rows and tuple(rows[0]) != CSV_COLUMNS:
        raise ValueError(f"columns {','.join(rows[0])}")
    film, revision, level = (CSV_COLUMNS.index(name) for name in ("film", "revision", "level"))
    if (
        len(rows) > 1 and len(rows[-1]) < len(CSV_COLUMNS) and "\n" in "".join(rows[-1])
    ):  # cut off in a name that holds the end of a line
        rows.pop()
    for row in rows[1:]:
        if len(row) != len(CSV_COLUMNS):
            raise ValueError(f"a row of {len(row)} columns")
        yield _Record(from_cell(row[film]), row[revision], float(row[level]) if row[level] else None, _line(row))


def _json_records(text: str) -> Iterator[_Record]:
    for line in text.split("\n")[:-1]:
        document = json.loads(line)
        film, report = document["film"], document.get("report", {})
        if not isinstance(film, str) or not isinstance(report, dict):
            raise ValueError("a line that is no answer")
        yield _Record(film, report.get("revision", ""), report.get("level"), line + "\n")


def _line(row: Sequence[Any]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(row)  # which has a name quoted that holds either of the two
    return out.getvalue().removesuffix("\r\n") + "\n"


def write_json(answers: Iterable[tuple[str, Answer]], out: TextIO) -> int:
    """One JSON object a line; returns how many films failed."""
    failed = 0
    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            failed += 1
            document: dict[str, Any] = {"film": film, "error": {"code": answer.code, "message": answer.message}}
        else:
            document = {"film": film, "report": answer.to_dict()}
        print(json.dumps(document), file=out, flush=True)
    return failed


def write_csv(answers: Iterable[tuple[str, Answer]], out: TextIO, header: bool = True) -> int:
    """One row a knee, or a film without one; returns how many films failed."""
    failed = 0
    if header:
        out.write(_line(CSV_COLUMNS))
    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            failed += 1
            rows: Iterable[dict[str, Any]] = [{"film": film, "error": answer.message}]
        else:
            rows = _rows(film, answer)
        for row in rows:
            values = (row.get(name, "") for name in CSV_COLUMNS)
            out.write(_line([cell(value) if isinstance(value, str) else value for value in values]))
        out.flush()
    return failed


def _rows(film: str, report: FilmReport) -> Iterator[dict[str, Any]]:
    common = {
        "film": film,
        "refused": report.refused.reason if report.refused else "",
        "model": report.model,
        "revision": report.revision,
    }
    if report.refused and not report.knees:
        yield common
    for number, knee in enumerate(report.knees):
        values = {"knee": number, "side": knee.side or "", "grade": knee.grade, "label": knee.label}
        values |= {"severity": knee.severity, "oa_probability": knee.oa_probability}
        values |= {f"p{grade}": p for grade, p in enumerate(knee.probabilities)}
        yield common | values | {"grade_set": " ".join(map(str, knee.grade_set)), "level": report.level}


def write_table(answers: Iterable[tuple[str, Answer]], out: TextIO) -> int:
    """For reading; returns how many films failed."""
    failed, model = 0, ""
    print(f"{'film':<28} {'side':<6} {'grade':<12} {'set':<6} {'KL>=2':>6}  probabilities 0 1 2 3 4", file=out)
    for film, answer in answers:
        name = on_terminal(Path(film).name)
        name = name if len(name) <= 28 else "..." + name[-25:]
        if isinstance(answer, KneeOAError):
            failed += 1
            print(f"{name:<28} ERROR  {on_terminal(answer.message)}", file=out, flush=True)
            continue
        model = f"model {answer.model}, revision {answer.revision}"
        if answer.refused:
            print(f"{name:<28} {answer.refusal}", file=out)
        for knee in answer.knees:
            span = str(knee.grade_set[0]) if len(knee.grade_set) == 1 else f"{knee.grade_set[0]}-{knee.grade_set[-1]}"
            shares = " ".join(f"{p:.2f}" for p in knee.probabilities)
            print(
                f"{name:<28} {knee.side or '-':<6} {f'{knee.grade} {knee.label}':<12} {span:<6}"
                f" {knee.oa_probability:>6.0%}  {shares}",
                file=out,
            )
        for warning in answer.warnings:
            print(f"{'':<28} note: {warning}", file=out)
        out.flush()
    print(f"{model + '. ' if model else ''}Research use only. Not a medical device.", file=out)
    return failed
