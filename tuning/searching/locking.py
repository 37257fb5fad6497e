"""One thread at a time calls an oracle, with Keras Tuner's own lock."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from keras_tuner.src.engine.oracle import LOCKS, THREADS

P = ParamSpec("P")
R = TypeVar("R")


def synchronized(method: Callable[P, R]) -> Callable[P, R]:
    """Return a method of an oracle that one thread at a time can call, as Keras Tuner's decorator does.

    An error within Keras Tuner's leaves the lock held, and the chief would wait for it for ever.
    """

    @wraps(method)
    def alone(*given: P.args, **named: P.kwargs) -> R:
        oracle: Any = given[0]
        threads: Any = THREADS  # its type would hold None alone
        mine = threading.current_thread().name
        if threads[oracle] == mine:
            return method(*given, **named)
        with LOCKS[oracle]:
            threads[oracle] = mine
            try:
                return method(*given, **named)
            finally:
                threads[oracle] = None

    return alone
