"""Protects forms against forgery by a token of the app's own pages, which a signed cookie backs."""

import secrets
from typing import Any

from flask import Blueprint, Flask, Request, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from .problems import ShownError

TOKEN_SECONDS = 12 * 3600
"""A form is valid for twelve hours. A page that was open for longer must be opened again."""


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
    """Makes cookies that travel over TLS alone if there is TLS."""

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
        # `guards` decides by better headers than the referrer
        WTF_CSRF_SSL_STRICT=False,
    )
    app.session_interface = Sessions()
    Forms(app).exempt(programs)
    app.register_error_handler(CSRFError, lambda error: app.handle_user_exception(FormExpired()))
