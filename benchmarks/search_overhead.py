"""The time of a search is divided into what its trials need and what the search adds to them.

    python -m benchmarks.search_overhead --data runs/audit --out docs/evidence/search_overhead

Runs `python -m tuning search` as a user does, with a worker, and divides its time among the parts of PARTS. Building
and tracing a network, its training steps and its answers for validation films are the trials' own. All other parts are
what the search adds. Without --data, the films are synthetic. Beside the clock, the table gives the time of the
processors, which other work on the machine hardly changes. Tracing includes the first step of a training.

Writes overhead.json and overhead.md.
"""

import argparse
import atexit
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from benchmarks.measuring import ROOT, ended, machine, write_figures

BUILDING, STEPS, ANSWERS = "building and tracing", "training steps", "validation answers"
OWN = (BUILDING, STEPS, ANSWERS)
"""These parts are the trials' own."""
FILMS, MEASURES, COST = "loading films", "measures and their errors", "bytes and milliseconds"
FILES, WATCHING = "drawing trials, and files", "the chief, while a worker trains"
REPORT, START = "report", "start of processes"
PARTS = (*OWN, FILMS, MEASURES, COST, FILES, WATCHING, REPORT, START)
WORKER = "worker"
"""This part of a chief's time is that in which a worker trains. The worker's own parts take its place."""
FOLDER = "KERASTUNER_OVERHEAD"
"""This environment variable names the folder to which the processes of the search write their parts."""


class Clock:
    """This clock divides the time of a process among parts: a moment belongs to the part that was opened last.

    Attributes:
        spent: [2] of each part: seconds of the clock, and of the processor in all threads.
    """

    def __init__(self, part: str):
        """Begin with a part in which everything counts that no other part covers."""
        self.spent: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        self._open, self._last = [part], _clocks()

    def count(self) -> None:
        """Add the time since the last count to the part that is open."""
        now = _clocks()
        self.spent[self._open[-1]] += now - self._last
        self._last = now

    def become(self, part: str) -> None:
        """Go on in another part, in place of the one that is open."""
        self.count()
        self._open[-1] = part

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block as a part, except where it opens others."""
        self.count()
        self._open.append(name)
        try:
            yield
        finally:
            self.count()
            self._open.pop()

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts as a part whenever it is called."""

        @functools.wraps(call)
        def counted(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return call(*arguments, **options)

        return counted


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


@contextmanager
def timing(clock: Clock) -> Iterator[None]:
    """Have the functions of a search count as parts of a clock inside the block."""
    import keras

    import tuning.search
    import tuning.searching.trial as trial

    def fit(self: Any, *arguments: Any, callbacks: Sequence[Any] = (), **options: Any) -> Any:
        traced = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: clock.become(STEPS))
        with clock.part(BUILDING):
            return trained(self, *arguments, callbacks=[*callbacks, traced], **options)

    trained = keras.Model.fit
    replaced: list[tuple[Any, str, Any]] = [(keras.Model, "fit", fit)]
    for part, where, name in (
        (ANSWERS, keras.Model, "predict"),
        (FILMS, trial.TrialTrainer, "films"),
        (BUILDING, trial, "compiled"),
        (MEASURES, trial, "measured"),
        (COST, trial, "cost_of"),
        (REPORT, tuning.search, "write_report"),
        (WORKER, tuning.search, "conduct"),
    ):
        replaced.append((where, name, clock.timed(part, getattr(where, name))))
    before = [(where, name, getattr(where, name)) for where, name, _ in replaced]
    for where, name, call in replaced:
        setattr(where, name, call)
    try:
        yield
    finally:
        for where, name, call in before:
            setattr(where, name, call)


def watch_this_process(folder: Path) -> None:
    """Count the parts of this process, which is one of a search, and write them when it ends."""
    clock, block = Clock(START), ExitStack()

    def write() -> None:
        clock.count()
        spent = {part: list(map(float, both)) for part, both in clock.spent.items()}
        (folder / f"{os.getpid()}-{time.monotonic_ns()}.json").write_text(json.dumps(spent), "utf-8")

    from tuning.searching import renewal

    def renew(began: float) -> NoReturn:
        write()  # a process that is replaced by a new one ends without its exit functions
        renewed(began)

    block.enter_context(timing(clock))
    renewed, renewal.renew = renewal.renew, renew
    atexit.register(block.close)
    atexit.register(write)
    clock.become(FILES)


