"""What a person sees of the loop: progress, one line for an error, and none of the start-up messages of TensorFlow."""

import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kneeoa_hub.errors import AddressError, KneeOAError, SettingsError
from kneeoa_hub.inert import on_terminal

NOISE = (
    "absl::InitializeLog()",
    "oneDNN custom operations are on",
    "Could not find cuda drivers",
    "optimized to use available CPU instructions",
)
"""What TensorFlow writes to standard error while it loads, below every setting of its log level."""
FILTER = (
    f"import sys\nfor line in sys.stdin.buffer:\n if not any(n.encode() in line for n in {NOISE!r}):"
    " sys.stderr.buffer.write(line); sys.stderr.flush()"
)
SHORT_S = 2.0
"""What took less leaves no line behind."""
LINES_S = 15.0
"""Seconds between two lines of progress where there is no terminal."""


def prepare() -> None:
    """Set this process up for the loop; call it before TensorFlow is loaded."""
    # Its log level does not reach its Python errors: those are raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # several models in turn are no retracing to be warned of
    warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # in Keras, while it exports
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # in order with the progress, in a file too


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back NOISE while TensorFlow is imported; every other line comes through.

    Another process filters, so that the last words of an import that aborts come through as well.
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
    """Run a command: 0; 1 with a line on standard error when it fails; 2 when what was asked for makes no sense."""
    try:
        run()
    except KneeOAError as error:
        print(on_terminal(f"error: {error.message}"), file=sys.stderr)
        return 2 if isinstance(error, AddressError | SettingsError) else 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; give an --out with room and permission.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one was", file=sys.stderr)
        return 130
    return 0


class Progress:
    """A bar on a terminal; elsewhere a line now and then. Both go to standard error."""

    def __init__(self, title: str, total: float, done: float = 0, note: str = ""):
        self.title, self.total, self.done, self.note = title, total, done, note
        self._began = self._told = time.monotonic()
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
        """`done` of the total are done; note: where that is, and what is worth knowing there."""
        self.done, self.note = done, self.note if note is None else note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._told >= LINES_S:
            self._line()

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.write(text, sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self) -> None:
        self._told = time.monotonic()
        print(f"   {self.title}: {self.note} [{self._told - self._began:.0f} s]", file=sys.stderr, flush=True)


def _terminal_bar(title: str, total: float, done: float):
    from tqdm import tqdm

    columns = min(110, shutil.get_terminal_size().columns)
    layout = "   {desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    return tqdm(
        desc=title, total=total, initial=done, file=sys.stderr, mininterval=0.2, ncols=columns, bar_format=layout
    )
