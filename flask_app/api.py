"""Answers API v1: films in, reports out."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from kneeoa_hub import KneeOAError
from kneeoa_hub.errors import FilmError
from kneeoa_hub.grader import Boxes
from kneeoa_hub.output.dicom import secondary_capture, structured_report, to_bytes
from kneeoa_hub.report import Answer, FilmReport

from . import boxes, openapi
from .api_samples import HERE
from .guards import host_is_ours, needs_key
from .problems import OneFilmOnly, problem
from .source import grade_films, source
from .turns import Drawing
from .uploads import contents

DICOM = "application/dicom"

blueprint = Blueprint("api", __name__)


@blueprint.post("/api/v1/grade")
def grade() -> Response:
    """Grade the films of the field `film` in their order, or the film that is the body.

    When the only film cannot be graded, its error is that of the request. Among several films the error stands in the
    film's place. A refusal is an answer, not an error. Boxes say where the knees of the only film lie.
    """
    films = contents()
    grader = source().get()
    entries = grade_films(grader, films, _raised if len(films) == 1 else _entry, _boxes(films))
    return jsonify(films=entries, model=grader.model, revision=grader.revision)


@blueprint.post("/api/v1/overlay")
def overlay() -> Response:
    """Grade one film and answer with it as a picture, with box, grade and evidence of each knee."""
    return Response(_made_of_one(lambda _, report: _png(report)), mimetype="image/png")


@blueprint.post("/api/v1/dicom/report")
def dicom_report() -> Response:
    """Grade one DICOM film and answer with a structured report of its study, to store beside it."""
    return Response(_made_of_one(lambda film, report: to_bytes(structured_report(film, report))), mimetype=DICOM)


@blueprint.post("/api/v1/dicom/secondary-capture")
def dicom_secondary_capture() -> Response:
    """Grade one DICOM film and answer with its overlay as a secondary capture of its study."""
    return Response(_made_of_one(lambda film, report: to_bytes(secondary_capture(film, report))), mimetype=DICOM)


@blueprint.get("/api/v1/model")
def model() -> Response:
    """Say which model answers, and how it decides."""
    grader = source().get()
    config = grader.bundle.config
    return jsonify(
        model=grader.model,
        version=config.version,
        revision=grader.revision,
        grades=list(config.grades),
        decision=config.decision.rule,
        grade_set_level=config.conformal.level,
        input={"height": config.input.height, "width": config.input.width},
    )


@blueprint.get("/openapi.json")
def description() -> Response:
    """Send the OpenAPI description of this API."""
    return jsonify(openapi.document(_here(), key_needed=needs_key(current_app)))


@blueprint.get("/docs")
def documentation() -> str:
    """Show the same description to people."""
    key_needed = needs_key(current_app)
    return render_template(
        "docs.html",
        api=openapi.document(_here(), key_needed=key_needed),
        problems=openapi.problem_types(),
        key_needed=key_needed,
        here=_here(),
    )


def _here() -> str:
    """Return the address for examples: the one under which the visitor has asked, if its host is known to be ours."""
    if not host_is_ours():
        return HERE
    secure = request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"
    return f"{'https' if secure else 'http'}://{request.host}"


def _made_of_one(make: Callable[[bytes, FilmReport], bytes]) -> bytes:
    """Return what is made of the only film of the request and its report."""
    films = contents()
    if len(films) != 1:
        raise OneFilmOnly(
            f"The request holds {len(films)} films, and the answer is about one. Send each film by itself."
        )

    def made(answer: Answer) -> bytes:
        if isinstance(answer, KneeOAError):
            raise answer
        return make(films[0], answer)

    (content,) = grade_films(source().get(), films, made, _boxes(films))
    return content


def _boxes(films: Sequence[bytes]) -> Boxes | None:
    """Return the boxes of the request: fields of its form, or of its address if the body is the film."""
    return boxes.boxes_sent(request.values.getlist(boxes.FIELD), len(films))


def _png(report: FilmReport) -> bytes:
    if not report.knees:
        raise FilmError(f"No knee was graded, so there is no overlay. {report.refusal}")
    file = BytesIO()
    with Drawing.of(current_app).picture():
        report.overlay().save(file, "PNG", compress_level=1)
    return file.getvalue()


def _entry(answer: Answer) -> dict[str, Any]:
    return {"error": problem(answer)} if isinstance(answer, KneeOAError) else answer.to_dict()


def _raised(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, KneeOAError):
        raise answer
    return answer.to_dict()
