"""Knows people and programs by their API keys, of which a file holds names and SHA-256."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from flask import g, request

from kneeoa_hub.errors import SettingsError

from .problems import ShownError

API = "/api/"
KEY_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")


class KeyNeeded(ShownError):
    """The request has no API key, or an unknown one."""

    code = "key-needed"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "This API needs a key. Send the header Authorization: Bearer KEY with a key that its operator gave you."
        )


class SignInNeeded(ShownError):
    """The page needs the name and the key of a person."""

    code = "sign-in-needed"
    status = 401
    challenge = 'Basic realm="KneeOA", charset="UTF-8"'

    def __init__(self) -> None:
        super().__init__("This page needs the name and the key that the operator of this server gave you.")


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


def require_key(keys: Mapping[str, str]) -> None:
    """Raise KeyNeeded for a call of the API without a known key, and note whose key it is."""
    if not request.path.startswith(API):
        return
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    name = name_of(keys, key.strip())
    if kind.lower() != "bearer" or not name:
        raise KeyNeeded
    g.kneeoa_key = name


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
