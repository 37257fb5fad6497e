"""The public demo as a Space starts it: seconds from start to first answer, seconds a film, memory, and a crowd at
several limits.

    python -m benchmarks.space --starts 3 --limits 1 2 4

Films: a knee of 1500 pixels a side, about what a clinic has, and one of 4000, 16 bits each, synthetic. The crowd is 20
visitors who send five films each over the demo's own queue. Times of a machine say little elsewhere; beside each stands
its ratio to the library's own time for the same film in this process.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
VISITORS, FILMS_EACH = 20, 5
SIDES = (1500, 4000)
REPEATS = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3, help="how often the demo is started (default 3)")
    parser.add_argument(
        "--limits",
        type=int,
        nargs="*",
        default=[1, 2, 4],
        help="turns of grading at once to try the crowd with (default 1 2 4)",
    )
    arguments = parser.parse_args()
    from gradio_client import Client, handle_file

    from kneeoa_hub import from_pretrained
    from kneeoa_hub.imaging.phantom import knee_film
    from spaces.demo.page import CONCURRENCY

    grader = from_pretrained()
    with TemporaryDirectory() as folder, TemporaryDirectory() as sent:
        films = {side: Path(folder) / f"{side}.png" for side in SIDES}
        for side, path in films.items():
            drawn = knee_film(3, 1, height=500, width=500, bits=16).pixels
            Image.fromarray(np.kron(drawn, np.ones((side // 500, side // 500), drawn.dtype))).save(path)
        starts, peaks, times = [], [], {side: [] for side in SIDES}
        for _ in range(arguments.starts):
            begun = time.perf_counter()
            with started(sent) as (url, process):
                client = Client(url, verbose=False)
                client.predict(handle_file(films[SIDES[0]]), api_name="/grade")
                starts.append(time.perf_counter() - begun)
                for side, path in films.items():
                    times[side] += timed(partial(client.predict, handle_file(path), api_name="/grade"))
                peaks.append(peak_memory(process.pid))
        print(
            f"start to first answer: median {statistics.median(starts):.1f} s, longest {max(starts):.1f} s of"
            f" {len(starts)}; peak memory {max(peaks):.0f} MB"
        )
        for side, path in films.items():
            library, median = statistics.median(timed(partial(grader.grade, path))), statistics.median(times[side])
            print(
                f"a film of {side} pixels: median {median:.2f} s, longest {max(times[side]):.2f} s;"
                f" {median / library:.1f} times the library's {library:.3f} s"
            )
        for limit in arguments.limits:
            code = (
                f"import spaces.demo.page as page, spaces.app as app; page.build_demo.__defaults__ = ({limit},);"
                " app.main()"
            )
            with started(sent, "-c", code) as (url, _):
                alone, crowd, total = visited(
                    [Client(url, verbose=False) for _ in range(VISITORS)], handle_file(films[SIDES[0]])
                )
            print(
                f"limit {limit}{' (the default)' * (limit == CONCURRENCY)}: alone {statistics.median(alone):.2f} s a"
                f" film; {VISITORS} at once: median {statistics.median(crowd):.2f} s, longest {max(crowd):.2f} s,"
                f" {len(crowd) / total:.1f} films a second"
            )


@contextmanager
def started(films: str, *command: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The demo in a process of its own, at its address. films: where it keeps what it is sent."""
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
    """Seconds of each of REPEATS calls."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times


def visited(visitors: list, film: object) -> tuple[list[float], list[float], float]:
    """Seconds of each answer to one visitor, of each in the crowd, and of the whole crowd."""

    def visit(visitor) -> list[float]:
        times = []
        for _ in range(FILMS_EACH):
            begun = time.perf_counter()
            visitor.predict(film, api_name="/grade")
            times.append(time.perf_counter() - begun)
        return times

    alone = visit(visitors[0])
    begun = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as pool:
        crowd = [seconds for times in pool.map(visit, visitors) for seconds in times]
    return alone, crowd, time.perf_counter() - begun


def peak_memory(process: int) -> float:
    """MB that a process has held at most; Linux."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000  # pyright: ignore[reportOptionalSubscript]


if __name__ == "__main__":
    main()
