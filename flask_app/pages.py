"""The pages that people open: upload, result, about."""

import mimetypes
from functools import cache
from io import BytesIO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)
from PIL import Image

from kneeoa_hub import KneeOAError
from kneeoa_hub.grades import GRADES
from kneeoa_hub.imaging.decode import READABLE
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.report import DISCLAIMER

from .card import card_html
from .presentation import GradedFilm, osteoarthritis, percent, span
from .problems import NoFilm
from .source import answers, source
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
    """What every template may show. A page never waits for the model to load."""
    return {
        "disclaimer": DISCLAIMER,
        "grader": source().loaded,
        "osteoarthritis": osteoarthritis,
        "percent": percent,
        "span": span,
    }


@blueprint.get("/")
def upload() -> str:
    return _upload_page()


@blueprint.post("/")
def result() -> Response:
    """The films of the form, or the named synthetic one, graded. Only the answer holds them."""
    sample = request.form.get("sample")
    try:
        films = [_sample_upload(sample)] if sample else uploads()
    except NoFilm:
        return Response(_upload_page("Choose at least one film first."), NoFilm.status)
    grader = source().get()
    graded = answers(grader, [film.content for film in films])
    pairs = zip(films, graded, strict=True)
    shown = [GradedFilm.of(film, answer, number) for number, (film, answer) in enumerate(pairs, 1)]
    page = render_template("result.html", films=shown, grades=GRADES, grader=grader, sample=sample)
    # A film alone that failed is the request's failure; among others it is reported in its place.
    alone = graded[0]
    return Response(page, alone.status if len(graded) == 1 and isinstance(alone, KneeOAError) else 200)


@blueprint.get("/samples/<name>.png")
def sample_film(name: str) -> Response:
    """A synthetic film, as the file that would be graded."""
    response = send_file(BytesIO(_sample_upload(name).content), "image/png", etag=False)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@blueprint.get("/about")
def about() -> str:
    """The card of the model that is served."""
    grader = source().get()
    figures = f"{url_for('.about')}/figures/"
    return render_template("about.html", card=card_html(grader.bundle.folder, figures), grader=grader)


@blueprint.get("/about/figures/<path:name>")
def figure(name: str) -> Response:
    """A plot of the model's card."""
    if not (mimetypes.guess_type(name)[0] or "").startswith("image/"):
        abort(404)
    return send_from_directory(source().get().bundle.folder / "figures", name)


def _upload_page(error: str | None = None) -> str:
    most = current_app.config["MAX_CONTENT_LENGTH"]
    return render_template(
        "upload.html",
        error=error,
        field=FIELD,
        readable=READABLE,
        most_bytes=most,
        most_films=current_app.config["MAX_FORM_PARTS"],
        samples=SAMPLE_TITLES,
        grades=GRADES,
    )


def _sample_upload(name: str) -> Upload:
    if name not in SAMPLE_TITLES:
        abort(404)
    return Upload(f"{SAMPLE_TITLES[name]} (synthetic)", _sample_files()[name])


@cache
def _sample_files() -> dict[str, bytes]:
    """Every synthetic film as a PNG file."""
    files = {}
    for name, phantom in sample_films().items():
        file = BytesIO()
        Image.fromarray(phantom.pixels).save(file, "PNG")
        files[name] = file.getvalue()
    return files
