"""The public demo as a Space starts it: seconds per film, memory, and a crowd of visitors at several limits.

    python -m benchmarks.space --out docs/evidence/space    # two minutes on two idle cores

The films are synthetic, with 16 bits: a knee of 1500 pixels per side, about the size in a clinic, and one of 4000. The
crowd is VISITORS visitors who send FILMS_EACH films each through the demo's own queue. Each time of a film is also
given relative to the library's time for the same film in this process. Writes space.json and space.md.
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
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from kneeoa_hub.card.text import table as markdown_table

from .measuring import ROOT, Machine, ended, machine, measured_on, seconds, write_figures
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


@dataclass(frozen=True)
class OneFilm:
    """This is how long one visitor waits for the answer to a film.

    Attributes:
        side: Side of the film, in pixels.
        median: Median of the seconds of an answer.
        longest: The longest of them.
        library: Median of the seconds that the library takes.
    """

    side: int
    median: float
    longest: float
    library: float


@dataclass(frozen=True)
class Crowd:
    """This is how long a crowd of visitors waits.

    Attributes:
        limit: Number of films that are graded at once.
        median: Median of the seconds of an answer.
        longest: The longest of them.
        rate: Films per second.
    """

    limit: int
    median: float
    longest: float
    rate: float


def table(films: Sequence[OneFilm], peak: float, crowds: Sequence[Crowd], where: Machine) -> str:
    """Return the figures as Markdown.

    Args:
        films: What one visitor measures.
        peak: The highest memory of the demo meanwhile, in MB.
        crowds: What the crowd measures at each limit.
        where: The machine.
    """
    alone = [
        [
            f"{one.side} x {one.side} pixels, 16 bits",
            f"{one.median:.2f} s",
            f"{one.longest:.2f} s",
            f"{one.median / one.library:.1f}",
        ]
        for one in films
    ]
    crowded = [[one.limit, f"{one.median:.1f} s", f"{one.longest:.1f} s", f"{one.rate:.1f}"] for one in crowds]
    return (
        markdown_table(["film of one visitor", "median", "longest", "times the library"], alone)
        + f"\n\nThe demo held {peak:.0f} MB at most. {VISITORS} visitors with {FILMS_EACH} films each, at once:\n\n"
        + markdown_table(["films graded at once", "median", "longest", "films per second"], crowded)
        + f"\n\n{measured_on(where)}\n"
    )


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    limits = "numbers of films graded at once to try with the crowd (default 1 2 4)"
    parser.add_argument("--limits", type=int, nargs="*", default=[1, 2, 4], help=limits)
    arguments = parser.parse_args()
    where = machine()
    with TemporaryDirectory() as folder, TemporaryDirectory() as sent:
        paths = write_films(Path(folder))
        starts = measure_starts(1, paths, sent)
        films = beside_the_library(starts, paths)
        crowds = [measure_crowd(limit, paths[SIDES[0]], sent) for limit in arguments.limits]
    peak = max(starts.peaks)
    document = {
        "machine": asdict(ended(where)),
        "films": [asdict(one) for one in films],
        "peak_mb": peak,
        "crowds": [asdict(one) for one in crowds],
    }
    write_figures(arguments.out, "space", document, table(films, peak, crowds, where))


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


def beside_the_library(starts: Starts, paths: dict[int, Path]) -> list[OneFilm]:
    """Return what one visitor waits for each film, and the library's time for it."""
    from kneeoa_hub import from_pretrained

    grader = from_pretrained()
    return [
        OneFilm(
            side,
            statistics.median(starts.times[side]),
            max(starts.times[side]),
            statistics.median(timed(partial(grader.grade, path))),
        )
        for side, path in paths.items()
    ]


def measure_crowd(limit: int, film: Path, sent: str) -> Crowd:
    """Return what a crowd of visitors waits.

    Args:
        limit: Number of films that are graded at once.
        film: The film that every visitor sends.
        sent: Folder for the films that the Space receives.
    """
    from gradio_client import Client, handle_file

    code = f"import spaces.demo.page as page, spaces.app as app; page.build_demo.__defaults__ = ({limit},); app.main()"
    with started(sent, "-c", code) as (url, _):
        visitors = [Client(url, verbose=False) for _ in range(VISITORS)]
        crowd, total = visited(visitors, handle_file(film))
    return Crowd(limit, statistics.median(crowd), max(crowd), len(crowd) / total)


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


def visited(visitors: list, film: object) -> tuple[list[float], float]:
    """Return the seconds of each answer to the crowd, and those from its first request to its last answer."""

    def visit(visitor) -> list[float]:
        return [seconds(partial(visitor.predict, film, api_name="/grade")) for _ in range(FILMS_EACH)]

    visit(visitors[0])  # the first answers wait for the networks
    begun = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as pool:
        crowd = [one for times in pool.map(visit, visitors) for one in times]
    return crowd, time.perf_counter() - begun


if __name__ == "__main__":
    main()
