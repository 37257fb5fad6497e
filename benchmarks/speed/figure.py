"""A figure: two things measured in turns, and what one is beside the other."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

MOST_SECONDS = 50
"""After which `in_turns` begins no further round."""
ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"


@dataclass(frozen=True)
class Figure:
    """What one row of the table says.

    Attributes:
        name: What was measured.
        against: What it is beside.
        unit: Unit of both values: "s", "ms", "films/s" or "MB".
        value: The median of it.
        other: The median of what it is beside.
        ratio: How the two compare, as the table's column says: a quotient that is better the nearer it is to 1 or, for
            what should be far from the other, the larger it is.
        spread: Least and greatest ratio of the rounds.
        rounds: How often both were measured.
        floor: The ratio that the project asks for; a larger or a smaller one is worse, as `larger_is_better` says.
        aim: The ratio that it aims at.
        larger_is_better: Whether a larger ratio is better.
    """

    name: str
    against: str
    unit: str
    value: float
    other: float
    ratio: float
    spread: tuple[float, float]
    rounds: int
    floor: float
    aim: float
    larger_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether the floor is met."""
        return self.ratio >= self.floor if self.larger_is_better else self.ratio <= self.floor


@dataclass(frozen=True)
class Machine:
    """Where and beside what the figures were measured.

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
    return Machine(names[0] if names else platform.processor(), cores(), os.getloadavg()[0])


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ended(where: Machine) -> Machine:
    """Return the machine with its load at the end of a run."""
    return replace(where, load_after=os.getloadavg()[0])


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
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (out / f"{name}.md").write_text(text, "utf-8")
    print(text)


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compared(
    name: str,
    against: str,
    unit: str,
    values: Sequence[float],
    others: Sequence[float],
    *,
    floor: float,
    aim: float,
    other_over_value: bool = False,
    larger_is_better: bool = False,
) -> Figure:
    """Make the figure of two lists of measurements, round by round.

    Args:
        name: What was measured.
        against: What it is compared with.
        unit: Unit of both.
        values: The measured values.
        others: The measured values of what it is compared with, in the same rounds.
        floor: The ratio asked for.
        aim: The ratio aimed at.
        other_over_value: Whether the ratio is the other over the value. It is the value over the other otherwise.
        larger_is_better: Whether a larger ratio is better.

    Returns:
        The figure, whose ratio is the median of those of the rounds.
    """
    pairs = list(zip(values, others, strict=True))
    ratios = [other / value if other_over_value else value / other for value, other in pairs]
    value, other = statistics.median(values), statistics.median(others)
    spread = (min(ratios), max(ratios))
    middle = statistics.median(ratios)
    return Figure(name, against, unit, value, other, middle, spread, len(pairs), floor, aim, larger_is_better)
