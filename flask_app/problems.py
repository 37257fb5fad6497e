"""Gives every error one shape: problem+json (RFC 9457) for programs, a readable page for people."""

import logging
from typing import Any

from flask import Flask, Response, json, render_template, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException

from kneeoa_hub.errors import FilmError, KneeOAError, MissingExtra

from .source import RETRY_SECONDS, ModelUnavailable

URN = "urn:kneeoa:error:"
PROGRAM_PATHS = ("/api/", "/health/")
HTTP_ERRORS = {
    400: ("bad-request", "The server could not read the request. The page /docs shows its form."),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not accept that method."),
    413: ("request-too-large", "The upload is too large or has too many parts. Send fewer or smaller films."),
    500: (
        "internal",
        "The server failed on this request and kept no film. Try again. If it fails again, inform the operator.",
    ),
}
"""Each error of HTTP itself has this code and detail, by its status."""

log = logging.getLogger(__name__)


class NoFilm(FilmError):
    """The request holds no file in the field `film`."""

    code = "no-film"
    status = 400


class ShownError(KneeOAError):
    """This is the base of the app's own errors that may be shown.

    Attributes:
        retry_after: Seconds after which another try may succeed, or 0 if it will not.
    """

    retry_after = 0


class OneFilmOnly(FilmError):
    """The request holds several films where the API answers for one."""

    code = "one-film-only"
    status = 400


class UnsupportedRequest(KneeOAError):
    """The body of the request is neither a form nor a film."""

    code = "unsupported-media-type"
    status = 415


def problem(error: KneeOAError) -> dict[str, Any]:
    """Return the error as a problem document. Its `type` is stable and listed in docs/flask.md."""
    return document(error.code, error.status, error.for_visitors)


def document(code: str, status: int, detail: str) -> dict[str, Any]:
    """Return a problem document of RFC 9457 as JSON values.

    Args:
        code: The error's code, such as film-too-large.
        status: Status of the HTTP response.
        detail: The message for the user.
    """
    return {
        "type": URN + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }


def problem_response(content: dict[str, Any]) -> Response:
    """Return a problem document as a response with its own status."""
    return Response(json.dumps(content), content["status"], mimetype="application/problem+json")


def register(app: Flask) -> None:
    """Answer every error that leaves a view of the app."""
    app.register_error_handler(KneeOAError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def _known(error: KneeOAError) -> Response:
    if not isinstance(error, FilmError | ModelUnavailable | MissingExtra | UnsupportedRequest | ShownError):
        return _unforeseen(error)
    response = _response(problem(error))
    if isinstance(error, ModelUnavailable):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, ShownError) and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = getattr(error, "challenge", "Bearer")
    return response


def _http(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error  # a redirect
    code, detail = HTTP_ERRORS.get(status, HTTP_ERRORS[400 if status < 500 else 500])
    response = _response(document(code, status, detail))
    for name, value in error.get_headers(request.environ):
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value  # such as Allow of a 405
    return response


def _unforeseen(error: Exception) -> Response:
    # The rule and not the address: that may hold the key of a result.
    log.error("%s %s failed", request.method, request.url_rule or "none", exc_info=error)
    code, detail = HTTP_ERRORS[500]
    return _response(document(code, 500, detail))


def _response(content: dict[str, Any]) -> Response:
    # A page has addresses in it, and there are none where the Host of the request cannot be one.
    nowhere = request_ctx.url_adapter is None
    if nowhere or request.path.startswith(PROGRAM_PATHS) or request.accept_mimetypes.best == "application/json":
        return problem_response(content)
    return Response(render_template("problem.html", problem=content), content["status"])
