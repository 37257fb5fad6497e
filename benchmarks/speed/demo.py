"""The public demo from the start of its process to its first answer."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ..space import measure_starts, write_films
from .figure import Figure, compared

STARTS = 3
FLOOR_S, AIM_S = 5.0, 3.0


def measure() -> list[Figure]:
    """Start the demo several times."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as sent:
        starts = measure_starts(STARTS, write_films(Path(folder)), sent, first_only=True)
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
