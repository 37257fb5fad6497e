"""Where the app's grader comes from: loaded once, in the serving process; after a failure tried again."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

import numpy as np
from flask import current_app

import kneeoa_hub
from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.bundle import Bundle
from kneeoa_hub.errors import FilmError
from kneeoa_hub.settings import Settings

from .watch import Figures

QUEUE = "kneeoa_queue"
RETRY_SECONDS = 30
"""After a failure to load, requests are answered with it for this long before the next try."""
WARM_UP_SIDE = 256

log = logging.getLogger(__name__)


class Grader(Protocol):
    """What the app needs of kneeoa_hub.KneeGrader."""

    bundle: Bundle
    revision: str

    @property
    def model(self) -> str: ...

    def grade(self, film: np.ndarray | bytes, *, force: bool = False) -> FilmReport: ...
    def grade_batch(self, films: Iterable[bytes]) -> Iterator[FilmReport | KneeOAError]: ...


class ModelUnavailable(KneeOAError):
    """The model could not be loaded. Its reason may name paths of the server, so only the log has it."""

    code = "model-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(f"The model is not available; try again in {RETRY_SECONDS} seconds. The server's log says why.")


class GraderSource:
    """One grader for all threads of a process."""

    def __init__(self, load: Callable[[], Grader], loaded: Callable[[Grader], None] = lambda grader: None):
        """load: makes the grader. loaded: is told of it once."""
        self._load, self._loaded = load, loaded
        self._lock = threading.Lock()
        self._grader: Grader | None = None
        self._failed_at: float | None = None
        self._warming: threading.Thread | None = None

    @property
    def loaded(self) -> Grader | None:
        """The grader when it can grade at once, else None."""
        return self._grader

    def get(self) -> Grader:
        """The grader, loaded and warmed up if need be. Raises ModelUnavailable."""
        with self._lock:
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

    def warm(self) -> None:
        """Begin to load in the background; returns at once."""
        if self._grader is None and not (self._warming and self._warming.is_alive()):
            self._warming = threading.Thread(target=self._warm, name="warm-up", daemon=True)
            self._warming.start()

    def _warm(self) -> None:
        with suppress(ModelUnavailable):  # logged by get; the next request tries again
            self.get()


def from_settings(settings: Settings) -> Callable[[], Grader]:
    """What loads the grader at the settings' address."""

    def load() -> Grader:
        return kneeoa_hub.from_pretrained(settings.model or None, revision=settings.revision or None, threads=settings.threads)

    return load


def source() -> GraderSource:
    """The running app's source."""
    return current_app.extensions["kneeoa"]


def answers(grader: Grader, films: list[bytes]) -> list[FilmReport | KneeOAError]:
    """A report or an error that may be shown for each film, when it is the request's turn. Raises Busy."""
    shown = []
    with current_app.extensions[QUEUE].turn():
        for answer in grader.grade_batch(films):
            if isinstance(answer, KneeOAError) and not isinstance(answer, FilmError):
                log.error("A film could not be graded: %s", answer)
                answer = ModelUnavailable()
            shown.append(answer)
    Figures.of(current_app).count(shown)
    return shown


def _warmed_up(grader: Grader) -> Grader:
    """The first pass of a network allocates its memory; it must not be a film's."""
    ramp = np.tile(np.arange(WARM_UP_SIDE, dtype=np.uint8), (WARM_UP_SIDE, 1))
    grader.grade(ramp, force=True)
    return grader
