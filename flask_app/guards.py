"""Decides who may ask and how often: by trusted hosts, cross-site requests, API keys, tokens of forms, and rates."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import limits
from flask import Blueprint, Flask, Request, Response, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from werkzeug.sansio.utils import host_is_trusted

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings

from .problems import ShownError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
API = "/api/"
PROBES = ("/health/", "/metrics")
"""Orchestrators and Prometheus ask these paths under an address of the network, so every host name may."""
OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""An app on loopback answers to these host names of this machine. A page elsewhere whose name leads to 127.0.0.1 asks
under that other name.
"""
PORT = re.compile(r":\d+$")
KEYS = "kneeoa_keys"
KEY_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")


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


class KeyNeeded(ShownError):
    """The request has no API key, or an unknown one."""

    code = "key-needed"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "This API needs a key. Send the header Authorization: Bearer KEY with a key that its operator gave you."
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
        app.before_request(lambda: _with_key(known))
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


def new_key() -> tuple[str, str]:
    """Return a key of 256 random bits to hand out once, and its SHA-256 to keep."""
    key = secrets.token_urlsafe(32)
    return key, _hashed(key)


def read_keys(path: Path) -> dict[str, str]:
    """Return the names of the keys in a file of lines NAME:SHA256, by SHA-256. Raises SettingsError."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"KNEEOA_API_KEYS: {path} can't be read ({error.__class__.__name__}); give a file of lines NAME:SHA256."
        ) from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        parts = KEY_LINE.fullmatch(line)
        if not parts:
            raise SettingsError(
                f"KNEEOA_API_KEYS: line {number} of {path} is not NAME:SHA256; make one with python -m flask_app"
                " --new-key NAME."
            )
        found[parts[2]] = parts[1]
    if not found:
        raise SettingsError(f"KNEEOA_API_KEYS: {path} holds no key; make one with python -m flask_app --new-key NAME.")
    return found


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


def _with_key(keys: Mapping[str, str]) -> None:
    if not request.path.startswith(API):
        return
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    name = name_of(keys, key.strip())
    if kind.lower() != "bearer" or not name:
        raise KeyNeeded
    g.kneeoa_key = name


class SignInNeeded(ShownError):
    """The page needs the name and the key of a person."""

    code = "sign-in-needed"
    status = 401
    challenge = 'Basic realm="KneeOA", charset="UTF-8"'

    def __init__(self) -> None:
        super().__init__("This page needs the name and the key that the operator of this server gave you.")


def sign_in(keys: Mapping[str, str]) -> str:
    """Return the name of the person who asks, by HTTP Basic with a key. Raises SignInNeeded."""
    given = request.authorization
    name = name_of(keys, (given.password or "") if given and given.type == "basic" else "")
    if not name:
        raise SignInNeeded
    return name


def name_of(keys: Mapping[str, str], key: str) -> str | None:
    """Return whose key it is, or None for an unknown one. Each known key takes the same time."""
    given = _hashed(key)
    return next(iter([name for known, name in keys.items() if hmac.compare_digest(known, given)]), None)


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


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


TOKEN_SECONDS = 12 * 3600
"""A form is valid for this many seconds. A page that was open for longer must be opened again."""


class FormExpired(ShownError):
    """The form has no token of one of the app's own pages, or an old one."""

    code = "form-expired"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "This form is too old, or your browser did not keep the page's cookie. Open the page again, allow its"
            " cookie, and send the form again."
        )


class _Signer(TimestampSigner):
    """Accepts signatures with a time in the future, so that no form is lost when the clock is set back."""

    def unsign(self, signed_value: Any, max_age: int | None = None, return_timestamp: bool = False) -> Any:
        value, made = super().unsign(signed_value, None, True)
        if max_age is not None and self.get_timestamp() - made.timestamp() > max_age:
            raise SignatureExpired("too old", payload=value, date_signed=made)
        return (value, made) if return_timestamp else value


class Forms(CSRFProtect):
    """Checks the token of a form, and that it is not too old."""

    def protect(self, apply_exemptions: bool = False) -> None:
        """Raise CSRFError for a form without a good token."""
        super().protect(apply_exemptions)
        if not g.get("csrf_valid"):  # this request needs none
            return
        token = request.form.get("csrf_token") or request.headers.get("X-CSRFToken", "")
        serializer = URLSafeTimedSerializer(current_app.secret_key or "", salt="wtf-csrf-token", signer=_Signer)
        try:
            serializer.loads(token, max_age=TOKEN_SECONDS)
        except BadData:
            raise CSRFError("The token is too old.") from None


class Sessions(SecureCookieSessionInterface):
    """Makes cookies that travel over TLS alone where there is TLS."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs the cookie, and accepts one that was signed before the clock was set back."""
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = _Signer
        return serializer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a browser. A program sends no cookie and gets an empty session."""
        return super().open_session(app, request) if request.cookies else self.session_class()

    def get_cookie_secure(self, app: Flask) -> bool:
        """Trust the proxy's header: a client that forges it makes its own cookie stricter, and nothing else."""
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def protect(app: Flask, secret_key: str, programs: Blueprint) -> None:
    """Require the token of one of the app's own pages in every form.

    Args:
        app: The app.
        secret_key: The key that signs the cookie; "" draws one.
        programs: The API, which programs call without cookie and token.
    """
    app.config.update(
        SECRET_KEY=secret_key or secrets.token_hex(32),
        SESSION_COOKIE_NAME="kneeoa",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # `Forms` looks at the age
        # _no_cross_site decides by better headers than the referrer
        WTF_CSRF_SSL_STRICT=False,
    )
    app.session_interface = Sessions()
    Forms(app).exempt(programs)
    app.register_error_handler(CSRFError, lambda error: app.handle_user_exception(FormExpired()))
