"""Serves the pages that people open: upload, result, about."""

import mimetypes
from functools import cache
from io import BytesIO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)
from PIL import Image
from werkzeug.wrappers import Response as AnyResponse

from kneeoa_hub.grades import GRADES
from kneeoa_hub.imaging.formats import READABLE_FORMATS
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.knee import percent
from kneeoa_hub.output import knee_html
from kneeoa_hub.report import DISCLAIMER, Answer
from kneeoa_hub.sources import readers_followed

from . import archive
from .boxes import boxes_of
from .card import card_html
from .node import worklist
from .presentation import OVERLAY, ShownFilm
from .problems import NoFilm
from .results import FORMS, KEPT_SECONDS, Result, Results, download
from .source import grade_films, source
from .store import Readings, ReadingsUnavailable
from .turns import Drawing
from .uploads import FIELD, Upload, uploads

SAMPLE_TITLES = {
    "normal": "Normal",
    "doubtful": "Doubtful",
    "mild": "Mild",
    "moderate": "Moderate",
    "severe": "Severe",
    "both-knees": "Both knees",
    "sixteen-bit": "16-bit file",
}

blueprint = Blueprint("pages", __name__)


@blueprint.app_context_processor
def shared() -> dict[str, object]:
    """Return what every template may show. A page never waits for the model to load."""
    return {
        "disclaimer": DISCLAIMER,
        "grader": source().loaded,
        "percent": percent,
        "html": knee_html,
        "readers_followed": readers_followed,
        "keeps_readings": Readings.of(current_app) is not None,
        "kept_minutes": KEPT_SECONDS // 60,
        "archive": archive.EXTENSION in current_app.extensions,
        "worklist": worklist.EXTENSION in current_app.extensions,
    }


@blueprint.get("/")
def upload() -> str:
    """Show the form for films."""
    return _upload_page()


@blueprint.post("/")
def grade() -> AnyResponse | tuple[Response, int]:
    """Grade the films of the form, or the synthetic film that it names.

    The answer is the result's page. A script that asks for JSON gets its address, or a problem when nothing could be
    graded.
    """
    sample = request.form.get("sample")
    by_script = request.accept_mimetypes.best == "application/json"
    try:
        films = [_sample_upload(sample)] if sample else uploads()
    except NoFilm:
        if by_script:
            raise
        return Response(_upload_page("Choose at least one film first."), NoFilm.status)
    places = iter(enumerate(films, 1))

    def show(answer: Answer) -> ShownFilm:
        number, film = next(places)
        return ShownFilm.of(film, answer, number)

    graded = grade_films(source().get(), [film.content for film in films], show)
    result = _results().keep(graded, sample=bool(sample))
    blind = "blind" in request.form and Readings.of(current_app) is not None
    # A film alone that failed is the request's failure; among others it is reported in its place.
    alone = graded[0].error if len(graded) == 1 else None
    if by_script:
        if alone:
            raise alone
        return jsonify(result=url_for(".read_first" if blind else ".result", key=result.key)), 201
    if blind and not alone:
        return redirect(url_for(".read_first", key=result.key), 303)
    return Response(_result_page(result.key), alone.status if alone else 200)


@blueprint.get("/results/<key>")
def result(key: str) -> str:
    """Show a result again while it is kept."""
    return _result_page(key)


@blueprint.get("/results/<key>/read-first")
def read_first(key: str) -> str:
    """Show the films of a result without the model's answers, for a reader who grades first."""
    if Readings.of(current_app) is None:
        abort(404)
    return render_template("read_first.html", result=_results().get(key), grades=GRADES)


@blueprint.get("/results/<key>/films/<int:number>/<name>.jpg")
def picture(key: str, number: int, name: str) -> Response:
    """Send a film of a result, or its overlay. Pictures have their own addresses, so that a page holds none of them.

    Args:
        key: The key of the result.
        number: Number of the film in the result.
        name: OVERLAY, or another picture of the film.
    """
    film = _film(_results().get(key), number)
    if name == OVERLAY:
        _results().show(key)
    with Drawing.of(current_app).picture():
        content = film.picture(name)
    if content is None:
        abort(404)
    return Response(content, mimetype="image/jpeg")


