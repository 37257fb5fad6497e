"""The time of a grading is measured against the film's size, the knees of a pass, the threads and the number of films.

    python -m benchmarks.curves --out docs/evidence/curves    # about five minutes on two idle cores

Writes curves.json, curves.md and curves.png. The films are synthetic. A folder of many films holds the same FILMS_DRAWN
films under many names, because drawing ten thousand would take longer than grading them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from kneeoa_hub import KneeGrader, from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import knee_film, write_films
from kneeoa_hub.settings import usable_cores

from .load import dicom
from .measuring import ROOT, Machine, ended, in_turns, machine, measured_on, milliseconds, write_figures
from .processes import megabytes

SIDES = (224, 512, 1024, 2048, 4096)
"""Square films have these sides, in pixels."""
KNEES = (1, 2, 4, 8, 16, 32)
"""A pass through the grading network has these numbers of knees."""
COUNTS = (1, 10, 100, 1000, 10000)
"""A folder has these numbers of films."""
FILMS_DRAWN = 500
ROUNDS, REPEATS = 5, 3
SAME_SCALE = 3
"""A second line whose highest value is more than this many times the first one's has an axis of its own."""
LOOK_SECONDS = 0.2
"""The memory of a command is read this often."""


@dataclass(frozen=True)
class Point:
    """A point of a curve has a place, a value, and the value of the second line there.

    Attributes:
        at: Pixels of a side, knees, threads, or films.
        value: Milliseconds of a film or knee.
        part: What the curve's second line shows there: milliseconds, or megabytes of memory.
    """

    at: int
    value: float
    part: float


@dataclass(frozen=True)
class Curve:
    """A curve has a second line.

    Attributes:
        name: What grows.
        value: What `Point.value` is.
        part: What `Point.part` is.
        points: The points.
    """

    name: str
    value: str
    part: str
    points: tuple[Point, ...]


def by_size(grader: KneeGrader) -> Curve:
    """Time 16-bit DICOM films of one knee, on one thread, and their decoding."""
    drawn = Image.fromarray(knee_film(2, 7, bits=16).pixels.astype(np.float32))
    points = []
    for side in SIDES:
        pixels = np.asarray(drawn.resize((side, side), Image.Resampling.BICUBIC))
        noisy = pixels + np.random.default_rng(0).normal(0, 40, pixels.shape)
        film = dicom(np.clip(noisy, 0, 65535).astype(np.uint16))
        assert grader.grade(film).knees
        calls = {"grade": partial(grader.grade, film), "decode": partial(decode, film)}
        taken = in_turns({name: partial(milliseconds, call, REPEATS) for name, call in calls.items()}, ROUNDS)
        points.append(Point(side, *(statistics.median(taken[one]) for one in ("grade", "decode"))))
    return Curve("pixels of a side", "ms a film", "ms of it to decode", tuple(points))


def by_knees(grader: KneeGrader) -> Curve:
    """Time the grading network on one thread, with several knees in one pass."""
    side = grader.bundle.config.input.height
    points = []
    for knees in KNEES:
        images = np.random.default_rng(0).normal(size=(knees, side, side, 1)).astype(np.float32)
        grader.network.run(images)
        taken = in_turns({"pass": partial(milliseconds, partial(grader.network.run, images))}, ROUNDS)["pass"]
        points.append(Point(knees, statistics.median(taken) / knees, statistics.median(taken)))
    return Curve("knees of one pass", "ms a knee", "ms of the pass", tuple(points))


def by_threads() -> Curve:
    """Time one warm film of 224 pixels with more threads in each pass, and its fastest grading."""
    film = np.asarray(Image.fromarray(knee_film(2, 7).pixels).resize((224, 224), Image.Resampling.BICUBIC))
    points = []
    for threads in range(1, usable_cores() + 1):
        grader = from_pretrained(threads=threads)
        assert grader.grade(film).knees
        taken = in_turns({"grade": partial(milliseconds, partial(grader.grade, film), REPEATS)}, ROUNDS)["grade"]
        points.append(Point(threads, statistics.median(taken), min(taken)))
    return Curve("threads of one pass", "ms a film", "fastest round", tuple(points))


