"""The time of one search with one and with two workers on this machine, beside what the simulation expects.

    python -m benchmarks.search_workers --data runs/audit --out docs/evidence/search_workers

Runs `python -m tuning search` as a user does, with the same trials each time: one worker on one core, one worker on
all cores, and a worker for each core. The simulation of `benchmarks.search_scaling` gets the trials' times of the first
run. It leaves out the start of processes, and takes trials to be as long beside each other as alone.

Writes workers.json and workers.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measuring import ROOT, ended, machine, measured_on, write_figures
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.settings import usable_cores


@dataclass(frozen=True)
class Run:
    """A search was run.

    Attributes:
        workers: Its workers.
        cores: The cores that they shared.
        seconds: From its start to its end, by the clock.
        training: Seconds of its trials' trainings, one after the other.
        trials: Number of its trials.
        expected: How many times as fast as the first run the simulation expects it to be; None where it says nothing.
    """

    workers: int
    cores: int
    seconds: float
    training: float
    trials: int
    expected: float | None = None


def search(audit: Path, out: Path, options: Sequence[str], workers: int, cores: int) -> tuple[float, list[float]]:
    """Run a search on some of the cores; return its seconds, and those of each of its trials.

    Args:
        audit: Output folder of an audit.
        out: The search's folder, which is new.
        options: Further options of `python -m tuning search`.
        workers: Number of workers.
        cores: Number of cores.
    """
    from tuning.searching.records import read_trials, settings_of
    from tuning.training.search_result import FOLDER

    command = [sys.executable, "-m", "tuning", "search", "--data", str(audit), "--out", str(out), *options]
    usable = sorted(os.sched_getaffinity(0))
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--workers", str(workers)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.sched_setaffinity(process.pid, usable[:cores])  # Python has just started, and its workers inherit it
    if process.wait():
        raise SystemExit(f"The search with {workers} workers ended with code {process.returncode}.")
    spent = time.perf_counter() - began
    return spent, [trial.seconds or 0.0 for trial in read_trials(out / FOLDER, settings_of(out))]


def expected(search_of_one: Path, workers: int) -> float:
    """Return how many times as fast as one worker the simulation expects several workers to be."""
    from benchmarks.search_scaling import measure_chief, read_networks, simulate
    from tuning.searching.records import settings_of

    networks, settings = read_networks(search_of_one), settings_of(search_of_one)
    chief = measure_chief(settings)
    alone, several = (simulate(networks, settings, count, chief, slow=False) for count in (1, workers))
    return alone.hours / several.hours


def table(runs: Sequence[Run]) -> str:
    """Return the runs as Markdown."""
    first = runs[0].seconds
    rows = [
        (
            run.workers,
            run.cores,
            f"{run.seconds:.0f}",
            f"{first / run.seconds:.2f}",
            f"{run.expected:.2f}" if run.expected else "-",
        )
        for run in runs
    ]
    return markdown_table(("workers", "cores", "seconds", "times as fast", "simulated"), rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the searches, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--films", type=int, default=600, help="training films of a trial (default 600)")
    parser.add_argument("--size", type=int, default=96, help="pixels of the input (default 96)")
    parser.add_argument("--epochs", type=int, default=9, help="epochs of the longest trials (default 9)")
    given = parser.parse_args(arguments)
    where, cores = machine(), usable_cores()
    settings = {name: getattr(given, name) for name in ("films", "epochs")} | {"iterations": 1}
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    options += ["--only", f"size={given.size}", "--validation-films", str(given.films), "--no-named"]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for workers, used in ((1, 1), (1, cores), (cores, cores)):
            out = Path(folder) / f"{workers}-{used}"
            seconds, trials = search(given.data, out, options, workers, used)
            beside = expected(Path(folder) / "1-1", workers) if workers == used else None
            runs.append(Run(workers, used, seconds, sum(trials), len(trials), beside))
    where = ended(where)
    document = {"machine": asdict(where), "search": settings | {"size": given.size}, "runs": [asdict(r) for r in runs]}
    write_figures(given.out, "workers", document, f"{table(runs)}\n{measured_on(where)}\n")


if __name__ == "__main__":
    main()
