"""Answers API v1: films in, reports out."""

from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from kneeoa_hub import KneeOAError
from kneeoa_hub.output.dicom import structured_report, to_bytes
from kneeoa_hub.report import Answer

from . import openapi
from .problems import OneFilmOnly, problem
from .source import grade_films, source
from .uploads import contents

DICOM = "application/dicom"

blueprint = Blueprint("api", __name__)


@blueprint.post("/api/v1/grade")
def grade() -> Response:
    """Grade the films of the field `film` in their order, or the film that is the body.

    When the only film cannot be graded, its error is that of the request. Among several films the error stands in the
    film's place. A refusal is an answer, not an error.
    """
    films = contents()
    grader = source().get()
    entries = grade_films(grader, films, _raised if len(films) == 1 else _entry)
    return jsonify(films=entries, model=grader.model, revision=grader.revision)


@blueprint.post("/api/v1/dicom/report")
def dicom_report() -> Response:
    """Grade one DICOM film and answer with a structured report of its study, to store beside it."""
    films = contents()
    if len(films) != 1:
        raise OneFilmOnly(
            f"The request holds {len(films)} films, and a structured report is about one. Send each film by itself."
        )
    (content,) = grade_films(source().get(), films, lambda answer: _object(films[0], answer))
    return Response(content, mimetype=DICOM)


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
    return jsonify(openapi.document())


@blueprint.get("/docs")
def documentation() -> str:
    """Show the same description to people."""
    return render_template("docs.html", api=openapi.document(), problems=openapi.problem_types())


def _entry(answer: Answer) -> dict[str, Any]:
    return {"error": problem(answer)} if isinstance(answer, KneeOAError) else answer.to_dict()


def _object(film: bytes, answer: Answer) -> bytes:
    if isinstance(answer, KneeOAError):
        raise answer
    return to_bytes(structured_report(film, answer))


def _raised(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, KneeOAError):
        raise answer
    return answer.to_dict()
