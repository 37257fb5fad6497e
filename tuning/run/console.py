"""What a user sees of the loop: progress, one line for an error, and no start-up messages of TensorFlow."""

import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kneeoa_hub.errors import AddressError, KneeOAError, SettingsError
from kneeoa_hub.escaping import escape_for_terminal
from kneeoa_hub.settings import Settings
from kneeoa_hub.third_party import prepare_network, prepare_streams, wrong_keras_backend

from .. import IGNORED_SETTINGS

NOISE = (
    "absl::InitializeLog()",
    "oneDNN custom operations are on",
    "Could not find cuda drivers",
    "optimized to use available CPU instructions",
)
"""Lines that TensorFlow writes to standard error while it loads, whatever its log level."""
FILTER = (
    f"import sys\nfor line in sys.stdin.buffer:\n if not any(n.encode() in line for n in {NOISE!r}):"
    " sys.stderr.buffer.write(line); sys.stderr.flush()"
)
"""A program that copies its input to standard error without these lines."""
SHORT_S = 2.0
"""Seconds below which a task leaves no line behind."""
LINES_S = 15.0
"""Seconds between two lines of progress where standard error is not a terminal."""
EARLY, EARLY_S = 0.01, 300.0
"""No time left is shown while less than 1% of the work is done, unless that took 300 seconds."""


def prepare() -> None:
    """Set up this process for the loop, before TensorFlow is loaded."""
    # The log level does not hide errors in Python: those are raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # it warns of retracing when several models are used in turn
    warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # in Keras, while it exports
    prepare_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in order with the progress, in a file too
    for ignored in (*IGNORED_SETTINGS, *prepare_network()):  # the processes of a search ask each other
        print(ignored, file=sys.stderr)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hide NOISE while TensorFlow is imported, and show every other line.

    A process of its own filters the lines, so that the last lines of an import that aborts are shown too.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with subprocess.Popen([sys.executable, "-S", "-c", FILTER], stdin=subprocess.PIPE, stderr=kept) as through:
        assert through.stdin
        os.dup2(through.stdin.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def exit_code(run: Callable[[], None]) -> int:
    """Run a command; returns 0, or 1 when it fails, or 2 for a wrong option or address, with a line for the user."""
    try:
        Settings.from_environ()  # a misspelt one would not be in force
        if wrong := wrong_keras_backend():
            raise SettingsError(wrong)
        with _interrupted_by_sigterm():
            run()
    except KneeOAError as error:
        print(escape_for_terminal(f"error: {error.message}"), file=sys.stderr)
        return 2 if isinstance(error, AddressError | SettingsError) else 1
    except OSError as error:
        where = escape_for_terminal(f"{error.filename}: ") if error.filename else ""
        print(f"error: {where}{error.strerror or error}; give an --out with room and permission.", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("stopped; give the same command again to go on from here", file=sys.stderr)
        return 128 + (error.args[0] if error.args else signal.SIGINT)
    return 0


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Stop the block as Ctrl-C does where a scheduler or a container ends the process."""
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Progress:
    """The progress of a task on standard error: a bar on a terminal, and otherwise a line every LINES_S seconds."""

    def __init__(self, title: str, total: float, done: float = 0, note: str = ""):
        """Begin to show progress.

        Args:
            title: Title of the task.
            total: Units of work.
            done: Units that were done before.
            note: What the task is doing.
        """
        self.title, self.total, self.done, self.note = title, total, done, note
        self._before = done
        self._began = self._last_line = self._moved = time.monotonic()
        self._bar = _terminal_bar(title, total, done) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        long = time.monotonic() - self._began >= SHORT_S
        if self._bar is not None:
            self._bar.leave = long
            self._bar.close()
        elif long:
            self._line()

    def at(self, done: float, note: str | None = None) -> None:
        """Show that `done` units of the total are done; note: what the task is doing now."""
        if done != self.done:
            self._moved = time.monotonic()
        self.done, self.note = done, self.note if note is None else note
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(filter(None, (self._left(), self.note))), refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._last_line >= LINES_S:
            self._line()

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        if self._bar is not None:
            self._bar.write(text, sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _left(self) -> str:
        """Say how much time is left, as the last step that was done tells; "" while that is not known."""
        left = time_left(self._moved - self._began, self._before, self.done, self.total)
        return "" if left is None else f"about {_duration(left)} left"

    def _line(self) -> None:
        self._last_line = time.monotonic()
        so_far = ", ".join(filter(None, (f"{self._last_line - self._began:.0f} s", self._left())))
        print(f"   {self.title}: {self.note} [{so_far}]", file=sys.stderr, flush=True)


def time_left(seconds: float, before: float, done: float, total: float) -> float | None:
    """Return the seconds that a task has left at the pace of this run; None while it has no pace, and at its end.

    The first per cent of the work tells no pace, since the start is part of it, such as the compilation of a network.
    After EARLY_S seconds a task has a pace in any case.

    Args:
        seconds: From the beginning of this run to the newest unit.
        before: Units of work that earlier runs did.
        done: Units that are done, with these.
        total: All units.
    """
    early = seconds < EARLY_S and done - before < EARLY * (total - before)
    return seconds * (total - done) / (done - before) if before < done < total and not early else None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _terminal_bar(title: str, total: float, done: float):
    from tqdm import tqdm

    # The time left is in the postfix. tqdm's own follows the last moments, which mislead where a step takes minutes.
    layout = "   {desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
    return tqdm(
        desc=title,
        total=total,
        initial=done,
        file=sys.stderr,
        mininterval=0.2,
        miniters=0,  # otherwise nothing is drawn anew between two steps
        ncols=min(110, shutil.get_terminal_size().columns),
        bar_format=layout,
    )
