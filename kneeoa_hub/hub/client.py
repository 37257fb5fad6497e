"""Bounds the Hub's client: it gives up on a silent Hub, and it sends no token to any other host."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import HubDenied, HubError, HubUnreachable, SettingsError
from ..settings import Settings
from ..third_party import limit_xet
from ..watchdog import watchdog
from .explain import explain

if TYPE_CHECKING:
    import httpx2

    from .responses import Body

LONGEST_S = 24 * 3600
"""KNEEOA_TIMEOUT counts up to a day, longer than anybody would wait and short enough for every timer."""

log: logging.Logger = logging.getLogger(__name__)
_TURN = threading.RLock()


def checked_token(token: str | None) -> str | None:
    """Return the token without the white space that a file or a clipboard adds, or None for no token.

    Raises HubDenied for characters that no token has, without quoting them.
    """
    token = (token or "").strip() or None
    if token and not re.fullmatch(r"[!-~]+", token):
        raise HubDenied("The given token contains characters that no token has; copy it again from the Hub's settings.")
    return token


def check_client() -> None:
    """Raise SettingsError if the Hub's client cannot be imported: it reads its variables while it is imported."""
    try:
        import huggingface_hub.constants  # noqa: F401
    except ValueError as error:
        raise SettingsError(
            f"huggingface_hub can't be loaded with the present values of HF_ENDPOINT and its other variables ({error});"
            " correct them."
        ) from None


@contextmanager
def hub_session(repo: str) -> Iterator["Guard"]:
    """Guard every call of the Hub's client in the block, and turn what it raises into errors of this package.

    A Hub that stays silent for KNEEOA_TIMEOUT seconds (30 by default) is given up, and the token stays at the Hub.
    Threads take turns, since the client has one session for all of them.

    Args:
        repo: The repo that messages name.

    Raises:
        HubError: The Hub did not do what was asked. The subclass says why.
        SettingsError: HF_ENDPOINT, a proxy or a certificate file cannot be used.
        OutputError: The cache cannot be written.
    """
    import httpx2
    from huggingface_hub import constants

    limit = min(max(1, Settings.from_environ().timeout), LONGEST_S)
    with _TURN:
        try:
            guard = Guard(limit, httpx2.URL(constants.ENDPOINT))
            with _guarded(guard), watchdog.ending(0, guard.look):
                limit_xet(limit)
                yield guard
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            ImportError,  # of a proxy's protocol, such as SOCKS
            OSError,
            ValueError,
            RuntimeError,  # of Xet's library
            AttributeError,  # these three of JSON that lacks what a Hub answers
            KeyError,
            TypeError,
        ) as error:
            raise explain(error, repo) from error


@contextmanager
def _guarded(guard: "Guard") -> Iterator[None]:
    """Show the guard every request and response, also of sessions that the client makes after a failed connection."""
    from huggingface_hub.utils import _http, get_session

    sessions: list[tuple[httpx2.Client, Any]] = []

    def watch(session: "httpx2.Client") -> "httpx2.Client":
        hooks = session.event_hooks
        sessions.append((session, hooks))
        session.event_hooks = {
            "request": [*hooks["request"], guard.check_request],
            "response": [*hooks["response"], guard.check_response],
        }
        return session

    watch(get_session())
    make = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)  # the client has no public way to ask for it
    if make:
        _http._GLOBAL_CLIENT_FACTORY = lambda: watch(make())
    try:
        yield
    finally:
        if make:
            _http._GLOBAL_CLIENT_FACTORY = make
        for session, hooks in sessions:
            session.event_hooks = hooks


class Guard:
    """Gives up if nothing new was asked for during `limit` seconds, and lets a token go to the Hub alone.

    The client itself repeats what failed: it waits a minute for some responses, without end for others, and for as long
    as a busy Hub asks it to. A download that goes on after a cut asks for another range, so everything that brings
    bytes is new.
    """

    def __init__(self, limit: float, home: "httpx2.URL"):
        self.limit: float = limit
        self.home: httpx2.URL = home
        self.known: set[tuple[str, str, str]] = set()
        self.since: float = time.monotonic()
        self.most: int | None = None
        self.place: tuple[str, str] = ("", "")
        self.asked_at: float = self.since
        self.body: Body | None = None
        self.head_since: float | None = None

    @contextmanager
    def at_most(self, size: int) -> Iterator[None]:
        """Raise HubError for a response in the block that is longer than `size` bytes."""
        self.most = size
        try:
            yield
        finally:
            self.most = None

    def check_request(self, request: "httpx2.Request") -> None:
        """Refuse to send the token elsewhere, and give up a Hub that has been silent for too long."""
        if "Authorization" in request.headers and not self._is_home(request.url):
            raise HubError(
                f"{self.home} asks to send the token on to {request.url.host}. Nothing was sent there; check"
                " HF_ENDPOINT."
            )
        request.headers["Accept-Encoding"] = "identity"  # a packed response may unpack to gigabytes
        wanted = (request.method, str(request.url.copy_with(query=None)), request.headers.get("Range", ""))
        now = time.monotonic()
        if wanted not in self.known:
            self.known.add(wanted)
            if not self._crawls(now, wanted[:2]):
                self.since = now
            self.asked_at, self.place = now, (request.method, wanted[1])
        if now - self.since >= self.limit:
            raise HubUnreachable(
                f"{request.url.host} has not answered {request.url.path} for {now - self.since:.0f} s;"
                " try again later, or set KNEEOA_TIMEOUT (seconds) to wait longer."
            )
        left = max(1.0, self.limit - (now - self.since))
        given = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            phase: min(given.get(phase) or left, left) for phase in ("connect", "read", "write", "pool")
        }
        request.extensions["trace"] = self._trace

    def look(self) -> None:
        """Close each connection on which the head of a response is late. The watchdog calls this all the time.

        The client waits for each byte anew, so a head that comes byte by byte would have no end.
        """
        from huggingface_hub.utils import close_session

        if self.head_since is not None and time.monotonic() - self.head_since > self.limit:
            self.head_since = None
            close_session()

    def _trace(self, event: str, _: object) -> None:
        """Note when the client began to wait for the head of a response. It calls this for each step of a request."""
        if event.endswith("receive_response_headers.started"):
            self.head_since = time.monotonic()
        elif event.endswith(("receive_response_headers.complete", "receive_response_headers.failed")):
            self.head_since = None

    def check_response(self, response: "httpx2.Response") -> None:
        """Refuse a response that no Hub gives, and put its body under watch."""
        from huggingface_hub.utils import parse_ratelimit_headers

        from .responses import check_headers, watched, whole

        check_headers(response, self.most)
        response.stream = self.body = watched(response, self.most, self.limit)
        wanted = response.headers.get("Retry-After", "")
        rate = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
        wait = rate.reset_in_seconds if rate and rate.remaining == 0 else whole(wanted)
        if response.is_error and wait > self.limit:
            raise HubUnreachable(
                f"{response.url.host} is busy and asks to wait {wait} s ({response.status_code}); try again then."
            )

    def _crawls(self, now: float, place: tuple[str, str]) -> bool:
        """Return whether a file goes on after a cut although hardly a byte of it came since it was asked for."""
        from .responses import LEAST_RATE

        came = self.body.taken if self.body else 0
        return place == self.place and came < LEAST_RATE * (now - self.asked_at)

    def _is_home(self, url: "httpx2.URL") -> bool:
        same = (url.scheme, url.port) == (self.home.scheme, self.home.port)
        return url.host == self.home.host and (same or url.scheme == "https")
