"""Decides who may ask and how often: by trusted hosts, cross-site requests, API keys and rates."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import limits
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from werkzeug.sansio.utils import host_is_trusted

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings

from .keys import read_keys, require_key
from .problems import ShownError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PROBES = ("/health/", "/metrics")
"""Orchestrators and Prometheus ask these paths under an address of the network, so every host name may."""
OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""An app on loopback answers to these host names of this machine. A page elsewhere whose name leads to 127.0.0.1 asks
under that other name.
"""
PORT = re.compile(r":\d+$")
KEYS = "kneeoa_keys"


class UnknownHost(ShownError):
    """The request names a host that the app does not answer to."""

    code = "unknown-host"
    status = 400

    def __init__(self) -> None:
        super().__init__("This server does not answer to that host name. Use the address that its operator gave you.")


class CrossSite(ShownError):
    """A page of another site made the visitor's browser send the request."""

    code = "cross-site"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "The request comes from a page of another site. Open this app's own page and send it from there."
        )


class TooManyRequests(ShownError):
    """The client sends more requests than the operator allows."""

    code = "too-many-requests"
    status = 429

    def __init__(self, limit: str) -> None:
        super().__init__(
            f"You have sent more requests than the limit of {limit}. Wait as long as the header Retry-After says."
        )


def register(app: Flask, settings: Settings, keys: Mapping[str, str] | None = None) -> None:
    """Guard the app by the settings. Raises SettingsError for settings that cannot be used.

    Args:
        app: The app.
        settings: Its settings.
        keys: The API keys as `read_keys` returns them; by default they are read from the file of the settings.
    """
    hosts = [host.strip() for host in settings.trusted_hosts.split(",") if host.strip()]
    app.config["KNOWN_HOSTS"] = hosts or OWN_NAMES
    if hosts:  # Flask's own TRUSTED_HOSTS leaves no way to render a page about the error
        app.before_request(_trusted)
    app.before_request(_no_cross_site)
    app.after_request(_without_host)
    if settings.api_keys:
        known = keys or read_keys(Path(settings.api_keys))
        app.before_request(lambda: require_key(known))
    app.extensions[KEYS] = bool(settings.api_keys)
    if settings.rate_limit:
        _limit(app, settings.rate_limit)


def needs_key(app: Flask) -> bool:
    """Return whether a call of the app's API needs a key."""
    return app.extensions[KEYS]


def check(settings: Settings) -> None:
    """Raise SettingsError for settings of this module that cannot be used."""
    if settings.api_keys:
        read_keys(Path(settings.api_keys))
    if settings.rate_limit:
        _check_rate(settings.rate_limit)


def host_is_ours() -> bool:
    """Return whether the request names a trusted host or, when none is set, a name of this machine."""
    hosts = current_app.config["KNOWN_HOSTS"]
    # Werkzeug knows no address of IPv6 in a list.
    return host_is_trusted(request.host, hosts) or PORT.sub("", request.host) in hosts


def _trusted() -> None:
    if not (request.path.startswith(PROBES) or host_is_ours()):
        raise UnknownHost


def _without_host(response: Response) -> Response:
    """Lead a redirect to a path of this app. Werkzeug makes a whole address of it, with a Host that may be forged."""
    if response.location:
        place = urlsplit(response.location)
        query, part = "?" * bool(place.query) + place.query, "#" * bool(place.fragment) + place.fragment
        response.location = f"/{place.path.lstrip('/')}{query}{part}"
    return response


def _no_cross_site() -> None:
    """Turn away what another site's page made a browser send, by Fetch Metadata (W3C) or Origin.

    A program sends neither header; it has no visitor whom another site could misuse.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CrossSite
    elif (
        origin is not None
        and origin != f"{request.scheme}://{request.host}"
        and origin.split("://")[-1] != request.host
    ):
        raise CrossSite


def _asker() -> str:
    """Return whose budget a request draws on. A key that is named like an address is not that address."""
    return f"key {g.kneeoa_key}" if "kneeoa_key" in g else f"address {get_remote_address()}"


def _check_rate(rate: str) -> None:
    try:
        possible = all(one.amount > 0 for one in limits.parse_many(rate))
    except ValueError:
        possible = False
    if not possible:
        raise SettingsError(f"KNEEOA_RATE_LIMIT is {rate!r}; give a rate such as 60 per minute.")


def _limit(app: Flask, rate: str) -> None:
    def over(limit: RequestLimit) -> None:
        raise TooManyRequests(rate)

    _check_rate(rate)
    Limiter(
        _asker,
        app=app,
        application_limits=[rate],
        application_limits_exempt_when=lambda: request.method in SAFE_METHODS,
        headers_enabled=True,
        storage_uri="memory://",
        on_breach=over,
    )
