"""A second reader's own grades: recorded beside the model's, compared, and exported as the CSV that training reads."""

import re

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from kneeoa_hub.grades import GRADES, NUM_GRADES

from .problems import ShownError
from .results import Result, Results
from .store import Reading, Readings, agreement, as_csv

READER = re.compile(r"[A-Za-z0-9._-]{1,32}")
FIELD = re.compile(r"grade-(\d{1,3})-(\d{1,2})")
"""A form's field of film and knee, both by their number on the page."""

blueprint = Blueprint("reader", __name__)


class BadReading(ShownError):
    """A reader's form that can't be kept as it is."""

    code = "bad-reading"
    status = 400


class AlreadyShown(ShownError):
    """A grade that says it was given before the model's answer, and comes after it."""

    code = "already-shown"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "The model's answers to these films were shown already, so no grade can be counted as given before them;"
            " nothing was changed."
        )


@blueprint.post("/results/<key>/readings")
def record(key: str) -> AnyResponse:
    """Keep the grades of the form, then show the result with the model's answers."""
    store, results = _store(), current_app.extensions["kneeoa_results"]
    assert isinstance(results, Results)
    result = results.get(key)
    if result.sample:
        raise BadReading("Synthetic films are for trying the tool; readers' grades are kept of films that were sent.")
    readings = _readings(result)
    # A form that is sent again, by the Back button or by whoever has seen it, changes no grade that was given blind.
    if any(reading.before for reading in readings) and results.was_shown(key):
        raise AlreadyShown
    store.save(readings)
    return redirect(url_for("pages.result", key=key), 303)


@blueprint.get("/readings")
def overview() -> str:
    """How far readers and model agree."""
    readings = _store().all()
    parts = {
        "before the model's answer was shown": [r for r in readings if r.before],
        "after it was shown": [r for r in readings if not r.before],
    }
    return render_template(
        "readings.html",
        parts={words: agreement(part) for words, part in parts.items()},
        readings=readings,
        grades=GRADES,
    )


@blueprint.get("/readings.csv")
def export() -> Response:
    """Every reading."""
    headers = {"Content-Disposition": "attachment; filename=kneeoa-readings.csv"}
    return Response(as_csv(_store().all()), mimetype="text/csv", headers=headers)


def _readings(result: Result) -> list[Reading]:
    reader, before = request.form.get("reader", "").strip(), request.form.get("before") == "1"
    if not READER.fullmatch(reader):
        raise BadReading(
            "Give your reader's code: 1 to 32 letters, digits, dots, dashes or underscores, and no patient's name."
        )
    films = {film.number: film for film in result.films if film.report}
    found = []
    for field, text in request.form.items():
        place = FIELD.fullmatch(field)
        if not place or not text:  # a knee that was left open
            continue
        film, number = films.get(int(place[1])), int(place[2])
        if (
            film is None
            or film.report is None
            or number >= len(film.report.knees)
            or text not in map(str, range(NUM_GRADES))
        ):
            raise BadReading(
                "The form holds a grade that is not 0 to 4, or of a knee that is not in this result; open the result"
                " again."
            )
        knee = film.report.knees[number]
        found.append(
            Reading(
                film.sha256,
                number,
                knee.side,
                reader,
                before,
                int(text),
                knee.grade,
                film.report.model,
                film.report.revision,
            )
        )
    if not found:
        raise BadReading("No knee was given a grade; choose one of 0 to 4 for at least one knee.")
    return found


def _store() -> Readings:
    store = Readings.of(current_app)
    if store is None:
        abort(404)
    return store
