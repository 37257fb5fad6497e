"""The Hub's client, made patient but not endless: what may pass is tried again, what gets nowhere is given up,
and whatever it raises becomes one of this package's errors.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import (
    HubConflict,
    HubDenied,
    HubError,
    HubNotFound,
    HubUnreachable,
    KneeOAError,
    OutputError,
    SettingsError,
)
from ..settings import Settings

if TYPE_CHECKING:
    import httpx2

WAITS_S = (0.5, 2.0)
"""Seconds before the second and the third try of a call that failed for a passing reason."""

LONGEST_S = 24 * 3600
"""That anybody would wait."""

log: logging.Logger = logging.getLogger(__name__)
T = TypeVar("T")
_TURN = threading.RLock()


def checked_token(token: str | None) -> str | None:
    """The token without the space that a file or a clipboard puts round it.

    Raises HubDenied for what is none, which it does not quote.
    """
    token = (token or "").strip() or None
    if token and not re.fullmatch(r"[!-~]+", token):
        raise HubDenied(
            "The token that was given has characters in it that no token has; copy it anew from the Hub's settings."
        )
    return token


def check_client() -> None:
    """Raises SettingsError when the Hub's client can't even be loaded: it reads its variables while it is imported."""
    try:
        import huggingface_hub.constants  # noqa: F401
    except ValueError as error:
        raise SettingsError(
            f"huggingface_hub can't be loaded with HF_ENDPOINT and its other variables as they are ({error}); correct"
            " them."
        ) from None


def patiently(call: Callable[[], T]) -> T:
    """The call's answer; two more tries when it fails for a reason that may pass."""
    for wait in WAITS_S:
        try:
            return call()
        except Exception as error:
            if not _may_pass(error):
                raise
            log.info("Trying again in %s s: %s", wait, error)
            time.sleep(wait)
    return call()


@contextmanager
def talking(repo: str) -> Iterator[None]:
    """For calls of the Hub's client about `repo`: a limit to silence, a token that stays at the Hub, this package's
    errors.

    The limit is KNEEOA_TIMEOUT, 30 s by default. Threads take turns, since the client has one session for all of them.
    Raises HubError kinds, and OutputError when the cache can't be written.
    """
    import httpx2
    from huggingface_hub import constants

    limit = min(max(1, Settings.from_environ().timeout), LONGEST_S)
    with _TURN:
        try:
            with _guarded(_Guard(limit, httpx2.URL(constants.ENDPOINT))):
                _limit_xet(limit)
                yield
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            ImportError,
            OSError,
            ValueError,
            RuntimeError,
            AttributeError,
            KeyError,
            TypeError,
        ) as error:
            raise _explanation(error, repo) from error


@contextmanager
def _guarded(guard: "_Guard") -> Iterator[None]:
    """The guard sees every request and answer, of this session and of those that the client makes after a failed
    connection.
    """
    from huggingface_hub.utils import _http, get_session

    sessions: list[tuple[httpx2.Client, Any]] = []

    def watch(session: "httpx2.Client") -> "httpx2.Client":
        hooks = session.event_hooks
        sessions.append((session, hooks))
        session.event_hooks = {
            "request": [*hooks["request"], guard.asked],
            "response": [*hooks["response"], guard.answered],
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


class _Guard:
    """Gives up when nothing new was asked for `limit` seconds, and lets no token go to another place than the Hub.

    The client repeats by itself what failed, waits a minute for some answers, without end for others, and for as long
    as a busy Hub asks it to. A download that goes on where it was cut asks for another range, so whatever brings bytes
    is new.
    """

    def __init__(self, limit: float, home: "httpx2.URL"):
        self.limit, self.home = limit, home
        self.known: set[tuple[str, str, str]] = set()
        self.since = time.monotonic()

    def asked(self, request: "httpx2.Request") -> None:
        if "Authorization" in request.headers and not self._is_home(request.url):
            raise HubError(
                f"{self.home} wants the token to be sent on to {request.url.host}. Nothing was sent there; see that"
                " HF_ENDPOINT is right."
            )
        what = (request.method, str(request.url.copy_with(query=None)), request.headers.get("Range", ""))
        now = time.monotonic()
        if what not in self.known:
            self.known.add(what)
            self.since = now
        elif now - self.since >= self.limit:
            raise HubUnreachable(
                f"{request.url.host} has not answered {request.url.path} for {now - self.since:.0f} s;"
                " try again later, or wait longer by KNEEOA_TIMEOUT (seconds)."
            )
        left = max(1.0, self.limit - (now - self.since))
        given = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            what: min(given.get(what) or left, left) for what in ("connect", "read", "write", "pool")
        }

    def answered(self, response: "httpx2.Response") -> None:
        from huggingface_hub.utils import parse_ratelimit_headers

        wanted = response.headers.get("Retry-After", "")
        rate = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
        wait = rate.reset_in_seconds if rate and rate.remaining == 0 else int(wanted) if wanted.isdecimal() else 0
        if response.is_error and wait > self.limit:
            raise HubUnreachable(
                f"{response.url.host} is busy and asks to wait {wait} s ({response.status_code}); try again then."
            )

    def _is_home(self, url: "httpx2.URL") -> bool:
        same = (url.scheme, url.port) == (self.home.scheme, self.home.port)
        return url.host == self.home.host and (same or url.scheme == "https")


