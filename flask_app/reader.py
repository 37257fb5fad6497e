"""Records the grades of a second reader beside the model's, compares them, and exports them as CSV for training."""

import re

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from kneeoa_hub.grades import GRADES, NUM_GRADES

from .problems import ShownError
from .results import Result, Results
from .store import Reading, Readings, agreement, as_csv

READER = re.compile(r"[A-Za-z0-9._-]{1,32}")
FIELD = re.compile(r"grade-(\d{1,3})-(\d{1,2})")
"""The field of a form for one knee has this name: the number of the film on the page, and of the knee on the film."""

blueprint = Blueprint("reader", __name__)


class BadReading(ShownError):
    """The form of a reader holds something that cannot be saved."""

    code = "bad-reading"
    status = 400


class AlreadyShown(ShownError):
    """A grade claims to be given before the model's answer, but comes after it."""

    code = "already-shown"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "The app has already shown the model's answers for these films, so it cannot count a grade as given before"
            " them. Nothing was changed."
        )


@blueprint.post("/results/<key>/readings")
def record(key: str) -> AnyResponse:
    """Save the grades of the form, then show the result with the model's answers."""
    store, results = _store(), current_app.extensions["kneeoa_results"]
    assert isinstance(results, Results)
    result = results.get(key)
    if result.sample:
        raise BadReading("The app saves no reader's grade of a synthetic film. Send a film of your own.")
    readings = _readings(result)
    # A form that is sent again, by the Back button or by whoever has seen it, changes no grade that was given blind.
    if any(reading.before for reading in readings) and results.was_shown(key):
        raise AlreadyShown
    store.save(readings)
    return redirect(url_for("pages.result", key=key, saved=len(readings)), 303)


@blueprint.get("/readings")
def overview() -> str:
    """Show how far readers and model agree."""
    readings = _store().all()
    parts = {
        "before the model's answer was shown": [r for r in readings if r.before],
        "after the model's answer was shown": [r for r in readings if not r.before],
    }
    return render_template(
        "readings.html",
        parts={words: agreement(part) for words, part in parts.items()},
        readings=readings,
        grades=GRADES,
    )


@blueprint.get("/readings.csv")
def export() -> Response:
    """Send every reading as CSV."""
    headers = {"Content-Disposition": "attachment; filename=kneeoa-readings.csv"}
    return Response(as_csv(_store().all()), mimetype="text/csv", headers=headers)


def _readings(result: Result) -> list[Reading]:
    reader, before = request.form.get("reader", "").strip(), request.form.get("before") == "1"
    if not READER.fullmatch(reader):
        raise BadReading(
            "Enter your reader code: 1 to 32 letters, digits, dots, dashes or underscores. Do not enter a"
            " patient's name."
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
                "The form holds a grade outside 0 to 4, or of a knee that is not in this result. Open the result again."
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
        raise BadReading("The form holds no grade. Choose 0 to 4 for at least one knee.")
    return found


def _store() -> Readings:
    store = Readings.of(current_app)
    if store is None:
        abort(404)
    return store
