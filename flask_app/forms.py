"""Forms come from the app's own pages: each carries a token that is bound to a cookie, and grows old."""

import secrets

from flask import Blueprint, Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, CSRFProtect

from .problems import ShownError

TOKEN_SECONDS = 12 * 3600
"""A page that was left open for longer has to be opened again."""


class FormExpired(ShownError):
    """A form without the token of one of the app's own pages, or with an old one."""

    code = "form-expired"
    status = 400

    def __init__(self) -> None:
        super().__init__("This form is too old, or your browser did not keep the page's cookie; open the page again, allow its cookie, and send the form anew.")


class Sessions(SecureCookieSessionInterface):
    """Cookies that travel by TLS alone where TLS is."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Empty for a program, without a look at what cookies are signed with."""
        return super().open_session(app, request) if request.cookies else self.session_class()

    def get_cookie_secure(self, app: Flask) -> bool:
        """Nobody gains by pretending the header: it makes the sender's own cookie stricter, and nothing else."""
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def protect(app: Flask, secret_key: str, programs: Blueprint) -> None:
    """Ask every form for its token. secret_key: "" draws one. programs: what they call, which keeps no cookie and needs no token."""
    app.config.update(
        SECRET_KEY=secret_key or secrets.token_hex(32),
        SESSION_COOKIE_NAME="kneeoa",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=TOKEN_SECONDS,
        WTF_CSRF_SSL_STRICT=False,  # guards.py asks where a request comes from, by better headers than the referrer
    )
    app.session_interface = Sessions()
    CSRFProtect(app).exempt(programs)
    app.register_error_handler(CSRFError, lambda error: app.handle_user_exception(FormExpired()))
