"""Makes a call to the Hub again if it failed for a reason that may pass."""

import json
import logging
import time
from collections.abc import Callable
from typing import TypeVar

WAITS_S = (0.5, 2.0)
"""The second attempt of a call begins after half a second, and the third one after two seconds more."""

log: logging.Logger = logging.getLogger(__name__)
T = TypeVar("T")


def with_retries(call: Callable[[], T]) -> T:
    """Return what the call returns, after at most three attempts.

    The call is made again only if its failure may pass, and it has to be one that does no harm twice. A busy Hub is
    given the time that it asks for; `client.Guard` gives up one that asks for more than KNEEOA_TIMEOUT.
    """
    for wait in WAITS_S:
        try:
            return call()
        except Exception as error:  # whatever it is, it is raised again unless it may pass
            if not _may_pass(error):
                raise
            wait = max(wait, _asked_to_wait(error))
            log.info("Trying again in %s s: %s", wait, error)
            time.sleep(wait)
    return call()


def _may_pass(error: Exception) -> bool:
    """Tell whether another attempt makes sense. After a timeout the Hub's client has waited long enough already."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status >= 500 or (status == 429 and "Retry-After" in error.response.headers)
    passing = isinstance(error, (httpx2.TransportError, json.JSONDecodeError))
    return passing and not isinstance(error, httpx2.TimeoutException)


def _asked_to_wait(error: Exception) -> float:
    """Return the seconds that a busy Hub asks for, or 0 if it asks for none."""
    from huggingface_hub.errors import HfHubHTTPError

    from .responses import whole

    wanted = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(whole(wanted))
