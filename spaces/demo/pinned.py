"""Which model a deployed Space serves: a file beside app.py, unless the Space's own settings name another."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings
from kneeoa_hub.typed_json import from_json

PIN = "model.json"


@dataclass(frozen=True)
class Pin:
    """The content of model.json: the Hub repo of the model, and its commit."""

    model: str
    revision: str


def settings_of(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The environment's settings; where they name no model, the one that is pinned in `folder`.

    Raises SettingsError.
    """
    settings = Settings.from_environ(environ)
    pin = folder / PIN
    if settings.model or not pin.is_file():
        return settings
    try:
        named = from_json(Pin, json.loads(pin.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{PIN} names no model and revision ({error}); deploy the Space again, or set KNEEOA_MODEL."
        ) from None
    return replace(settings, model=named.model, revision=named.revision)
