"""Shows the worklist: pages of the Flask app with what came of each study, which send again and keep an audit trail.

The identifiers of a study are shown as pseudonyms, or in clear if the setting says so. A search is sent as a form, so
that no address holds an accession number.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, url_for
from prometheus_client.core import GaugeMetricFamily
from werkzeug.wrappers import Response as AnyResponse

from kneeoa_hub.errors import SettingsError

from ..keys import sign_in
from ..metrics import Metrics
from ..problems import ShownError
from .dead import DeadLetters
from .queue import Queue
from .rows import STATES, StudyRow, Wanted, as_csv, counts, rows
from .settings import NodeSettings

EXTENSION = "kneeoa_node"
MOST_ROWS = 500
"""A page has at most 500 rows."""
SENT_AGAIN = (
    "The report waits to be sent. The node tries within seconds, and tries again later while the archive does not take"
    " it. Search again to see whether it was sent."
)
NOT_SENT_AGAIN = "The node no longer has the report of this study, so nothing was sent."
"""After a request to send a report again, the page shows one of these two texts, the second if there is no report."""
MOST_AUDIT = 500
"""The page of the audit trail has at most 500 lines."""

blueprint = Blueprint("worklist", __name__, url_prefix="/studies")


class WorklistUnavailable(ShownError):
    """The queue of the node cannot be read or written. The log has the reason."""

    code = "worklist-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("The worklist cannot be read or changed now. Try again, or inform the operator.")


class BadSearch(ShownError):
    """The form of the worklist holds a day or a state that does not exist."""

    code = "bad-search"
    status = 400

    def __init__(self) -> None:
        super().__init__("Give the day as YYYY-MM-DD, and choose a state of the list.")


@dataclass(frozen=True)
class Worklist:
    """Holds what the pages need.

    Attributes:
        queue: The queue of the node.
        dead: The folder of faulty films.
        shown: Whether identifiers are shown in clear.
        keys: The names of people by the SHA-256 of their keys; empty if anybody may look.
    """

    queue: Queue
    dead: DeadLetters
    shown: bool
    keys: Mapping[str, str]

    @property
    def by_identifier(self) -> bool:
        """Whether a search may be by an identifier itself.

        Where anybody may look, it would say whose study a pseudonym stands for.
        """
        return bool(self.keys)


def check(settings: NodeSettings, has_keys: bool) -> None:
    """Raise SettingsError if anybody could see the identifiers of patients."""
    if settings.identifiers == "shown" and not has_keys:
        raise SettingsError(
            "KNEEOA_NODE_IDENTIFIERS=shown needs KNEEOA_API_KEYS, the keys of those who may look; set it, or hashed."
        )


def register(app: Flask, settings: NodeSettings, keys: Mapping[str, str]) -> None:
    """Add the worklist to an app.

    Args:
        app: The Flask app.
        settings: Settings of the node whose queue is shown.
        keys: The API keys as `read_keys` returns them.

    Raises:
        SettingsError: See `check`.
    """
    check(settings, bool(keys))
    queue, shown = Queue(Path(settings.folder)), settings.identifiers == "shown"
    app.extensions[EXTENSION] = Worklist(queue, settings.dead, shown, keys)
    app.register_blueprint(blueprint)
    Metrics.of(app).registry.register(_Gauges(queue))


@blueprint.before_request
def _sign_in() -> None:
    """Find out who asks, by HTTP Basic with a key, or by the address if no keys are set."""
    keys = _worklist().keys
    g.kneeoa_who = sign_in(keys) if keys else request.remote_addr or "unknown"


@blueprint.errorhandler(sqlite3.Error)
def _unavailable(error: sqlite3.Error) -> AnyResponse:
    current_app.logger.error("The queue can't be read or written (%s)", type(error).__name__)
    return current_app.handle_user_exception(WorklistUnavailable())  # type: ignore[return-value]


@blueprint.route("", methods=["GET", "POST"])
def overview() -> str:
    """Show the rows that the form asks for, by default the newest."""
    return _page()


def _page(said: str = "") -> str:
    """Return the page with the rows that the form asks for, and what it says about a request to send again."""
    wanted, worklist = _wanted(), _worklist()
    return render_template(
        "worklist.html",
        wanted=wanted,
        said=said,
        zone=_zone(),
        shown=worklist.shown,
        rows=list(islice(_look("looked", wanted), MOST_ROWS)),
        states=STATES,
        most=MOST_ROWS,
        by_identifier=worklist.by_identifier,
        dead=worklist.dead,
        kept=worklist.dead.kept(),
    )


@blueprint.post("/csv")
def export() -> Response:
    """Send all rows that the form asks for as CSV, while they are read."""
    headers = {"Content-Disposition": "attachment; filename=kneeoa-worklist.csv"}
    return Response(as_csv(_look("saved as CSV", _wanted())), mimetype="text/csv", headers=headers)


@blueprint.route("/<key>/send", methods=["GET", "POST"])
def send(key: str) -> AnyResponse | str:
    """Make the report of a study wait to be sent again, and show the rows that were shown before.

    The answer is the page itself, since no address may hold what was searched for. GET is for a reader who opens the
    address of that page once more.
    """
    if request.method == "GET":
        return redirect(url_for(".overview"), 303)
    queue = _worklist().queue
    for row in rows(queue, Wanted(search=key), by_identifier=False):
        if row.key == key and queue.resend(row.study):
            queue.note(g.kneeoa_who, "sent again", key)
            return _page(SENT_AGAIN)
    return _page(NOT_SENT_AGAIN)


@blueprint.get("/audit")
def audit() -> str:
    """Show who looked, searched, saved and sent again."""
    queue = _worklist().queue
    queue.note(g.kneeoa_who, "looked", "audit trail")
    found = queue.select("SELECT at, who, action, subject FROM audit ORDER BY at DESC, rowid DESC LIMIT ?", MOST_AUDIT)
    lines = [(datetime.fromtimestamp(at).astimezone(), who, action, subject) for at, who, action, subject in found]
    return render_template("audit.html", lines=lines, zone=_zone())


def _zone() -> str:
    """Return the present offset of the server's time zone, such as "UTC+01:00"."""
    return f"UTC{datetime.now().astimezone().isoformat()[-6:]}"


