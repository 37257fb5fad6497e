"""The public demo is timed from the start of its process to its first answer."""

from importlib.metadata import packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

from ..measuring import ROOT
from ..space import measure_starts, write_films
from .figure import Figure, compared
from .size import with_needs

STARTS = 3
FLOOR_S, AIM_S = 5.0, 3.0
START = """
import runpy, sys
for name in {absent}:
    sys.modules.setdefault(name, None)
runpy.run_module("spaces.app", run_name="__main__", alter_sys=True)
"""
"""This program starts the demo as if these modules were not installed."""


def measure() -> list[Figure]:
    """Start the demo several times, with the packages of a Space alone."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as sent:
        command = ("-c", START.format(absent=_not_in_a_space()))
        starts = measure_starts(STARTS, write_films(Path(folder)), sent, first_only=True, command=command)
    seconds = starts.first_answers
    return [
        compared(
            "the Space, start to first answer",
            "five seconds",
            "s",
            seconds,
            [FLOOR_S] * len(seconds),
            floor=1.0,
            aim=AIM_S / FLOOR_S,
        )
    ]


def _not_in_a_space() -> list[str]:
    """Return the modules that are installed here and not in a Space.

    Gradio's own dependencies import some of them where they find them: jsonschema, for one, reads a grammar for more
    than a second that comes with a tool of developers.
    """
    lines = (ROOT / "spaces" / "requirements.txt").read_text("utf-8").splitlines()
    there = with_needs(["kneeoa-hub[space]", *lines])
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if not any(canonicalize_name(owner) in there for owner in owners)
    )
