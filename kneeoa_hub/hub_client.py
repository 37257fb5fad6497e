"""The Hub's client, made patient but not endless: what may pass is tried again, what gets nowhere is given up,
and whatever it raises becomes one of this package's errors.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from .errors import HubConflict, HubDenied, HubError, HubNotFound, HubUnreachable, KneeOAError, OutputError
from .settings import Settings

if TYPE_CHECKING:
    import httpx2

WAITS_S = (0.5, 2.0)
"""Seconds before the second and the third try of a call that failed for a passing reason."""

log: logging.Logger = logging.getLogger(__name__)
T = TypeVar("T")


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
    """For calls of the Hub's client about `repo`: a limit to silence and to vain tries, and this package's errors.

    The limit is KNEEOA_TIMEOUT, 30 s by default. Raises HubError kinds, and OutputError when the cache can't be written.
    """
    import httpx2
    from huggingface_hub.utils import get_session

    limit = Settings.from_environ().timeout
    session = get_session()
    unlimited, hooks = httpx2.Timeout(None), session.event_hooks
    limited = session.timeout == unlimited  # else the user has set one
    try:
        if limited:
            session.timeout = httpx2.Timeout(limit)
        session.event_hooks = {**hooks, "request": [*hooks["request"], _Progress(limit).asked]}
        yield
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _explanation(error, repo) from error
    finally:
        session.event_hooks = hooks
        if limited:
            session.timeout = unlimited


class _Progress:
    """Gives up when the client has asked for nothing new for `limit` seconds.

    It repeats by itself what failed, up to a minute a request. A download that goes on where it was cut asks for
    another range, so whatever brings bytes is new.
    """

    def __init__(self, limit: float):
        self.limit = limit
        self.known: set[tuple[str, str, str]] = set()
        self.since = time.monotonic()

    def asked(self, request: "httpx2.Request") -> None:
        address = str(request.url.copy_with(query=None))
        what = (request.method, address, request.headers.get("Range", ""))
        now = time.monotonic()
        if what not in self.known:
            self.known.add(what)
            self.since = now
        elif now - self.since > self.limit:
            raise HubUnreachable(
                f"{request.url.host} has not answered {request.url.path} for {now - self.since:.0f} s;"
                " try again later, or wait longer by KNEEOA_TIMEOUT (seconds)."
            )


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
    from huggingface_hub.errors import FileMetadataError, GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

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
                f"{hub} denies access to {repo} ({said}). See that its name is right; when it is private, or for a push,"
                " give token= or set HF_TOKEN to a token that may read, or write, it."
            )
        if status == 404:
            return HubNotFound(f"{hub} has no repo {repo} that this account can see ({said}); check its name, and the token if it is private.")
        if status in (409, 412):
            return HubConflict(f"{repo} was changed by someone else meanwhile ({said}); look at it, and push again.")
        if status not in (408, 429) and status < 500:
            return HubError(f"{hub} refused {repo}: {said}.")
        return HubUnreachable(f"{hub} is out of order or busy ({said}); try again later.")
    if isinstance(error, FileMetadataError):
        return HubUnreachable(f"{hub} does not answer like a Hub; check HF_ENDPOINT and the proxy's settings.")
    if isinstance(error, httpx2.HTTPError | ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError):
        return HubUnreachable(f"No proper answer from {hub} ({type(error).__name__}: {error}); check the network and HF_ENDPOINT, and try again.")
    if isinstance(error, OSError) and error.errno:
        return OutputError(f"{error.filename or 'The cache'} can't be written ({error.strerror}); make room or give access, or set HF_HOME or cache_dir=.")
    return HubError(f"{repo}: {error}")
