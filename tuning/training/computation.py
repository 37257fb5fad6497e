"""A short measurement chooses in which precision the steps of a training are computed, and whether XLA compiles them.

To compile takes time before the first step, and bfloat16 is faster on some hardware alone. With the precision AUTO, a
few steps are timed in each way, and the way that is the fastest over the planned steps is kept in the folder of the
step.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from kneeoa_hub.errors import DataError
from kneeoa_hub.files import UNFINISHED

from ..run import steps
from ..run.folder import locked
from .plan import AUTO, PRECISIONS

RECORD = "computation.json"
"""This file in the folder of a search or a training keeps the choice."""
TIMED = 5
"""Number of steps that are timed in each way after the first one. The fastest counts."""
LEAST_GAIN = 0.05
"""Another way must save at least 5% of the time; smaller differences are chance."""
MOST_GAIN = 0.5
"""No way saves more than half of the time. A way is not timed where that would cost more."""
FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Processors with one of these in /proc/cpuinfo compute in bfloat16. On others it is slower, and is not timed."""


@dataclass(frozen=True)
class Computation:
    """A way to compute the steps of a training.

    Attributes:
        precision: Of the layers' arithmetic, one of PRECISIONS.
        xla: Whether XLA compiles the steps; None leaves it to Keras. There is a choice on TensorFlow alone.
    """

    precision: str = PRECISIONS[0]
    xla: bool | None = None

    def __str__(self) -> str:
        return self.precision + {None: "", True: " with XLA", False: " without XLA"}[self.xla]


@dataclass(frozen=True)
class Timing:
    """The seconds of steps that are computed in one way.

    Attributes:
        computation: The way.
        first: Of the first step, which traces and compiles.
        later: Of a later one.
    """

    computation: Computation
    first: float
    later: float

    def seconds(self, count: int) -> float:
        """Return the seconds of so many steps."""
        return self.first + (count - 1) * self.later


@dataclass(frozen=True)
class Choice:
    """The way that was chosen for a step, with what was measured. RECORD holds it.

    Attributes:
        chosen: The way that was chosen.
        steps: The planned steps of a training.
        timings: What was measured.
    """

    chosen: Computation
    steps: int
    timings: tuple[Timing, ...]

    def __str__(self) -> str:
        spent = ", ".join(
            f"{one.computation} {one.seconds(self.steps):.0f} s ({1000 * one.later:.0f} ms a step)"
            for one in self.timings
        )
        return f"Computes in {self.chosen}; for {self.steps} steps, {spent}."


def computation_of(out: Path, precision: str, measure: Callable[[], Choice]) -> Computation:
    """Return how the trainings of a step are computed. What was chosen once stays, in all processes of the step.

    Args:
        out: The folder of the step.
        precision: One of PRECISIONS, or AUTO.
        measure: Chooses, where nobody has yet.

    Raises:
        DataError: The record of the choice is damaged.
    """
    if precision != AUTO:
        return Computation(precision)
    # One process at a time measures, so that none slows the steps of another and all take the same choice.
    with locked(out / f"{UNFINISHED}{RECORD}.lock"):
        if not (out / RECORD).exists():
            choice = measure()
            steps.write_json(out / RECORD, choice)
            print(f"   {choice}", file=sys.stderr, flush=True)
        return read_choice(out).chosen


def read_choice(out: Path) -> Choice:
    """Return what was chosen for the step in a folder. Raises DataError when it can't be read."""
    try:
        return steps.typed(Choice, steps.read_json(out / RECORD), out / RECORD)
    except DataError:
        raise DataError(f"{out / RECORD} is damaged; remove it, and the same command measures again.") from None


def time_ways(
    begin: Callable[[Computation], Callable[[], object]],
    count: int,
    trainings: int = 1,
    ways: Sequence[Computation] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Time the ways to compute the steps of a training, and choose one.

    A way that fails is left out, unless it is the usual one.

    Args:
        begin: Builds a network in one way, and returns what takes a step of its training.
        count: Planned steps of a training.
        trainings: Number of the trainings that have so many steps, each of which compiles anew.
        ways: The ways, the usual one first; None takes those that this machine may gain by.
        clock: Returns seconds.
    """
    timings: list[Timing] = []
    for way in ways or ways_here():
        if timings:
            to_time = timings[0].seconds(1 + TIMED)
            if to_time > MOST_GAIN * trainings * min(one.seconds(count) for one in timings):
                break
        try:
            timings.append(_timed(way, begin(way), clock))
        except Exception as error:  # a compiler and a memory have errors of their own
            if not timings:
                raise
            print(f"   {way} can't be used here ({type(error).__name__}).", file=sys.stderr, flush=True)
    usual, fastest = timings[0], min(timings, key=lambda one: one.seconds(count))
    gains = fastest.seconds(count) < (1 - LEAST_GAIN) * usual.seconds(count)
    return Choice((fastest if gains else usual).computation, count, tuple(timings))


def _timed(way: Computation, step: Callable[[], object], clock: Callable[[], float]) -> Timing:
    def seconds() -> float:
        began = clock()
        step()
        return clock() - began

    return Timing(way, seconds(), min(seconds() for _ in range(TIMED)))


def ways_here() -> list[Computation]:
    """Return the ways that this machine may gain by, the usual one first."""
    usual = _has_accelerator()
    ways = (usual, not usual) if keras.backend.backend() == "tensorflow" else (None,)
    return [Computation(name, xla) for xla in ways for name in PRECISIONS[: 1 + _has_bfloat16()]]


def _has_bfloat16() -> bool:
    about = Path("/proc/cpuinfo")
    words = set(about.read_text("utf-8", "replace").split()) if about.exists() else set()
    return bool(FLAGS & words) or _has_accelerator()


def _has_accelerator() -> bool:
    return any(keras.distribution.list_devices(kind) for kind in ("gpu", "tpu"))


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Make the layers that are built inside the block compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
