"""A figure compares the package with something else that is measured in the same rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure is a row of the table.

    Attributes:
        name: What was measured.
        against: What it is beside.
        unit: Unit of both values: "s", "ms", "films/s" or "MB".
        value: The median of it.
        other: The median of what it is beside.
        ratio: How the two compare, as the table's column says: a quotient that is better the nearer it is to 1 or, for
            what should be far from the other, the larger it is.
        spread: Least and greatest ratio of the rounds.
        rounds: How often both were measured.
        floor: The ratio that the project asks for; a larger or a smaller one is worse, as `larger_is_better` says.
        aim: The ratio that it aims at.
        larger_is_better: Whether a larger ratio is better.
    """

    name: str
    against: str
    unit: str
    value: float
    other: float
    ratio: float
    spread: tuple[float, float]
    rounds: int
    floor: float
    aim: float
    larger_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether the floor is met."""
        return self.ratio >= self.floor if self.larger_is_better else self.ratio <= self.floor


def compared(
    name: str,
    against: str,
    unit: str,
    values: Sequence[float],
    others: Sequence[float],
    *,
    floor: float,
    aim: float,
    other_over_value: bool = False,
    larger_is_better: bool = False,
) -> Figure:
    """Make the figure of two lists of measurements, round by round.

    Args:
        name: What was measured.
        against: What it is compared with.
        unit: Unit of both.
        values: The measured values.
        others: The measured values of what it is compared with, in the same rounds.
        floor: The ratio asked for.
        aim: The ratio aimed at.
        other_over_value: Whether the ratio is the other over the value. It is the value over the other otherwise.
        larger_is_better: Whether a larger ratio is better.

    Returns:
        The figure, whose ratio is the median of those of the rounds.
    """
    pairs = list(zip(values, others, strict=True))
    ratios = [other / value if other_over_value else value / other for value, other in pairs]
    value, other = statistics.median(values), statistics.median(others)
    spread = (min(ratios), max(ratios))
    middle = statistics.median(ratios)
    return Figure(name, against, unit, value, other, middle, spread, len(pairs), floor, aim, larger_is_better)
