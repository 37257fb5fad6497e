"""Tests wait for another process or thread as long as needed and no longer."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(happened: Callable[[], T | None], seconds: float = 400) -> T:
    """Return the first true answer of a condition, which is asked fifty times a second.

    seconds: after which it fails; generous, since the machine may be busy with something else.
    """
    end = time.monotonic() + seconds
    while not (answer := happened()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {happened}"
        time.sleep(0.02)
    return answer
