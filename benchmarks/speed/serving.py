"""The Flask app under 16 clients is measured beside the same grader in a loop of one process, on the same core."""

import os

from ..load import APP, CALLER_CORE, LARGE, SMALL, drive, films, in_process, serving
from ..measuring import in_turns
from .figure import Figure, compared

CLIENTS, ROUNDS = 16, 3
SECONDS = {SMALL: 4.0, LARGE: 6.0}
"""A turn with each kind of film takes this long."""


def measure() -> list[Figure]:
    """Send each kind of film to the app, in turns with grading it in a process of its own."""
    figures = []
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CALLER_CORE})
    try:
        for kind, film in films().items():
            with serving(APP) as (address, _):
                taken = in_turns(
                    {
                        "served": lambda: drive(address, film, CLIENTS, SECONDS[kind]).rate,  # noqa: B023
                        "alone": lambda: in_process(film, SECONDS[kind]),  # noqa: B023
                    },
                    ROUNDS,
                )
            figures.append(
                compared(
                    f"Flask at {CLIENTS} clients, {kind}",
                    "the same grader in process",
                    "films/s",
                    taken["served"],
                    taken["alone"],
                    floor=0.9,
                    aim=0.97,
                    larger_is_better=True,
                )
            )
    finally:
        os.sched_setaffinity(0, before)
    return figures
