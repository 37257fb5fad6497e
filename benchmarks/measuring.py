"""The benchmarks share these ways to time calls, to measure in turns, to name the machine, and to write figures."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kneeoa_hub.settings import usable_cores

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from kneeoa_hub import KneeGrader

ROOT = Path(__file__).parents[1]
"""This is the folder of the repository."""
BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
"""This is the folder of the shipped bundle."""
MOST_SECONDS = 50
"""After this time `in_turns` begins no further round."""


@dataclass(frozen=True)
class Machine:
    """The figures were measured on this machine.

    Attributes:
        processor: Its name, as Linux says.
        cores: Cores that the run could use.
        load_before: Load average of the last minute when the run began. On an idle machine it is near 0.
        load_after: The same at its end; it holds the run itself. None where nobody looked.
        python: Version of Python.
    """

    processor: str
    cores: int
    load_before: float
    load_after: float | None = None
    python: str = field(default_factory=platform.python_version)


def machine() -> Machine:
    """Describe this machine as it is now."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(names[0] if names else platform.processor(), usable_cores(), os.getloadavg()[0])


def ended(where: Machine) -> Machine:
    """Return the machine with its load at the end of a run."""
    return replace(where, load_after=os.getloadavg()[0])


def measured_on(where: Machine) -> str:
    """Return the sentence that says on which machine a table was measured."""
    cores = f"{where.cores} core{'s' * (where.cores > 1)}"
    return f"Measured on {cores}, {where.processor}, load {where.load_before:.1f}."


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def milliseconds(call: Callable[[], object], times: int = 1) -> float:
    """Return the mean milliseconds of a call that is made so many times."""
    return 1000 * seconds(lambda: [call() for _ in range(times)]) / times


def in_turns(
    measures: Mapping[str, Callable[[], float]],
    rounds: int,
    most_seconds: float = MOST_SECONDS,
    *,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Call each measure in turn, in several rounds.

    Args:
        measures: What to call, by name.
        rounds: How many rounds count. On a machine that is slow or busy there are fewer: none but the first begins
            after most_seconds.
        most_seconds: See rounds.
        warm_up: Whether a round comes first that does not count.

    Returns:
        What each measure gave in each round.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    begun = time.monotonic()
    for number in range(0 if warm_up else 1, rounds + 1):
        if number > 1 and time.monotonic() - begun > most_seconds:
            break
        for name, measure in measures.items():
            value = measure()
            if number:
                found[name].append(value)
    return found


def write_figures(out: Path, name: str, document: object, text: str) -> None:
    """Write NAME.json and NAME.md to a folder, and print the latter.

    Args:
        out: The folder, which is made where it is missing.
        name: The name of both files.
        document: What was measured, as JSON holds it.
        text: The same as Markdown.
    """
    write_json(out / f"{name}.json", document)
    (out / f"{name}.md").write_text(text, "utf-8")
    print(text)


def write_graded(out: Path, name: str, grader: KneeGrader, rows: Sequence[DataclassInstance], text: str) -> None:
    """Write rows that a bundle's grader gave, with the bundle's name and revision, as `write_figures` does.

    Args:
        out: The folder, which is made where it is missing.
        name: The name of both files.
        grader: The grader.
        rows: What was measured.
        text: The same as Markdown.
    """
    bundle = {"name": grader.model, "revision": grader.revision}
    write_figures(out, name, {"grader": bundle, "rows": [asdict(row) for row in rows]}, text)


def write_json(path: Path, document: object) -> None:
    """Write figures as JSON; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
