"""Grading an archive on Ray is measured with one worker and two, and projected to a million films.

    python -m benchmarks.archive --out docs/evidence/archive    # about five minutes on two idle cores

Measured: the films per second of one worker on one core and of two workers on two, each in turns with a plain loop on
one core; the start of Ray; and how long Ray takes to hand out a part and to get its answer, with workers that do
nothing. A worker reads ahead, so a single one would otherwise use both cores. Projected: the hours on more cores.
Either the workers are the limit, at the slower of the two rates, or the one process that hands out parts. Assumed:
reading and writing are no limit, and a core of the cluster is as fast as one here; the price of a core is an option.

Writes archive.json, archive.md and archive.png. The films are synthetic.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kneeoa_hub import from_pretrained, grade_dataset
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.dataset.grade import FILMS_A_PART, on_actors
from kneeoa_hub.dataset.parts import Part
from kneeoa_hub.imaging.phantom import write_films
from kneeoa_hub.third_party import quiet_ray

from .measuring import Machine, ended, in_turns, machine, seconds, write_figures

ROUNDS, MOST_SECONDS = 3, 240
FILMS, DRAWN = 512, 256
"""FILMS films are graded, and DRAWN of them differ."""
EMPTY_PARTS = 400
"""Workers that do nothing get this many parts."""
MILLION = 1_000_000
CORES = (8, 16, 32, 64, 128, 256, 512)
PRICE = 0.05
"""A core costs this many US dollars for an hour. It is an assumption, see --price."""


@dataclass(frozen=True)
class Measured:
    """These seconds were measured here.

    Attributes:
        films: Films of each run.
        start: To start Ray.
        film_alone: A film in a plain loop on one core.
        film_one: A film with one worker on one core, without the start.
        film_two: The same with two workers on two cores.
        part: To hand out a part of FILMS_A_PART films, and to get its answer.
    """

    films: int
    start: float
    film_alone: float
    film_one: float
    film_two: float
    part: float

    @property
    def overhead(self) -> float:
        """Seconds that Ray adds to a film."""
        return self.film_one - self.film_alone

    @property
    def core(self) -> float:
        """Seconds of a core for a film: alone or beside another one, whichever is longer."""
        return max(self.film_one, 2 * self.film_two)


@dataclass(frozen=True)
class Projected:
    """This is projected for a million films.

    Attributes:
        cores: Cores of the cluster, each with one worker.
        hours: Until the last film.
        dollars: What the cores cost in that time.
        limit: "workers", or "handing out" where more workers would gain nothing.
    """

    cores: int
    hours: float
    dollars: float
    limit: str


class Idle:
    """An idle actor answers at once."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        """Return how many parts there were."""
        return {"parts": [len(batch["table"])]}


def measure(films: int) -> Measured:
    """Grade the same films in a loop, with one worker and with two, and hand out parts to workers that do nothing."""
    quiet_ray()
    import ray
    import ray.data

    with TemporaryDirectory() as place:
        folder, drawn = Path(place) / "films", Path(place) / "drawn"
        write_films(drawn, min(films, DRAWN))
        folder.mkdir()
        for number, film in enumerate(islice(_again(sorted(drawn.rglob("*.png"))), films)):
            (folder / f"{number:06d}.png").hardlink_to(film)
        with _cluster(ray, 1) as start:
            one, alone = _rates(folder, 1)
        with _cluster(ray, 2):
            two, _ = _rates(folder, 2)
            part = _handing_out(ray)
    return Measured(films, start, alone, one, two, part)


@contextmanager
def _cluster(ray: Any, cores: int) -> Iterator[float]:
    """Start Ray on the first cores of this machine, with the loop beside it on one; yields the seconds to start."""
    before = os.sched_getaffinity(0)
    chosen = sorted(before)[:cores]
    os.sched_setaffinity(0, chosen)
    try:
        yield seconds(lambda: ray.init(log_to_driver=False, include_dashboard=False, num_cpus=cores))
    finally:
        ray.shutdown()
        os.sched_setaffinity(0, before)


def _rates(folder: Path, workers: int) -> tuple[float, float]:
    """Return the seconds of a film with so many workers, and in a plain loop on one core."""
    films = sorted(folder.iterdir())
    grader = from_pretrained(threads=1)
    grader.grade(films[0])
    with TemporaryDirectory() as place:
        _graded(films[:1], Path(place), workers)
        start = _graded(films[:1], Path(place), workers)
        taken = in_turns(
            {
                "ray": lambda: _graded(films, Path(place), workers, max(1, len(films) // 8)) - start,
                "loop": lambda: seconds(lambda: list(grader.grade_batch(films))),
            },
            ROUNDS,
            MOST_SECONDS,
            warm_up=False,
        )
    on_ray, in_loop = (statistics.median(found) / len(films) for found in taken.values())
    return on_ray, in_loop


def _handing_out(ray: Any) -> float:
    """Return the seconds for a part that is handed out to workers which do nothing."""
    films = [tuple(f"/films/{part:06d}-{film:09d}.png" for film in range(FILMS_A_PART)) for part in range(EMPTY_PARTS)]
    parts = [Part(names) for names in films]
    first = seconds(lambda: list(on_actors(ray, parts[:2], 2, Idle, ())))
    return (seconds(lambda: list(on_actors(ray, parts, 2, Idle, ()))) - first) / EMPTY_PARTS


def _again(films: Sequence[Path]) -> Any:
    return (film for films in repeat(films) for film in films)


def _graded(films: Sequence[Path], place: Path, workers: int, size: int = FILMS_A_PART) -> float:
    """Return the seconds of one run of `grade_dataset` into a new folder."""
    out = place / f"{time.monotonic_ns()}"
    return seconds(lambda: grade_dataset(films, out, workers=workers, films_per_part=size))


def project(measured: Measured, price: float) -> list[Projected]:
    """Project the hours of a million films on CORES."""
    projected = []
    for cores in CORES:
        working = MILLION * measured.core / cores
        handing_out = MILLION / FILMS_A_PART * measured.part
        hours = (measured.start + max(working, handing_out)) / 3600
        limit = "workers" if working >= handing_out else "handing out"
        projected.append(Projected(cores, hours, hours * cores * price, limit))
    return projected


def table(measured: Measured, projected: Sequence[Projected], where: Machine, price: float) -> str:
    """Return the measured and the projected figures as Markdown.

    Args:
        measured: What was measured.
        projected: What follows for more cores.
        where: The machine.
        price: US dollars for a core and hour.
    """
    taken = {
        "a film in a plain loop on one core": measured.film_alone,
        "a film with one worker of Ray on one core": measured.film_one,
        "a film with two workers on two cores": measured.film_two,
        "what Ray adds to a film": measured.overhead,
        f"to hand out a part of {FILMS_A_PART} films": measured.part,
    }
    rows = [(name, f"{1000 * value:.1f}") for name, value in taken.items()]
    rows.append(("the start of Ray", f"{1000 * measured.start:,.0f}"))
    costs = [(one.cores, f"{one.hours:.2f}", f"{one.dollars:.2f}", one.limit) for one in projected]
    parts = [
        markdown_table(("measured", "milliseconds"), rows),
        f"A million films, at {price:.2f} USD for a core and hour:",
        markdown_table(("cores", "hours", "USD", "limit"), costs),
        f"Measured with {measured.films:,} synthetic films of 224 pixels on {where.cores} cores, {where.processor},"
        f" load {where.load_before:.1f}. Projected for cores of that kind.",
    ]
    return "\n\n".join(parts) + "\n"


def plot(measured: Measured, projected: Sequence[Projected], path: Path) -> None:
    """Draw the hours against the cores, with the limit that handing out sets.

    Args:
        measured: What was measured.
        projected: What follows for more cores.
        path: The PNG file to write.
    """
    from tuning.evaluation.plots import COLOUR, DPI, SECOND_COLOUR, pyplot

    figure, axis = pyplot().subplots(figsize=(5, 3.6))
    axis.plot(CORES, [one.hours for one in projected], "o-", color=COLOUR, label="hours, projected")
    limit = MILLION / FILMS_A_PART * measured.part / 3600
    axis.axhline(limit, color=SECOND_COLOUR, linestyle="--", label="hours to hand out the parts alone")
    axis.set(xscale="log", yscale="log", xlabel="cores", ylabel="hours for a million films")
    costs = axis.twinx()
    costs.plot(CORES, [one.dollars for one in projected], "s:", color="black", label="US dollars")
    costs.set(ylabel="US dollars", ylim=(0, 2 * max(one.dollars for one in projected)))
    axis.set_xticks(CORES, [str(cores) for cores in CORES])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.grid(alpha=0.25)
    lines = [*axis.get_lines(), *costs.get_lines()]
    axis.legend(handles=lines, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, project, and write the figures, the table and the plot; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--films", type=int, default=FILMS, help=f"films of each run (default {FILMS})")
    parser.add_argument("--price", type=float, default=PRICE, help=f"US dollars for a core and hour (default {PRICE})")
    given = parser.parse_args(arguments)
    where, measured = machine(), measure(given.films)
    projected = project(measured, given.price)
    document = {
        "machine": asdict(ended(where)),
        "seconds": asdict(measured),
        "dollars_a_core_hour": given.price,
        "films": MILLION,
        "projected": [asdict(one) for one in projected],
    }
    write_figures(given.out, "archive", document, table(measured, projected, where, given.price))
    plot(measured, projected, given.out / "archive.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
