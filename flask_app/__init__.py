"""Serves the Flask app: pages for people, an API for programs. Films stay in the memory of the process.

This is research software, not a medical device.
"""

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Request, Response, current_app
from werkzeug.exceptions import BadRequest

from kneeoa_hub.settings import Settings

from . import api, archive, forms, guards, pages, problems, reader, watch
from .bodies import Bodies
from .keys import read_keys
from .node import worklist
from .node.settings import NodeSettings
from .presentation import with_code
from .results import Results
from .source import QUEUE, Grader, GraderSource, from_settings
from .store import EXTENSION, Readings
from .turns import EXTENSION as DRAWING
from .turns import Drawing, Turns

MAX_FILMS = 50
"""A request may hold 50 films."""
FORM_FIELDS = 200
"""A form may hold 200 other fields, such as a reader's grades."""
REQUEST_FILMS_OF_LARGEST_SIZE = 2
"""A request may be twice as large as the largest film: one of those, or many ordinary ones."""
MULTIPART_OVERHEAD = 64 * 1024
"""A request may have 64 kB beside its films."""
URLENCODED = "application/x-www-form-urlencoded"
URLENCODED_BYTES = 64 * 1024
"""A form without files has at most 64 kB. Each field takes a hundred bytes of memory, and may take two of the form."""
BODIES = "kneeoa_bodies"
PRINTABLE = "".join(map(chr, range(32, 127)))

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action"
        " 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class InMemoryRequest(Request):
    """Keeps uploads in memory, and forms small. Each of their parts has a name.

    Werkzeug's own request would spool uploads over 500 KB to a file, and take urlencoded forms of any size.
    """

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()

    def _load_form_data(self) -> None:
        if self.mimetype == URLENCODED:
            self.max_content_length = URLENCODED_BYTES
        super()._load_form_data()
        if None in self.form or None in self.files:
            raise BadRequest("A part of the form has no name.")


class KneeOAApp(Flask):
    """This is the app, with what a server tells it."""

    request_class = InMemoryRequest

    def stop(self) -> None:
        """Turn away the requests that wait, as the server stops. Those that are being graded are answered."""
        self.extensions[QUEUE].stop()
        self.extensions[BODIES].stop()

    def count_turned_away(self) -> None:
        """Count a request for which the server had no room."""
        watch.Metrics.of(self).turned_away.inc()


def create_app(
    config: Settings | None = None,
    grader: Grader | None = None,
    keys: Mapping[str, str] | None = None,
    make_readings: bool = True,
    node: NodeSettings | None = None,
) -> KneeOAApp:
    """Return the WSGI application. Raises SettingsError for a setting that cannot be used.

    Args:
        config: The settings; by default those of the `KNEEOA_*` variables.
        grader: The model; by default the one at the address of the settings. It is loaded when the server starts, or
            for the first film, or for the first question whether the app is ready.
        keys: The API keys as `keys.read_keys` returns them; by default those in the file of the settings.
        make_readings: Whether the app may make SQLite's file for readers' grades.
        node: The settings of the DICOM node whose worklist the app shows; by default those of the variables. Without
            a folder there is none.
    """
    settings = config or Settings.from_environ()
    app = KneeOAApp(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=REQUEST_FILMS_OF_LARGEST_SIZE * settings.max_bytes + MULTIPART_OVERHEAD,
        MAX_FORM_PARTS=MAX_FILMS + FORM_FIELDS,
        MAX_FILMS=MAX_FILMS,
    )
    watch.register(app)
    guards.register(app, settings, keys)
    forms.protect(app, settings.secret_key, api.blueprint)
    metrics = watch.Metrics.of(app)
    app.extensions[BODIES] = Bodies(app.wsgi_app, metrics)
    app.wsgi_app = _secured(app.extensions[BODIES])  # type: ignore[method-assign]  # as Flask says to
    app.extensions[QUEUE] = Turns(settings.queue, metrics)
    app.extensions["kneeoa"] = GraderSource(
        (lambda: grader) if grader else from_settings(settings),
        lambda found: metrics.model.info({"model": found.model, "revision": found.revision}),
    )
    app.extensions["kneeoa_results"] = Results()
    app.extensions[DRAWING] = Drawing()
    if settings.reader_db:
        app.extensions[EXTENSION] = Readings(settings.reader_db, make_readings)
    app.jinja_env.filters["code"] = with_code
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(watch.health)
    app.register_blueprint(reader.blueprint)
    people = keys or (read_keys(Path(settings.api_keys)) if settings.api_keys else {})
    if settings.dicomweb:
        archive.register(app, settings, people)
    if node := node or NodeSettings.of_node():
        worklist.register(app, node, people)
    problems.register(app)
    app.after_request(_signed)
    return app


def _signed(response: Response) -> Response:
    """Name the model and its revision in the headers of a response."""
    if grader := current_app.extensions["kneeoa"].loaded:
        response.headers["KneeOA-Model"] = quote(grader.model, PRINTABLE)  # headers hold no other letters
        response.headers["KneeOA-Revision"] = quote(grader.revision, PRINTABLE)
    return response


def _secured(app: WSGIApplication) -> WSGIApplication:
    """Add SECURITY_HEADERS to every response. Flask's own headers would check each value again in every response."""
    common = list(SECURITY_HEADERS.items())

    def secured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            stored = any(name == "Cache-Control" for name, _ in headers)
            private = [] if stored else [("Cache-Control", "no-store")]  # a response may show a film
            return start_response(status, headers + common + private, *error)

        return app(environ, start)

    return secured
