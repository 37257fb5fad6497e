"""API v1: films in, reports out."""

from typing import Any

from flask import Blueprint, Response, jsonify

from kneeoa_hub import KneeOAError

from .problems import problem
from .source import answers, source
from .uploads import uploads

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


@blueprint.post("/grade")
def grade() -> Response:
    """Grade the films of the field `film`, in their order.

    A film alone that can't be graded is the request's error; among others it is reported in its place.
    A refusal is an answer, not an error.
    """
    films = [upload.content for upload in uploads()]
    grader = source().get()
    graded = answers(grader, films)
    if len(graded) == 1 and isinstance(graded[0], KneeOAError):
        raise graded[0]
    return jsonify(films=[_entry(answer) for answer in graded], model=grader.model, revision=grader.revision)


@blueprint.get("/model")
def model() -> Response:
    """Which model answers, and how it decides."""
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


def _entry(answer: Any) -> dict[str, Any]:
    return {"error": problem(answer)} if isinstance(answer, KneeOAError) else answer.to_dict()
