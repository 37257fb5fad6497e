"""Files of a user add to the loop: `python -m tuning --with my_block.py search ...`."""

import importlib.util
import traceback
from pathlib import Path

from kneeoa_hub.errors import SettingsError

from .content import sha256

LOADED: list[Path] = []
"""This process has run these files, which the processes that it starts run too."""


def load(path: Path) -> None:
    """Run a Python file, which calls `add_block` or its like. It can do whatever its user can do.

    Raises SettingsError when the file does not exist or fails.
    """
    spec = importlib.util.spec_from_file_location(f"extension_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SettingsError(f"--with {path}: there is no such Python file.")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except SettingsError as error:
        raise SettingsError(f"--with {path}: {error.message}") from None
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise SettingsError(f"--with {path}: line {line} fails with {type(error).__name__}: {error}") from None
    LOADED.append(path.absolute())


def loaded_content() -> list[str]:
    """Return the name of each file that this process has run, with its fingerprint."""
    return sorted(f"{path.name} {sha256(path)}" for path in LOADED)
