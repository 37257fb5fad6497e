"""Writes answers as they come: a table for people, CSV and JSON lines for programs."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from ..errors import KneeOAError
from ..escaping import escape_cell, escape_for_terminal
from ..knee import KneeGrade, percent, span
from ..report import DISCLAIMER, Answer, FilmReport

CSV_COLUMNS: tuple[str, ...] = (
    *("film", "knee", "side", "grade", "label", "severity", "oa_probability"),
    *("p0", "p1", "p2", "p3", "p4", "grade_set", "level", "refused", "error", "model", "revision"),
    *("warnings", "likeliest", "left", "top", "right", "bottom", "quality"),
    *("protocol", "film_number"),  # new ones go to the end: programs read it
)
BETWEEN_WARNINGS = " | "
"""This stands between two warnings in one cell."""
ABOUT = re.compile(r"(?:Film (\d+): )?(.+?): ")
"""A warning about one knee begins so: in a study with its film, then with the name of the knee."""
NAME_WIDTHS = (28, 48)
"""The name of a film takes at least and at most these numbers of characters in the table."""


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
    """Write one row for each knee and for each film without one.

    Args:
        answers: Names of films and their answers.
        out: Text file to write to.
        header: Whether the row of column names comes first.

    Returns:
        How many films failed.
    """
    failed = 0
    if header:
        out.write(csv_line(CSV_COLUMNS))
    for film, answer in answers:
        failed += isinstance(answer, KneeOAError)
        for row in rows(film, answer):
            values = (row.get(name, "") for name in CSV_COLUMNS)
            out.write(csv_line([_csv_cell(value) for value in values]))
        out.flush()
    return failed


def rows(film: str, answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield a row for each knee of a film, or one row for a film without knees, by the names of CSV_COLUMNS.

    A row lacks the values that are not known. The row of a knee has the warnings about the film and about that knee.
    """
    if isinstance(answer, KneeOAError):
        yield {"film": film, "error": answer.message}
        return
    common: dict[str, Any] = {"film": film, "model": answer.model, "revision": answer.revision}
    common |= {"refused": answer.refused.reason} if answer.refused else {}
    common |= {"protocol": answer.protocol} if answer.protocol else {}
    if not answer.knees:
        yield common | _quality(answer) | _warnings(answer.warnings)
    for number, (name, knee) in enumerate(zip(answer.names, answer.knees, strict=True)):
        others = set(answer.names) - {name}
        values = _warnings([text for text in answer.warnings if not _is_about(text, others)])
        values |= {"knee": number, "grade": knee.grade, "label": knee.label, "likeliest": knee.likeliest}
        values |= {"side": knee.side} if knee.side else {}
        values |= _quality(answer.film_of(number))
        values |= {"film_number": place} if (place := answer.film_number(number)) else {}
        values |= {"severity": knee.severity, "oa_probability": knee.oa_probability}
        values |= {f"p{grade}": p for grade, p in enumerate(knee.probabilities)}
        values |= dict(zip(("left", "top", "right", "bottom"), knee.box, strict=True))
        yield common | values | {"grade_set": knee.grade_set, "level": answer.level}


def _quality(film: FilmReport) -> dict[str, int]:
    return {} if film.quality is None else {"quality": round(film.quality)}


def _warnings(texts: Sequence[str]) -> dict[str, Any]:
    return {"warnings": BETWEEN_WARNINGS.join(texts)} if texts else {}


def _is_about(warning: str, names: set[str]) -> bool:
    """Tell whether a warning is about one of the named knees. A study may name a knee with its film."""
    start = ABOUT.match(warning)
    return start is not None and not names.isdisjoint((start[2], f"{start[2]} of film {start[1]}"))


def _csv_cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return escape_cell(value) if isinstance(value, str) else value


def write_table(answers: Iterable[tuple[str, Answer]], out: TextIO, longest: int = 0) -> int:
    """Write a table for people, and return how many films failed.

    Args:
        answers: The name of each film, and its answer.
        out: The stream to write to.
        longest: Characters of the longest name, if it is known. A name that is too long loses its middle.
    """
    fewest, most = NAME_WIDTHS
    width = min(max(fewest, longest), most)
    failed, model, marked = 0, "", False
    print(
        f"{'film':<{width}} {'side':<6} {'grade':<10} {'likeliest':<9} {'set':<6} {'KL>=2':>6} "
        " probabilities 0 1 2 3 4",
        file=out,
    )
    for film, answer in answers:
        name = escape_for_terminal(film)
        name = name if len(name) <= width else f"{name[: width // 3]}...{name[width // 3 + 3 - width :]}"
        if isinstance(answer, KneeOAError):
            failed += 1
            print(f"{name:<{width}} ERROR  {escape_for_terminal(answer.message)}", file=out, flush=True)
            continue
        model = f"{answer.model_line} "
        if answer.refused:
            print(f"{name:<{width}} {answer.refusal}", file=out)
        for knee in answer.knees:
            print(f"{name:<{width}} {_table_row(knee)}", file=out)
            marked = marked or knee.likeliest != knee.grade
        for warning in answer.warnings:
            print(f"{'':<{width}} Note: {warning}", file=out)
        out.flush()
    if marked:
        print("* The reported grade takes all five probabilities into account; it is not the likeliest one.", file=out)
    print(f"{model}{DISCLAIMER}", file=out)
    return failed


def _table_row(knee: KneeGrade) -> str:
    grade = f"{knee.grade} {knee.label}"
    likeliest = f"{knee.likeliest}{' *' * (knee.likeliest != knee.grade)}"
    probabilities = " ".join(map(_probability, knee.probabilities))
    oa = percent(knee.oa_probability)
    return f"{knee.side or '-':<6} {grade:<10} {likeliest:<9} {span(knee.grade_set):<6} {oa:>6}  {probabilities}"


def _probability(probability: float) -> str:
    """Return a probability in four characters. Only 0 and 1 themselves read as 0 and 1, as in `percent`."""
    if 0 < probability < 0.005:
        return "<.01"
    return ">.99" if 0.995 <= probability < 1 else f"{probability:.2f}"
