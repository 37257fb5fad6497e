"""What an operator sees: a log of requests as JSON, and figures for Prometheus.

Neither holds names, keys, films or pixels.
"""

import json
import logging
import re
import threading
import time
import traceback
import uuid
import warnings
from datetime import UTC, datetime
from typing import TextIO

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .figures import EXTENSION, Figures
from .source import ModelUnavailable, source

REQUEST_ID = "X-Request-ID"
OWN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""What a caller's request id may look like to be taken over."""

blueprint = Blueprint("watch", __name__)
log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """A line of JSON a record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        line |= {"logger": record.name, "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[1]:
            # Where it happened and what kind it was. What it says may repeat a film's header, a name or a key.
            fault = record.exc_info[1]
            line["trace"] = "".join(traceback.format_tb(fault.__traceback__)) + type(fault).__name__
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Whatever the process says on standard error is a line of JSON: messages, warnings of libraries, and faults of
    threads.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # what can't be logged would be printed
    warnings.showwarning = _warned
    threading.excepthook = _failed


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Where it comes from and what kind it is.

    What it says may repeat a film's header: libraries warn of a patient's name.
    """
    log.warning("A library warns", extra={"fields": {"category": category.__name__, "place": f"{filename}:{lineno}"}})


def _failed(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value:
        log.error("A thread failed", exc_info=fault.exc_value)


def register(app: Flask) -> None:
    """Watch every request of the app."""
    app.extensions[EXTENSION] = Figures()
    app.before_request(_begin)
    app.after_request(_end)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(Figures.of(current_app).registry), content_type=CONTENT_TYPE_LATEST)


def _begin() -> None:
    given = request.headers.get(REQUEST_ID, "")
    g.kneeoa_id = given if OWN_ID.fullmatch(given) else uuid.uuid4().hex
    g.kneeoa_began = time.perf_counter()


def _end(response: Response) -> Response:
    if "kneeoa_id" not in g:  # the request was not understood so far
        _begin()
    taken = time.perf_counter() - g.kneeoa_began
    # The rule and not the address: that may hold the key of a result.
    route = request.url_rule.rule if request.url_rule else "none"
    figures = Figures.of(current_app)
    figures.requests.labels(route, request.method if request.url_rule else "none", str(response.status_code)).inc()
    figures.seconds.labels(route).observe(taken)
    response.headers[REQUEST_ID] = g.kneeoa_id
    fields = {
        "request": g.kneeoa_id,
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "milliseconds": round(1000 * taken, 1),
    }
    log.info("answered", extra={"fields": fields})
    return response


health = Blueprint("health", __name__, url_prefix="/health")


@health.get("/live")
def live() -> Response:
    """200 as long as the process answers at all."""
    return jsonify(status="live")


@health.get("/ready")
def ready() -> Response:
    """200 once the model is loaded and warmed up; before that 503, and loading begins."""
    grader = source().loaded
    if grader is None:
        source().warm()
        raise ModelUnavailable
    return jsonify(status="ready", model=grader.model, revision=grader.revision)
