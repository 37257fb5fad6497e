"""Reads which model a deployed Space serves: from a file beside app.py, unless the settings name another one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings
from kneeoa_hub.typed_json import from_json

PIN = "model.json"
"""A file of this name beside app.py holds the pin."""


@dataclass(frozen=True)
class Pin:
    """Holds the content of model.json: the Hub repo of the model, and its commit."""

    model: str
    revision: str


def settings_of(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment, with the model that is pinned in `folder` if they name none.

    Raises SettingsError for a variable or a pin that cannot be used.
    """
    settings = Settings.from_environ(environ)
    pin = folder / PIN
    if settings.model or not pin.is_file():
        return settings
    try:
        named = from_json(Pin, json.loads(pin.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{PIN} does not name a model and its revision ({error}); deploy the Space again, or set KNEEOA_MODEL."
        ) from None
    return replace(settings, model=named.model, revision=named.revision)