def _limit_xet(limit: int) -> None:
    """Xet's library asks the store of chunks by itself, and waits two minutes for each answer unless these say
    otherwise.
    """
    answer = f"{max(1, limit // 3)}s"
    for name, value in (
        ("HF_XET_CLIENT_CONNECT_TIMEOUT", answer),
        ("HF_XET_CLIENT_READ_TIMEOUT", answer),
        ("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1"),
    ):
        os.environ.setdefault(name, value)


def _may_pass(error: Exception) -> bool:
    """Whether trying again makes sense. The client has waited long enough when it timed out or found no file."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    passing = isinstance(error, (httpx2.TransportError, json.JSONDecodeError))
    return passing and not isinstance(error, httpx2.TimeoutException)


def _explanation(error: Exception, repo: str) -> KneeOAError:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        FileMetadataError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
    )

    told = error
    # as the client wraps what befalls an upload
    while isinstance(told, RuntimeError) and isinstance(told.__cause__, Exception):
        told = told.__cause__
    if isinstance(told, KneeOAError):
        return told
    error = told if isinstance(told, httpx2.HTTPError | OSError) else error
    if isinstance(error, LocalTokenNotFoundError):
        return HubDenied(f"A push to {repo} needs a token that may write; give token=, or set HF_TOKEN.")
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    hub = constants.ENDPOINT
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        said = f"{status} {error.server_message or error.response.reason_phrase}"
        if isinstance(error, GatedRepoError):
            return HubDenied(f"{repo} wants its terms accepted: do so on {hub}/{repo}, then give that account's token.")
        if status in (401, 403):
            return HubDenied(
                f"{hub} denies access to {repo} ({said}). See that its name is right; when it is private, or for a"
                " push, give token= or set HF_TOKEN to a token that may read, or write, it."
            )
        if status == 404:
            return HubNotFound(
                f"{hub} has no repo {repo} that this account can see ({said}); check its name, and the token if it is"
                " private."
            )
        if status in (409, 412):
            return HubConflict(f"{repo} was changed by someone else meanwhile ({said}); look at it, and push again.")
        if status not in (408, 429) and status < 500:
            return HubError(f"{hub} refused {repo}: {said}.")
        return HubUnreachable(f"{hub} is out of order or busy ({said}); try again later.")
    if isinstance(error, httpx2.InvalidURL | ImportError):
        return HubUnreachable(f"{hub} can't be asked ({error}); check HF_ENDPOINT and the proxy's settings.")
    # the last three for JSON without what a Hub answers
    if isinstance(error, FileMetadataError | AttributeError | KeyError | TypeError):
        return HubUnreachable(f"{hub} does not answer like a Hub; check HF_ENDPOINT and the proxy's settings.")
    if isinstance(error, httpx2.HTTPError | ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError):
        return HubUnreachable(
            f"No proper answer from {hub} ({type(error).__name__}: {error}); check the network and HF_ENDPOINT, and try"
            " again."
        )
    if isinstance(error, OSError) and error.errno:
        return OutputError(
            f"{error.filename or 'The cache'} can't be written ({error.strerror}); make room or give access, or set"
            " HF_HOME or cache_dir=."
        )
    if isinstance(error, RuntimeError):  # of Xet's library
        return HubUnreachable(
            f"{hub}'s store of chunks gave nothing of {repo} ({error}); try again later, or without it:"
            " HF_HUB_DISABLE_XET=1."
        )
    return HubError(f"{repo}: {error}")
