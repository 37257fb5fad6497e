"""Keeps graded films in memory for a few minutes, under an address that cannot be guessed, and offers them as files."""

import io
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Response

from kneeoa_hub import KneeOAError
from kneeoa_hub.output.printable import new_document
from kneeoa_hub.output.tables import write_csv

from .presentation import ShownFilm
from .problems import ShownError, problem
from .turns import Drawing

KEPT_SECONDS = 600
"""A result is kept for ten minutes."""
MARGIN_SECONDS = 1
"""The timer looks a second after a result is due."""
MOST_BYTES = 128 * 2**20
"""All kept films together take at most 128 MB; beyond it the oldest go first."""
FILM_OVERHEAD = 4096
"""A kept film takes 4 kB beside its picture, name and document."""


class ResultGone(ShownError):
    """No result is kept under this address, or not any more."""

    code = "result-gone"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            f"This result is gone. The app deletes films {KEPT_SECONDS // 60} minutes after it has graded them, or"
            " sooner when it grades many. Send them again."
        )


@dataclass(frozen=True)
class Result:
    """Holds the films of one request.

    Attributes:
        key: The last part of the result's address.
        films: The films in the order of the request.
        kept_at: The time by the store's clock at which the result was kept, in seconds.
        sample: Whether the films are synthetic.
        study: The findings of the study whose films they are, or "".
    """

    key: str
    films: tuple[ShownFilm, ...]
    kept_at: float
    sample: bool = False
    study: str = ""

    @cached_property
    def bytes(self) -> int:
        """The approximate size of files, pictures, maps, names and documents in bytes."""
        return sum(
            film.kept_bytes + FILM_OVERHEAD + len(film.name.encode("utf-8", "replace")) + len(json.dumps(film.document))
            for film in self.films
        )


class Results:
    """Holds what a process has graded lately. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._shown: set[str] = set()
        self._timer: threading.Timer | None = None

    def keep(self, films: Sequence[ShownFilm], sample: bool = False, study: str = "") -> Result:
        """Keep the films under a new key of 128 random bits.

        Args:
            films: The films with their answers, in the order of the request.
            sample: Whether they are samples of the app, of which no reading is stored.
            study: The findings of the study whose films they are, or "".
        """
        result = Result(secrets.token_urlsafe(16), tuple(films), self._clock(), sample, study)
        with self._lock:
            self._kept[result.key] = result
            self._forget()
            self._watch()
        return result

    def get(self, key: str) -> Result:
        """Return the result of a key. Raises ResultGone."""
        with self._lock:
            self._forget()
            if key not in self._kept:
                raise ResultGone
            return self._kept[key]

    def show(self, key: str) -> Result:
        """Return the result for a page that shows the model's answers, and remember that. Raises ResultGone."""
        result = self.get(key)
        with self._lock:
            if key in self._kept:
                self._shown.add(key)
        return result

    def was_shown(self, key: str) -> bool:
        """Return whether a page has shown the model's answers."""
        return key in self._shown

    def _watch(self) -> None:
        """Start a timer for the oldest result, so that it goes in time even when no request comes any more."""
        if self._timer is None and self._kept:
            due = next(iter(self._kept.values())).kept_at + KEPT_SECONDS
            self._timer = threading.Timer(max(due - self._clock(), 0) + MARGIN_SECONDS, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            self._forget()
            self._watch()

    def _forget(self) -> None:
        now, total = self._clock(), sum(result.bytes for result in self._kept.values())
        while self._kept:
            oldest = next(iter(self._kept.values()))
            alone = len(self._kept) == 1
            if now - oldest.kept_at < KEPT_SECONDS and (total <= MOST_BYTES or alone):
                return
            del self._kept[oldest.key]
            self._shown.discard(oldest.key)
            total -= oldest.bytes


FORMS = {"pdf": "application/pdf", "json": "application/json", "csv": "text/csv"}
"""Each form of download has this content type."""


def download(form: str, films: Sequence[ShownFilm], drawing: Drawing) -> Response:
    """Return the films in one of FORMS as an attachment.

    Args:
        form: The form.
        films: The films of a result, or one of them.
        drawing: The turns of the app.

    Raises:
        MissingExtra: A PDF needs a package that is not installed.
        Busy: Others already make as many PDFs as may be made at once.
    """
    content = _pdf(films, drawing) if form == "pdf" else {"json": _json, "csv": _csv}[form](films)
    name = f"kneeoa-film-{films[0].number}.{form}" if len(films) == 1 else f"kneeoa-films.{form}"
    return Response(content, mimetype=FORMS[form], headers={"Content-Disposition": f"attachment; filename={name}"})


def _pdf(films: Sequence[ShownFilm], drawing: Drawing) -> bytes:
    with drawing.document():
        document = new_document(Path("report.pdf"))
        for film in films:
            with drawing.picture():
                document.add(f"Film {film.number}: {film.name}", film.answer, film.study)
        return document.content()


def _json(films: Sequence[ShownFilm]) -> str:
    entries = [
        {
            "name": film.name,
            **({"error": problem(film.answer)} if isinstance(film.answer, KneeOAError) else film.document),
        }
        for film in films
    ]
    return json.dumps(entries[0] if len(entries) == 1 else entries, indent=1)


def _csv(films: Sequence[ShownFilm]) -> str:
    out = io.StringIO()
    write_csv(((film.name, film.measured) for film in films), out)
    return out.getvalue()
