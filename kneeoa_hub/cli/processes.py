"""Grades many films in processes, each with a grader of its own.

A quarter of a film's time is Python. The threads of one process run Python one at a time, so they would keep at most
four cores busy.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..batches import in_order
from ..bundle import Bundle
from ..errors import KneeOAError
from ..opening import open_grader

if TYPE_CHECKING:
    from ..grader import KneeGrader
    from ..imaging.decode import FilmInput
    from ..report import Answer

WORTH_IT = 500
"""Processes are used for 500 films or more. Starting them takes half a second, and each has its own memory. 500 films
make up for that on two cores."""


@dataclass(frozen=True)
class Opening:
    """Says how each process opens its grader.

    Attributes:
        bundle: The verified bundle.
        revision: The revision that reports name.
        level: The coverage level of the prediction sets.
        pictures: Whether reports keep their film, from which overlays are drawn. The pixels of a large film are twenty
            megabytes, which must go through a pipe.
    """

    bundle: Bundle
    revision: str
    level: float
    pictures: bool

    def grader(self, threads: int, *, wait: bool = True) -> "KneeGrader":
        """Open the grader with so many threads for each forward pass; see `opening.open_grader`."""
        return open_grader(self.bundle, self.revision, threads, self.level, wait=wait)


_opened: "tuple[KneeGrader, bool] | KneeOAError"
"""This holds the grader of a process of the pool and whether its reports keep their film, or the error that says why
there is no grader; see `_open`.
"""


def grade_in_processes(opening: Opening, films: "Iterable[FilmInput]", workers: int, force: bool) -> "Iterator[Answer]":
    """Grade films as `KneeGrader.grade_batch` does, in processes.

    Args:
        opening: What each process opens its grader with.
        films: Paths or bytes of films.
        workers: How many processes there are.
        force: Grade films even if they are refused.

    Yields:
        A report or an error for each film, in the order of the films.

    Raises:
        KneeOAError: The system ended a process, or a network of the bundle cannot be opened.
    """
    import multiprocessing  # takes as long to load as a film takes to decode, and a single film needs none of it
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    spawned = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    try:
        with ProcessPoolExecutor(workers, spawned, _open, (opening,)) as pool:
            yield from in_order(pool, _grade, ((film, force) for film in films), workers)
    except BrokenProcessPool:
        raise KneeOAError(
            "A process that grades films was ended by the system, maybe for want of memory. Give the same command with"
            " fewer --workers; with --out it goes on where it stopped. If it ends there again, set"
            " KNEEOA_DECODE_PROCESS=1: then a film that ends its decoder gets an error, and the others are graded."
        ) from None


def _open(opening: Opening) -> None:
    """Make the grader of this process, which ends with its parent and leaves interrupts to it."""
    global _opened
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _opened = opening.grader(threads=1), opening.pictures
    except KneeOAError as error:  # raised here, it would end the pool without a reason
        _opened = error


def _end_with_parent() -> None:
    import multiprocessing

    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _grade(film: "FilmInput", force: bool) -> "Answer":
    if isinstance(_opened, KneeOAError):
        raise _opened
    grader, pictures = _opened
    (answer,) = grader.grade_batch([film], force=force)
    return answer if pictures or isinstance(answer, KneeOAError) else replace(answer, film=answer.film[:0])
