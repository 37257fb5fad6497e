"""Values of a bundle's JSON, checked: a number that is none, or is out of its range, would grade wrongly without a word."""

import math
from typing import Any

MOST_LETTERS = 200


def real(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number of that range. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{str(value)[:40]} is no number of {low:g} to {high:g}")
    return float(value)


def whole(value: Any, low: int, high: int) -> int:
    """A whole number of that range. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{str(value)[:40]} is no whole number of {low} to {high}")
    return value


def line(value: Any) -> str:
    """Some printable letters. Raises ValueError."""
    if not isinstance(value, str) or not 0 < len(value) <= MOST_LETTERS or not value.isprintable():
        raise ValueError(f"{str(value)[:40]!r} is no line of 1 to {MOST_LETTERS} printable letters")
    return value
