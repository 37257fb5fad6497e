"""What an orchestrator asks: is the process alive, and may it be sent films."""

from flask import Blueprint, Response, jsonify

from .source import ModelUnavailable, source

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """200 as long as the process answers at all."""
    return jsonify(status="live")


@blueprint.get("/ready")
def ready() -> Response:
    """200 once the model is loaded and warmed up; before that 503, and loading begins."""
    grader = source().loaded
    if grader is None:
        source().warm()
        raise ModelUnavailable
    return jsonify(status="ready", model=grader.model, revision=grader.revision)
