"""A process of a search goes on as a new one after some trials, because each leaves memory behind (docs/training.md).

The new one has the command, the environment and the number of the old one, and takes the search up as after a stop.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from .tuner import EnoughError

PROCESS_TRIALS = 25
"""A process trains at most 25 trials. A search plans 20 by default, and then needs no second process."""
BEGAN = "KERASTUNER_SEARCH_BEGAN"
"""This environment variable tells a new process when the command began: its own number, and the clock at that time."""


def most_trials() -> int:
    """Return after how many trials this process goes on as a new one. 0 stands for never.

    Only `python -m tuning` on POSIX can: anything else, such as a notebook, has more in memory than its search.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return PROCESS_TRIALS if os.name == "posix" and spec is not None and spec.name == "tuning.__main__" else 0


@contextmanager
def renewing() -> Iterator[float]:
    """Begin this command anew when the block ends because its process has trained enough trials.

    Yields when the command began, by time.monotonic(), in an earlier process of it too.
    """
    mine, kept = f"{os.getpid()}:", os.environ.pop(BEGAN, "")
    began = float(kept.removeprefix(mine)) if kept.startswith(mine) else time.monotonic()
    try:
        yield began
    except EnoughError:
        renew(began)


def renew(began: float) -> NoReturn:
    """Begin this command anew in the same process of the system, with its memory free."""
    os.environ[BEGAN] = f"{os.getpid()}:{began}"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
