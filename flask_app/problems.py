"""One shape for every error: problem+json (RFC 9457) for programs, a readable page for people."""

import logging
from typing import Any

from flask import Flask, Response, json, render_template, request
from werkzeug.exceptions import HTTPException

from kneeoa_hub.errors import FilmError, KneeOAError, MissingExtra

from .source import RETRY_SECONDS, ModelUnavailable

URN = "urn:kneeoa:error:"
PROGRAM_PATHS = ("/api/", "/health/")
HTTP_ERRORS = {
    400: ("bad-request", "The request could not be read; docs/flask.md shows its form."),
    404: ("not-found", "Nothing is at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    413: ("request-too-large", "The upload is too large, or has too many parts; send fewer or smaller films."),
    500: ("internal", "The server failed on this request and kept no film. Try again, then tell the operator."),
}
"""Code and detail of the errors that HTTP itself knows, by status."""

log = logging.getLogger(__name__)


class NoFilm(FilmError):
    """The request holds no file in the field `film`."""

    code = "no-film"
    status = 400


class ShownError(KneeOAError):
    """Base of the app's own errors that may be shown.

    retry_after: seconds after which trying again may help, 0 when it won't.
    """

    retry_after = 0


class OneFilmOnly(FilmError):
    """Several films where one is answered."""

    code = "one-film-only"
    status = 400


class UnsupportedRequest(KneeOAError):
    """The request's body is neither a form nor a film."""

    code = "unsupported-media-type"
    status = 415


def problem(error: KneeOAError) -> dict[str, Any]:
    """The error as a problem document; `type` is stable and listed in docs/flask.md."""
    return document(error.code, error.status, error.message)


def document(code: str, status: int, detail: str) -> dict[str, Any]:
    return {
        "type": URN + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }


def problem_response(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), content["status"], mimetype="application/problem+json")


def register(app: Flask) -> None:
    """Answer every error that leaves a view."""
    app.register_error_handler(KneeOAError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def _known(error: KneeOAError) -> Response:
    if not isinstance(error, FilmError | ModelUnavailable | MissingExtra | UnsupportedRequest | ShownError):
        return _unforeseen(error)
    response = _answer(problem(error))
    if isinstance(error, ModelUnavailable):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, ShownError) and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error  # a redirect
    code, detail = HTTP_ERRORS.get(status, HTTP_ERRORS[400 if status < 500 else 500])
    response = _answer(document(code, status, detail))
    for name, value in error.get_headers(request.environ):
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value  # such as Allow of a 405
    return response


def _unforeseen(error: Exception) -> Response:
    # The rule and not the address: that may hold the key of a result.
    log.error("%s %s failed", request.method, request.url_rule or "none", exc_info=error)
    code, detail = HTTP_ERRORS[500]
    return _answer(document(code, 500, detail))


def _answer(content: dict[str, Any]) -> Response:
    if request.path.startswith(PROGRAM_PATHS) or request.accept_mimetypes.best == "application/json":
        return problem_response(content)
    return Response(render_template("problem.html", problem=content), content["status"])
