"""The public demo is measured as a Space starts it: start, seconds per film, memory, and crowds at several limits.

    python -m benchmarks.space --starts 3 --limits 1 2 4

The films are synthetic, with 16 bits: a knee of 1500 pixels per side, about the size in a clinic, and one of 4000. The
crowd is 20 visitors who send five films each through the demo's own queue. Times depend on the machine, so each is also
given relative to the library's time for the same film in this process.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from .measuring import ROOT, seconds
from .processes import peak_megabytes

VISITORS, FILMS_EACH = 20, 5
"""The crowd has VISITORS visitors, and each of them sends FILMS_EACH films."""
SIDES = (1500, 4000)
"""The films have these sides, in pixels."""
REPEATS = 9
"""This many answers are timed for each film."""


@dataclass
class Starts:
    """This was measured over several starts of the demo.

    Attributes:
        first_answers: Seconds from each start to the first answer.
        peaks: Peak memory of each process in MB.
        times: Seconds of each answer, by the side of the film.
    """

    first_answers: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    times: dict[int, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3, help="times that the demo is started (default 3)")
    limits = "numbers of films graded at once to try with the crowd (default 1 2 4)"
    parser.add_argument("--limits", type=int, nargs="*", default=[1, 2, 4], help=limits)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, TemporaryDirectory() as sent:
        films = write_films(Path(folder))
        show_starts(measure_starts(arguments.starts, films, sent), films)
        for limit in arguments.limits:
            show_crowd(limit, films[SIDES[0]], sent)


def write_films(folder: Path) -> dict[int, Path]:
    """Return a synthetic knee of each side in SIDES as a PNG file."""
    from kneeoa_hub.imaging.phantom import knee_film

    films = {side: folder / f"{side}.png" for side in SIDES}
    for side, path in films.items():
        drawn = knee_film(3, 1, height=500, width=500, bits=16).pixels
        Image.fromarray(np.kron(drawn, np.ones((side // 500, side // 500), drawn.dtype))).save(path)
    return films


def measure_starts(
    count: int, films: dict[int, Path], sent: str, *, first_only: bool = False, command: Sequence[str] = ()
) -> Starts:
    """Return what one visitor measures over several starts.

    Args:
        count: How often the demo is started.
        films: A film of each side.
        sent: Folder for the films that the demo receives.
        first_only: Stop the demo after its first answer.
        command: Arguments of Python, if not those that start the demo.
    """
    from gradio_client import Client, handle_file

    starts = Starts()
    for _ in range(count):
        begun = time.perf_counter()
        with started(sent, *command) as (url, process):
            client = Client(url, verbose=False)
            client.predict(handle_file(films[SIDES[0]]), api_name="/grade")
            starts.first_answers.append(time.perf_counter() - begun)
            for side, path in films.items() if not first_only else ():
                starts.times[side] += timed(partial(client.predict, handle_file(path), api_name="/grade"))
            starts.peaks.append(peak_megabytes(process.pid))
    return starts


def show_starts(starts: Starts, films: dict[int, Path]) -> None:
    """Print what one visitor measures, and the library's time for the same films."""
    from kneeoa_hub import from_pretrained

    grader, first = from_pretrained(), starts.first_answers
    print(
        f"start to first answer: median {statistics.median(first):.1f} s, longest {max(first):.1f} s of {len(first)};"
        f" peak memory {max(starts.peaks):.0f} MB"
    )
    for side, path in films.items():
        times = starts.times[side]
        library, median = statistics.median(timed(partial(grader.grade, path))), statistics.median(times)
        print(
            f"a film of {side} pixels: median {median:.2f} s, longest {max(times):.2f} s; {median / library:.1f} times"
            f" the library's {library:.3f} s"
        )


def show_crowd(limit: int, film: Path, sent: str) -> None:
    """Print what a crowd of visitors measures.

    Args:
        limit: Number of films that are graded at once.
        film: The film that every visitor sends.
        sent: Folder for the films that the Space receives.
    """
    from gradio_client import Client, handle_file

    from spaces.demo.page import CONCURRENCY

    code = f"import spaces.demo.page as page, spaces.app as app; page.build_demo.__defaults__ = ({limit},); app.main()"
    with started(sent, "-c", code) as (url, _):
        visitors = [Client(url, verbose=False) for _ in range(VISITORS)]
        alone, crowd, total = visited(visitors, handle_file(film))
    print(
        f"limit {limit}{' (the default)' * (limit == CONCURRENCY)}: alone {statistics.median(alone):.2f} s per film;"
        f" {VISITORS} at once: median {statistics.median(crowd):.2f} s, longest {max(crowd):.2f} s,"
        f" {len(crowd) / total:.1f} films per second"
    )


@contextmanager
def started(films: str, *command: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the demo in a process of its own; yields its address and the process.

    Args:
        films: Folder for the films that it receives.
        command: Arguments of Python, if not those that start the demo.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "KNEEOA_"))} | {
        "PYTHONUNBUFFERED": "1",
        "GRADIO_TEMP_DIR": films,
    }
    process = subprocess.Popen(
        [sys.executable, *(command or ("-m", "spaces.app"))],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        for line in process.stdout:
            if found := re.search(r"http://[\d.]+:\d+", line):
                yield found[0], process
                break
    finally:
        process.terminate()
        process.communicate(timeout=60)


def timed(call: Callable[[], object]) -> list[float]:
    """Return the seconds of each of REPEATS calls."""
    return [seconds(call) for _ in range(REPEATS)]


def visited(visitors: list, film: object) -> tuple[list[float], list[float], float]:
    """Return the seconds of each answer to one visitor, of each answer to the crowd, and of the whole crowd."""

    def visit(visitor) -> list[float]:
        return [seconds(partial(visitor.predict, film, api_name="/grade")) for _ in range(FILMS_EACH)]

    alone = visit(visitors[0])
    begun = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as pool:
        crowd = [seconds for times in pool.map(visit, visitors) for seconds in times]
    return alone, crowd, time.perf_counter() - begun


if __name__ == "__main__":
    main()
