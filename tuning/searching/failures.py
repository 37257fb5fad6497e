"""Why trials failed: a file for each, with its choices and a traceback, or a sentence where its process died."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

FAILED = "failed"
"""This folder of a search has the files."""
UNSAID = "it left no reason"
MOST_SHOWN = 200
"""A reason has at most so many characters where it is shown."""
TRACEBACK = "Traceback (most recent call last):"
"""Python begins a traceback with this line."""
OF_THE_GRAPH = "Detected at node", "<stack traces", "Node:"
"""Lines of TensorFlow that begin so say where in a graph an error arose."""
BOLD = re.compile(r"\x1b\[\d*m")
"""These characters make a terminal's text bold, or end that."""


def failure_file(out: Path, trial: str) -> Path:
    """Return the file that says why a trial of the search in a folder failed."""
    return out / FAILED / f"trial_{trial}.txt"


def failure_text(values: Mapping[str, Any], message: str) -> str:
    """Return the text of such a file.

    Args:
        values: What was drawn for the trial.
        message: The traceback, or a sentence.
    """
    return f"{dict(values)}\n\n{message}"


def reason_of(out: Path, trial: str) -> str:
    """Return why a trial failed, in one line."""
    with suppress(OSError, UnicodeDecodeError):
        if lines := failure_file(out, trial).read_text("utf-8").strip().splitlines():
            return _reason(lines)[:MOST_SHOWN]
    return UNSAID


def _reason(lines: Sequence[str]) -> str:
    """Return the error of the last traceback among some lines, or their last line where there is none.

    TensorFlow's error begins with its name, goes on with a trace of the graph, and says only then what is wrong. Keras
    also says so in a later line, in bold.
    """
    if TRACEBACK not in lines:
        return lines[-1]
    after = lines[len(lines) - lines[::-1].index(TRACEBACK) :]
    said = [line for line in after if line.strip() and not line.startswith((" ", "\t", *OF_THE_GRAPH))]
    return BOLD.sub("", " ".join(said[:2])) or lines[-1]