def by_films(most: int) -> Curve:
    """Time `kneeoa grade` on folders of more and more films, on all cores, and read the memory of its processes."""
    with TemporaryDirectory() as place:
        write_films(Path(place) / "drawn", min(most, FILMS_DRAWN))
        drawn = sorted((Path(place) / "drawn").rglob("*.png"))
        points = []
        for count in (count for count in COUNTS if count <= most):
            folder = Path(place) / str(count)
            folder.mkdir()
            for number in range(count):
                (folder / f"{number:06d}.png").hardlink_to(drawn[number % len(drawn)])
            taken, megabytes = _watched(["grade", str(folder), "--out", str(Path(place) / f"{count}.csv")])
            points.append(Point(count, 1000 * taken / count, megabytes))
    return Curve("films of a folder, with the start", "ms a film", "MB of all processes", tuple(points))


def _watched(arguments: list[str]) -> tuple[float, float]:
    """Run the command line; return its seconds, and the most megabytes that its processes had together."""
    command = [sys.executable, "-m", "kneeoa_hub.cli", *arguments]
    most, ended = 0.0, threading.Event()
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)

    def look() -> None:
        nonlocal most
        while not ended.wait(LOOK_SECONDS):
            most = max(most, _megabytes(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    code = process.wait()
    taken = time.perf_counter() - begun
    ended.set()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return taken, most


def _megabytes(session: int) -> float:
    """Return the proportional memory of the processes of a session, which counts a shared page once."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                total += megabytes(process.name)
        except OSError:  # it has ended
            continue
    return total


def table(curves: Sequence[Curve], where: Machine) -> str:
    """Return the curves as Markdown."""
    tables = []
    for curve in curves:
        rows = [(f"{point.at:,}", _short(point.value), _short(point.part)) for point in curve.points]
        tables.append(markdown_table((curve.name, curve.value, curve.part), rows))
    return "\n\n".join([*tables, measured_on(where)]) + "\n"


def _short(value: float) -> str:
    """Return a number with three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):,g}"


def plot(curves: Sequence[Curve], path: Path) -> None:
    """Draw each curve in a panel with its second line."""
    from tuning.evaluation.plots import COLOUR, DPI, SECOND_COLOUR, pyplot

    figure, axes = pyplot().subplots(1, len(curves), figsize=(3.6 * len(curves), 3.6))
    for axis, curve in zip(axes, curves, strict=True):
        at = [point.at for point in curve.points]
        axis.plot(at, [point.value for point in curve.points], "o-", color=COLOUR, label=curve.value)
        apart = max(point.part for point in curve.points) > SAME_SCALE * max(point.value for point in curve.points)
        second = axis.twinx() if apart or curve.part.startswith("MB") else axis
        second.plot(at, [point.part for point in curve.points], "s--", color=SECOND_COLOUR, label=curve.part)
        axis.set(xscale="log", xlabel=curve.name, ylabel=curve.value)
        axis.set_ylim(0)
        if second is not axis:
            second.set(ylabel=curve.part, ylim=(0, None))
        axis.set_xticks(at, [f"{one:,}" for one in at], fontsize=7)
        axis.minorticks_off()
        axis.grid(alpha=0.25)
        lines = axis.get_lines() if second is axis else [*axis.get_lines(), *second.get_lines()]
        axis.legend(handles=lines, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every curve, and write the figures, the table and the plot; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-films", type=int, default=COUNTS[-1], help="films of the largest folder")
    given = parser.parse_args(arguments)
    where, grader = machine(), from_pretrained(threads=1)
    curves = [by_size(grader), by_knees(grader), by_threads(), by_films(given.most_films)]
    document = {"machine": asdict(ended(where)), "revision": grader.revision, "curves": [asdict(one) for one in curves]}
    write_figures(given.out, "curves", document, table(curves, where))
    plot(curves, given.out / "curves.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
