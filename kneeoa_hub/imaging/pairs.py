"""Finds two knees side by side, each of which makes the other likelier to be a knee."""

from collections.abc import Sequence
from itertools import combinations

from .gate import Verdict
from .letterbox import Region

LEVEL = 0.4
"""The middles of two knees differ in height by at most 0.4 of the sides of their boxes. Real pairs differ by less than
0.3."""
ALIKE = 1.4
"""The sides of two knees differ by at most this ratio. Real pairs differ by less than 1.25."""
LIKELY = 0.6
"""Two joints are a pair of knees from this mean probability of an upright knee on. A single joint needs more; see
`screen.SURE`. Geometry alone is not enough, since the hips of a pelvis are level and alike too. On about 1,200
radiographs of other parts and other views, level and alike joints had means of up to 0.5.
"""
LEAST = 0.25
"""Each of the two needs at least this probability of an upright knee. A knee with screws may have so little. An implant
has less, so a plain knee beside it does not get it graded.
"""


def surest_pair(regions: Sequence[Region], verdicts: Sequence[Verdict]) -> tuple[int, int] | None:
    """Find the two knees that the gate, by its mean probability, takes most surely for knees.

    Args:
        regions: The candidates, from left to right.
        verdicts: The gate's verdict on each candidate by itself.

    Returns:
        The positions of the left and the right one, or None if no two of them are side by side and likely enough.
    """
    pairs = [
        (verdicts[left].score + verdicts[right].score, (left, right))
        for left, right in combinations(range(len(regions)), 2)
        if min(verdicts[left].score, verdicts[right].score) >= LEAST and _side_by_side(regions[left], regions[right])
    ]
    total, pair = max(pairs, default=(0.0, None))
    return pair if total >= 2 * LIKELY else None


def _side_by_side(left: Region, right: Region) -> bool:
    """Tell whether two boxes do not overlap, lie at about one height and are of about one size."""
    (_, top, inner, bottom), (other_inner, other_top, _, other_bottom) = left, right
    side, other_side = bottom - top, other_bottom - other_top
    return (
        inner <= other_inner
        and abs(top + bottom - other_top - other_bottom) <= LEVEL * (side + other_side)
        and max(side, other_side) <= ALIKE * min(side, other_side)
    )
