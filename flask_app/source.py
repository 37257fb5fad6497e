"""Loads the app's grader once, in the serving process, and grades films by turns. A failed load is tried again."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

import numpy as np
from flask import current_app

import kneeoa_hub
from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.bundle import Bundle
from kneeoa_hub.errors import FilmError, MissingExtra
from kneeoa_hub.grader import Boxes
from kneeoa_hub.imaging.sizes import is_large
from kneeoa_hub.report import Answer
from kneeoa_hub.settings import Settings

from .metrics import Metrics

QUEUE = "kneeoa_queue"
RETRY_SECONDS = 30
"""After a failed load, requests get that failure for 30 seconds before the next try."""
LOAD_SECONDS = 30
"""A request waits 30 seconds for a model that another one loads."""
GRADING_SECONDS = 25
"""A request may grade for 25 seconds; its remaining films are then answered with OutOfTime."""
WARM_UP_SIDE = 256
DECODE_PROCESSES = 2
"""Two processes decode films, unless KNEEOA_DECODE_PROCESS says how many. A film that takes too much ends one of
them and not the server."""

Shown = TypeVar("Shown")

log = logging.getLogger(__name__)


class Grader(Protocol):
    """Describes the part of kneeoa_hub.KneeGrader that the app uses."""

    bundle: Bundle
    revision: str

    @property
    def model(self) -> str: ...

    def grade(self, film: np.ndarray | bytes, *, force: bool = False) -> FilmReport: ...
    def grade_batch(
        self, films: Iterable[bytes], *, boxes: Iterable[Boxes | None] | None = None
    ) -> Iterator[Answer]: ...


class ModelUnavailable(KneeOAError):
    """The model could not be loaded. The log has the reason, which may name paths of the server."""

    code = "model-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            f"The model is not available. Try again in {RETRY_SECONDS} seconds. The server's log has the reason."
        )


class OutOfTime(FilmError):
    """The other films of the request took too long."""

    code = "out-of-time"
    status = 413

    def __init__(self) -> None:
        super().__init__(
            f"The films before this one took the {GRADING_SECONDS} seconds that a request has. Send this film"
            " again with fewer others."
        )


class GraderSource:
    """Holds one grader for all threads of a process."""

    def __init__(self, load: Callable[[], Grader], loaded: Callable[[Grader], None] = lambda grader: None):
        """Take `load`, which makes the grader, and `loaded`, which is called with it once."""
        self._load, self._loaded = load, loaded
        self._lock = threading.Lock()
        self._grader: Grader | None = None
        self._failed_at: float | None = None
        self._warming: threading.Thread | None = None

    @property
    def loaded(self) -> Grader | None:
        """The grader if it can grade at once, otherwise None."""
        return self._grader

    def get(self) -> Grader:
        """Return the grader, which is loaded if needed. Raises ModelUnavailable."""
        if self._grader is not None:
            return self._grader
        if not self._lock.acquire(timeout=LOAD_SECONDS):
            raise ModelUnavailable
        try:
            if self._grader is None:
                if self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_SECONDS:
                    raise ModelUnavailable
                try:
                    self._grader = _warmed_up(self._load())
                    self._loaded(self._grader)
                except Exception as error:  # whatever it was, the next try may succeed
                    self._failed_at = time.monotonic()
                    log.error("The model can't be loaded: %s", error)
                    raise ModelUnavailable from None
            return self._grader
        finally:
            self._lock.release()

    def warm(self) -> None:
        """Begin to load in the background and return at once."""
        if self._grader is None and not (self._warming and self._warming.is_alive()):
            # No daemon: a process that ends while a network starts its threads would abort.
            self._warming = threading.Thread(target=self._warm, name="warm-up")
            self._warming.start()

    def _warm(self) -> None:
        with suppress(ModelUnavailable):  # logged by get; the next request tries again
            self.get()


def from_settings(settings: Settings) -> Callable[[], Grader]:
    """Return a function that loads the grader at the settings' address."""

    def load() -> Grader:
        return kneeoa_hub.from_pretrained(
            settings.model or None,
            revision=settings.revision or None,
            threads=settings.threads,
            decode_process=settings.decode_process or DECODE_PROCESSES,
        )

    return load


def source() -> GraderSource:
    """Return the source of the running app."""
    return current_app.extensions["kneeoa"]


def grade_films(
    grader: Grader, films: Sequence[bytes], show: Callable[[Answer], Shown], boxes: Boxes | None = None
) -> list[Shown]:
    """Grade films when it is the request's turn, and return what `show` makes of each answer. Raises Busy.

    It handles film by film, since a report holds its film unpacked: fifty files of a few kilobytes may unfold to
    gigabytes. A request with a large film waits for others with one.

    Args:
        grader: The model.
        films: The files.
        show: Makes a report, or an error that may be shown, into the small thing that the caller keeps.
        boxes: The knees of every film; None finds them.
    """
    shown, metrics = [], Metrics.of(current_app)
    with current_app.extensions[QUEUE].turn(any(map(is_large, films))):
        end = time.monotonic() + GRADING_SECONDS
        for film in films:
            answer = OutOfTime() if shown and time.monotonic() >= end else _answer(grader, film, boxes)
            metrics.count(answer)
            shown.append(show(answer))
            del answer  # before the next film is unpacked beside it
    return shown


def _answer(grader: Grader, film: bytes, boxes: Boxes | None) -> Answer:
    (answer,) = grader.grade_batch([film], boxes=[boxes])
    if isinstance(answer, KneeOAError) and not isinstance(answer, FilmError | MissingExtra):
        log.error("A film could not be graded: %s", answer)
        return ModelUnavailable()
    return answer


def _warmed_up(grader: Grader) -> Grader:
    """Run the network once, since its first pass allocates memory and must not delay a film."""
    ramp = np.tile(np.arange(WARM_UP_SIDE, dtype=np.uint8), (WARM_UP_SIDE, 1))
    grader.grade(ramp, force=True)
    return grader
