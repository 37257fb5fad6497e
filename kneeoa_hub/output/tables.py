"""Writes answers as they come: a table for people, CSV and JSON lines for programs."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..errors import KneeOAError
from ..inert import cell, on_terminal
from ..report import DISCLAIMER, Answer, FilmReport, KneeGrade, percent, span

CSV_COLUMNS: tuple[str, ...] = (
    *("film", "knee", "side", "grade", "label", "severity", "oa_probability"),
    *("p0", "p1", "p2", "p3", "p4", "grade_set", "level", "refused", "error", "model", "revision"),
)
NAME_WIDTH = 28
"""Characters of a film's name in the table."""


def csv_line(row: Sequence[Any]) -> str:
    """Return a row of a CSV file with its end."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(row)  # quotes a name that holds \r or \n
    return out.getvalue().removesuffix("\r\n") + "\n"


def write_json(answers: Iterable[tuple[str, Answer]], out: TextIO) -> int:
    """Write one JSON object a line, and return how many films failed."""
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
    """Write one row for each knee and for each film without one, and return how many films failed."""
    failed = 0
    if header:
        out.write(csv_line(CSV_COLUMNS))
    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            failed += 1
            rows: Iterable[dict[str, Any]] = [{"film": film, "error": answer.message}]
        else:
            rows = _rows(film, answer)
        for row in rows:
            values = (row.get(name, "") for name in CSV_COLUMNS)
            out.write(csv_line([cell(value) if isinstance(value, str) else value for value in values]))
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
    """Write a table for people, and return how many films failed."""
    failed, model, marked = 0, "", False
    print(f"{'film':<28} {'side':<6} {'grade':<12} {'set':<6} {'KL>=2':>6}  probabilities 0 1 2 3 4", file=out)
    for film, answer in answers:
        name = on_terminal(Path(film).name)
        name = name if len(name) <= NAME_WIDTH else "..." + name[3 - NAME_WIDTH :]
        if isinstance(answer, KneeOAError):
            failed += 1
            print(f"{name:<{NAME_WIDTH}} ERROR  {on_terminal(answer.message)}", file=out, flush=True)
            continue
        model = f"Model {answer.model}, revision {answer.revision}. "
        if answer.refused:
            print(f"{name:<{NAME_WIDTH}} {answer.refusal}", file=out)
        for knee in answer.knees:
            print(f"{name:<{NAME_WIDTH}} {_table_row(knee)}", file=out)
            marked = marked or knee.likeliest != knee.grade
        for warning in answer.warnings:
            print(f"{'':<{NAME_WIDTH}} Note: {warning}", file=out)
        out.flush()
    if marked:
        print("* The reported grade takes all five probabilities into account; it is not the likeliest one.", file=out)
    print(f"{model}{DISCLAIMER}", file=out)
    return failed


def _table_row(knee: KneeGrade) -> str:
    grade = f"{knee.grade} {knee.label}{'*' * (knee.likeliest != knee.grade)}"
    probabilities = " ".join(f"{probability:.2f}" for probability in knee.probabilities)
    oa = percent(knee.oa_probability)
    return f"{knee.side or '-':<6} {grade:<12} {span(knee.grade_set):<6} {oa:>6}  {probabilities}"