@blueprint.post("/results/<key>/films/<int:number>/boxes")
def grade_boxes(key: str, number: int) -> AnyResponse:
    """Grade a film again in the boxes of the form. The answer is a new result beside the old one."""
    kept = _results().show(key)  # so that no grade of a reader is taken for one from before the answer
    film = _film(kept, number)
    if film.content is None:
        abort(404)
    upload = Upload(film.name, film.content)
    (again,) = grade_films(
        source().get(), [film.content], lambda answer: ShownFilm.of(upload, answer, number), boxes_of(request.form)
    )
    if again.error:
        raise again.error
    films = [again if one.number == number else one for one in kept.films]
    result = _results().keep(films, sample=kept.sample)
    return redirect(url_for(".result", key=result.key, _anchor=again.anchor), 303)


@blueprint.get("/results/<key>/report.<form>")
def report(key: str, form: str) -> Response:
    """Send a result as a file: PDF, JSON or CSV. The argument `film` selects one film by its number."""
    kept = _results().show(key)
    number = request.args.get("film", type=int)
    films = [film for film in kept.films if number in (None, film.number)]
    if form not in FORMS or not films:
        abort(404)
    return download(form, films, Drawing.of(current_app))


@blueprint.get("/static/knee.css")
def knee_style() -> AnyResponse:
    """Send the style of a graded knee, which the app shares with the Space and the printable report."""
    response = Response(knee_html.STYLE, mimetype="text/css")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return response.make_conditional(request)


@blueprint.get("/samples/<name>.png")
def sample_film(name: str) -> Response:
    """Send a synthetic film as the file that would be graded."""
    response = send_file(BytesIO(_sample_upload(name).content), "image/png", etag=False)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@blueprint.get("/about")
def about() -> str:
    """Show the card of the model that the app serves."""
    grader = source().get()
    figures = f"{url_for('.about')}/figures/"
    return render_template("about.html", card=card_html(grader.bundle, figures), grader=grader)


@blueprint.get("/about/figures/<path:name>")
def figure(name: str) -> Response:
    """Send a plot of the model's card."""
    if not (mimetypes.guess_type(name)[0] or "").startswith("image/"):
        abort(404)
    return send_from_directory(source().get().bundle.folder / "figures", name)


def _results() -> Results:
    return current_app.extensions["kneeoa_results"]


def _film(result: Result, number: int) -> ShownFilm:
    """Return a film of a result by its number. A number without a film, or with only its error, is not found."""
    film = next((film for film in result.films if film.number == number and film.report), None)
    return film or abort(404)


def _result_page(key: str) -> str:
    result = _results().show(key)
    store = Readings.of(current_app)
    try:
        read = store.of_films({film.sha256 for film in result.films}) if store and not result.sample else {}
    except ReadingsUnavailable:  # the grades of the films are worth showing all the same
        read = {}
    films = result.films
    table = [(film.anchor, film.view) for film in films]
    return render_template(
        "result.html", result=result, films=films, table=table, grades=GRADES, read=read, forms=FORMS
    )


def _upload_page(error: str | None = None) -> str:
    most = current_app.config["MAX_CONTENT_LENGTH"]
    return render_template(
        "upload.html",
        error=error,
        field=FIELD,
        readable=READABLE_FORMATS,
        most_bytes=most,
        most_films=current_app.config["MAX_FILMS"],
        samples=SAMPLE_TITLES,
        grades=GRADES,
    )


def _sample_upload(name: str) -> Upload:
    if name not in SAMPLE_TITLES:
        abort(404)
    with Drawing.of(current_app).picture():  # a browser asks for all of them at once, and the first draws them
        files = _sample_files()
    return Upload(f"{SAMPLE_TITLES[name]} (synthetic)", files[name])


@cache
def _sample_files() -> dict[str, bytes]:
    """Return every synthetic film as a PNG file, by name."""
    files = {}
    for name, phantom in sample_films().items():
        file = BytesIO()
        Image.fromarray(phantom.pixels).save(file, "PNG")
        files[name] = file.getvalue()
    return files
