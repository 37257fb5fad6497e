"""Who may ask, and how often: trusted hosts, no requests that another site makes in a visitor's name, API keys,
rates.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import limits
from flask import Blueprint, Flask, Request, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.sansio.utils import host_is_trusted

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings

from .problems import ShownError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
API = "/api/"
PROBES = ("/health/", "/metrics")
"""What orchestrators and Prometheus ask by an address of the network."""
PORT = re.compile(r":\d+$")
KEY_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")


class UnknownHost(ShownError):
    """The app was asked under a name that is not its own."""

    code = "unknown-host"
    status = 400

    def __init__(self) -> None:
        super().__init__("This server does not answer under that name; use the address that its operator gave you.")


class CrossSite(ShownError):
    """Another site's page made the visitor's browser ask."""

    code = "cross-site"
    status = 403

    def __init__(self) -> None:
        super().__init__("The request comes from another site's page; open this app's own page and send it from there.")


class KeyNeeded(ShownError):
    """No API key, or one that is not known."""

    code = "key-needed"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "This API needs a key; send the header Authorization: Bearer KEY, with a key that its operator gave you."
        )


class TooManyRequests(ShownError):
    """Over the rate that the operator allows."""

    code = "too-many-requests"
    status = 429

    def __init__(self, limit: str) -> None:
        super().__init__(
            f"More requests came from you than the limit of {limit}; wait as long as the header Retry-After says."
        )


def register(app: Flask, settings: Settings, keys: Mapping[str, str] | None = None) -> None:
    """Guard the app by the settings.

    keys: of the API, where they were read already. Raises SettingsError for settings that can't be used.
    """
    hosts = [host.strip() for host in settings.trusted_hosts.split(",") if host.strip()]
    if hosts:  # not by Flask's own TRUSTED_HOSTS, after which no page that tells of it can be made
        app.before_request(lambda: _trusted(hosts))
    app.before_request(_no_cross_site)
    if settings.api_keys:
        known = keys or read_keys(Path(settings.api_keys))
        app.before_request(lambda: _with_key(known))
    if settings.rate_limit:
        _limit(app, settings.rate_limit)


def check(settings: Settings) -> None:
    """Raises SettingsError for settings of this module that can't be used."""
    if settings.api_keys:
        read_keys(Path(settings.api_keys))
    if settings.rate_limit:
        _check_rate(settings.rate_limit)


def new_key() -> tuple[str, str]:
    """A key of 256 random bits to give away once, and its sha256 to keep."""
    key = secrets.token_urlsafe(32)
    return key, _hashed(key)


def read_keys(path: Path) -> dict[str, str]:
    """sha256 -> name of each line NAME:SHA256. Raises SettingsError."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"KNEEOA_API_KEYS {path} can't be read ({error.__class__.__name__}); give a file of lines NAME:SHA256."
        ) from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        parts = KEY_LINE.fullmatch(line)
        if not parts:
            raise SettingsError(
                f"KNEEOA_API_KEYS {path}, line {number} is not NAME:SHA256; make one with python -m flask_app --new-key"
                " NAME."
            )
        found[parts[2]] = parts[1]
    if not found:
        raise SettingsError(f"KNEEOA_API_KEYS {path} holds no key; make one with python -m flask_app --new-key NAME.")
    return found


def _trusted(hosts: list[str]) -> None:
    if request.path.startswith(PROBES) or host_is_trusted(request.host, hosts):
        return
    if PORT.sub("", request.host) not in hosts:  # Werkzeug knows no address of IPv6 in a list
        raise UnknownHost


def _no_cross_site() -> None:
    """A browser says where a request comes from (Fetch Metadata, W3C); a program that says nothing has no visitor to
    misuse.
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


def _with_key(keys: Mapping[str, str]) -> None:
    if not request.path.startswith(API):
        return
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    given = _hashed(key.strip())
    names = [name for known, name in keys.items() if hmac.compare_digest(known, given)]
    if kind.lower() != "bearer" or not names:
        raise KeyNeeded
    g.kneeoa_key = names[0]


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _asker() -> str:
    return g.get("kneeoa_key") or get_remote_address()


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


TOKEN_SECONDS = 12 * 3600
"""A page that was left open for longer has to be opened again."""


class FormExpired(ShownError):
    """A form without the token of one of the app's own pages, or with an old one."""

    code = "form-expired"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "This form is too old, or your browser did not keep the page's cookie; open the page again, allow its"
            " cookie, and send the form anew."
        )


class Sessions(SecureCookieSessionInterface):
    """Cookies that travel by TLS alone where TLS is."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Empty for a program, without a look at what cookies are signed with."""
        return super().open_session(app, request) if request.cookies else self.session_class()

    def get_cookie_secure(self, app: Flask) -> bool:
        """Nobody gains by pretending the header: it makes the sender's own cookie stricter, and nothing else."""
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def protect(app: Flask, secret_key: str, programs: Blueprint) -> None:
    """Ask every form for its token.

    secret_key: "" draws one. programs: what they call, which keeps no cookie and needs no token.
    """
    app.config.update(
        SECRET_KEY=secret_key or secrets.token_hex(32),
        SESSION_COOKIE_NAME="kneeoa",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=TOKEN_SECONDS,
        # _no_cross_site asks where a request comes from, by better headers than the referrer
        WTF_CSRF_SSL_STRICT=False,
    )
    app.session_interface = Sessions()
    CSRFProtect(app).exempt(programs)
    app.register_error_handler(CSRFError, lambda error: app.handle_user_exception(FormExpired()))
