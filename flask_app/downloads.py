"""A result as a file to save."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from flask import Response

from kneeoa_hub import KneeOAError
from kneeoa_hub.answers import write_csv
from kneeoa_hub.document import new_document

from .drawing import Drawing
from .presentation import GradedFilm
from .problems import problem

FORMS = {"pdf": "application/pdf", "json": "application/json", "csv": "text/csv"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what a cell begins that a spreadsheet would compute."""


def download(form: str, films: Sequence[GradedFilm], drawing: Drawing) -> Response:
    """The films in one of FORMS, as an attachment. Raises MissingExtra for a PDF without its package, Busy when others make too many."""
    content = _pdf(films, drawing) if form == "pdf" else {"json": _json, "csv": _csv}[form](films)
    name = f"kneeoa-film-{films[0].number}.{form}" if len(films) == 1 else f"kneeoa-films.{form}"
    return Response(content, mimetype=FORMS[form], headers={"Content-Disposition": f"attachment; filename={name}"})


def _pdf(films: Sequence[GradedFilm], drawing: Drawing) -> bytes:
    with drawing.document():
        document = new_document(Path("report.pdf"))
        for film in films:
            with drawing.picture():
                document.add(f"Film {film.number}: {film.name}", film.answer)
        return document.content()


def _json(films: Sequence[GradedFilm]) -> str:
    entries = [{"name": film.name, **({"error": problem(film.answer)} if isinstance(film.answer, KneeOAError) else film.document)} for film in films]
    return json.dumps(entries[0] if len(entries) == 1 else entries, indent=1)


def _csv(films: Sequence[GradedFilm]) -> str:
    out = io.StringIO()
    write_csv(((_inert(film.name), film.answer) for film in films), out)
    return out.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text
