"""Shows operators what the app does: a log of requests as JSON, metrics for Prometheus, and its health.

None of them holds names, keys, films or pixels.
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

from .metrics import EXTENSION, Metrics
from .source import ModelUnavailable, source

REQUEST_ID = "X-Request-ID"
OWN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""The app takes over a caller's request id of this form, and makes its own for any other."""

blueprint = Blueprint("watch", __name__)
log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Formats each record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. A fault gives its place and kind only, since its message may repeat a name or a key."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        line |= {"logger": record.name, "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[1]:
            fault = record.exc_info[1]
            line["trace"] = "".join(traceback.format_tb(fault.__traceback__)) + type(fault).__name__
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Write messages, warnings of libraries and faults of threads to standard error as lines of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # a record that cannot be logged would be printed
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
    """Log the place and the category of a warning. Its message may repeat a film's header, such as a patient's name."""
    log.warning("A library warns", extra={"fields": {"category": category.__name__, "place": f"{filename}:{lineno}"}})


def _failed(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value:
        log.error("A thread failed", exc_info=fault.exc_value)


def register(app: Flask) -> None:
    """Watch every request of the app."""
    app.extensions[EXTENSION] = Metrics()
    app.before_request(_begin)
    app.after_request(_end)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Send the metrics in the text format of Prometheus."""
    return Response(generate_latest(Metrics.of(current_app).registry), content_type=CONTENT_TYPE_LATEST)


def _begin() -> None:
    given = request.headers.get(REQUEST_ID, "")
    g.kneeoa_id = given if OWN_ID.fullmatch(given) else uuid.uuid4().hex
    g.kneeoa_began = time.perf_counter()


def _end(response: Response) -> Response:
    if "kneeoa_id" not in g:  # the request failed before any handler ran
        _begin()
    taken = time.perf_counter() - g.kneeoa_began
    # The rule, since the address may hold the key of a result.
    route = request.url_rule.rule if request.url_rule else "none"
    metrics = Metrics.of(current_app)
    metrics.requests.labels(route, request.method if request.url_rule else "none", str(response.status_code)).inc()
    metrics.seconds.labels(route).observe(taken)
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
    """Answer 200 as long as the process answers at all."""
    return jsonify(status="live")


@health.get("/ready")
def ready() -> Response:
    """Answer 200 once the model is loaded and warmed up. Before that, begin to load it and answer 503."""
    grader = source().loaded
    if grader is None:
        source().warm()
        raise ModelUnavailable
    return jsonify(status="ready", model=grader.model, revision=grader.revision)
