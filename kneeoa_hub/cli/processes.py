"""Many films graded in processes, each with a grader of its own.

A quarter of a film's time is Python, of which the threads of one process run one at a time: they would keep four cores
busy at most.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from ..batches import in_order
from ..bundle import Bundle
from ..errors import KneeOAError
from ..grader import KneeGrader
from ..imaging.decode import FilmInput
from ..report import FilmReport

WORTH_IT = 500
"""Processes take half a second to start, and each has its own memory. So many films give this back on two cores."""

_grader: KneeGrader
"""The grader of a process of the pool, see `_open`."""


def grade_in_processes(
    grader: KneeGrader, films: Iterable[FilmInput], workers: int, force: bool
) -> Iterator[FilmReport | KneeOAError]:
    """Grade films as `KneeGrader.grade_batch` does, in processes.

    Args:
        grader: What each process has a copy of. Its forward passes should have one thread.
        films: Paths or bytes of films.
        workers: How many processes there are.
        force: Grade films even where they are refused.

    Yields:
        A report or an error for each film, in the order of the films.

    Raises:
        KneeOAError: The system ended a process.
    """
    spawned = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    opened = grader.bundle, grader.revision, grader.level
    try:
        with ProcessPoolExecutor(workers, spawned, _open, opened) as pool:
            yield from in_order(pool, _grade, ((film, force) for film in films), workers)
    except BrokenProcessPool:
        raise KneeOAError(
            "A process that grades films was ended by the system, maybe for want of memory. Give the same command with"
            " fewer --workers; with --out it goes on where it stopped."
        ) from None


def _open(bundle: Bundle, revision: str, level: float) -> None:
    """Make the grader of this process, which ends with its parent and leaves interrupts to it."""
    global _grader
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _grader = KneeGrader(bundle, revision, threads=1, level=level)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _grade(film: FilmInput, force: bool) -> FilmReport | KneeOAError:
    (answer,) = _grader.grade_batch([film], force=force)
    return answer
