"""Which model a deployed Space serves: a file beside app.py, unless the Space's own settings name another."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings

PIN = "model.json"
"""{"model": "org/name", "revision": "<commit>"}"""


def settings_of(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The environment's settings; where they name no model, the one that is pinned in `folder`.

    Raises SettingsError.
    """
    settings = Settings.from_environ(environ)
    pin = folder / PIN
    if settings.model or not pin.is_file():
        return settings
    try:
        named = json.loads(pin.read_text("utf-8"))
        return replace(settings, model=str(named["model"]), revision=str(named["revision"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(
            f"{PIN} names no model and revision; deploy the Space again, or set KNEEOA_MODEL."
        ) from None
