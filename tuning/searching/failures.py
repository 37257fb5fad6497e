"""Why trials failed: a file for each, with its choices and a traceback, or a sentence where its process died."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

FAILED = "failed"
"""This folder of a search has the files."""
UNSAID = "it left no reason"
MOST_SHOWN = 200
"""A reason has at most so many characters where it is shown."""


def failure_file(out: Path, trial: str) -> Path:
    """Return the file that says why a trial of the search in a folder failed."""
    return out / FAILED / f"trial_{trial}.txt"


def failure_text(values: Mapping[str, Any], message: str) -> str:
    """Return the text of such a file.

    Args:
        values: What was drawn for the trial.
        message: The traceback, or a sentence. Its last line is the reason that is shown.
    """
    return f"{dict(values)}\n\n{message}"


def reason_of(out: Path, trial: str) -> str:
    """Return why a trial failed, in one line."""
    with suppress(OSError, UnicodeDecodeError):
        if lines := failure_file(out, trial).read_text("utf-8").strip().splitlines():
            return lines[-1][:MOST_SHOWN]
    return UNSAID