def measure(audit: Path, out: Path, options: Sequence[str]) -> dict[str, np.ndarray]:
    """Run a search, and return [2] for each part: seconds of the clock, and of the processors.

    Args:
        audit: Output folder of an audit.
        out: The search's folder, which is new.
        options: Further options of `python -m tuning search`.
    """
    command = [sys.executable, "-m", "tuning", "--with", __file__, "search", "--data", str(audit), "--out", str(out)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, FOLDER: folder, "PYTHONPATH": str(ROOT)}
        began = np.array([time.perf_counter(), _children()])
        subprocess.run([*command, *options], env=environment, check=True)
        whole = np.array([time.perf_counter(), _children()]) - began
        processes = [json.loads(path.read_text("utf-8")) for path in Path(folder).iterdir()]
    return together(whole, processes)


def together(whole: np.ndarray, processes: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, np.ndarray]:
    """Return the parts of a search from those of its processes; they sum to the whole.

    Args:
        whole: [2] seconds of the whole search, of the clock and of the processors.
        processes: The parts of the chief, and of its worker.
    """
    spent = {part: np.zeros(2) for part in PARTS}
    for parts in processes:
        for name, both in parts.items():
            # While its worker trains, the chief's clock is the worker's; the chief's processor is not.
            spent[WATCHING if name == WORKER else name] += (0.0, both[1]) if name == WORKER else np.array(both)
    spent[START] += whole - _sum(spent.values())  # before a process counts, and after
    return spent


def _sum(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.sum(list(parts), axis=0)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def added(spent: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return [2]: the proportion of the time that is not the trials' own, by the clock and by the processors."""
    return 1 - _sum(spent[part] for part in OWN) / _sum(spent.values())


def table(spent: Mapping[str, np.ndarray]) -> str:
    """Return the parts as Markdown."""
    whole = _sum(spent.values())
    lines = ["| part | seconds | of the whole | of the processors | of the whole |", "|---|---|---|---|---|"]
    rows = [*((part, spent[part]) for part in PARTS), ("whole search", whole)]
    for part, both in rows:
        share = both / whole
        lines.append(f"| {part} | {both[0]:.1f} | {share[0]:.1%} | {both[1]:.1f} | {share[1]:.1%} |")
    clock, processors = added(spent)
    lines.append(f"| what the search adds to its trials | | {clock:.1%} | | {processors:.1%} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a search, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="output of python -m tuning audit (default: of synthetic films)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--films", type=int, default=600, help="training films of a trial (default 600)")
    parser.add_argument("--size", type=int, default=96, help="pixels of the input (default 96)")
    parser.add_argument("--epochs", type=int, default=9, help="epochs of the longest trials (default 9)")
    parser.add_argument("--iterations", type=int, default=1, help="how often Hyperband begins (default 1)")
    given = parser.parse_args(arguments)
    where = machine()
    settings = {name: getattr(given, name) for name in ("films", "epochs", "iterations")}
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    options += ["--only", f"size={given.size}", "--validation-films", str(given.films)]
    with tempfile.TemporaryDirectory() as folder:
        audit, out = given.data or synthetic(Path(folder), 2 * given.films), Path(folder) / "search"
        spent = measure(audit, out, options)
        trials = len(list(out.glob("tuner/trial_*/trial.json")))
    document = {
        "machine": asdict(ended(where)),
        "search": settings | {"size": given.size, "trials": trials, "films_are": "real" if given.data else "synthetic"},
        "parts": {part: {"seconds": both[0], "processor_seconds": both[1]} for part, both in spent.items()},
        "added": dict(zip(("clock", "processors"), map(float, added(spent)), strict=True)),
    }
    write_figures(given.out, "overhead", document, table(spent))


def synthetic(folder: Path, films: int) -> Path:
    """Return the output folder of an audit of synthetic films."""
    from kneeoa_hub.imaging.phantom import write_films
    from tuning.audit import audit

    write_films(folder / "films", films)
    return audit([f"synthetic={folder / 'films'}"], folder / "audit")


if __name__ == "__main__":
    main()
elif FOLDER in os.environ:  # in a process of the search, which loads this file by --with
    watch_this_process(Path(os.environ[FOLDER]))