def _look(action: str, wanted: Wanted) -> Iterator[StudyRow]:
    """Return rows, and note who looked for what."""
    worklist = _worklist()
    try:
        found = rows(worklist.queue, wanted, worklist.by_identifier)
    except ValueError:
        raise BadSearch from None
    hide = worklist.queue.pseudonyms.of
    first = list(islice(found, MOST_ROWS))
    searched = wanted.search if wanted.search in {row.key for row in first} else hide(wanted.search)
    worklist.queue.note(g.kneeoa_who, action, " ".join((wanted.day, wanted.state, searched)).strip() or "all studies")
    every = chain(first, found)
    if worklist.shown:
        return every
    return (
        replace(row, study=row.key, accession=hide(row.accession), patient=hide(row.patient), date="") for row in every
    )


def _wanted() -> Wanted:
    day, state, search = (request.form.get(name, "").strip() for name in ("day", "state", "search"))
    if state and state not in STATES:
        raise BadSearch
    return Wanted(day, state, search)


def _worklist() -> Worklist:
    return current_app.extensions[EXTENSION]


class _Gauges:
    """Measures the queue, by the number of studies in each state."""

    def __init__(self, queue: Queue):
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics; Prometheus calls this."""
        gauge = GaugeMetricFamily("kneeoa_node_studies", "Studies of the DICOM node, by state.", labels=["state"])
        try:
            for state, count in counts(self._queue).items():
                gauge.add_metric([state], count)
        except sqlite3.Error:  # the page says so; the other metrics are worth having
            return
        yield gauge
