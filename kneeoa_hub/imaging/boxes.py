"""Checks the boxes that a caller gives, before anything is graded in them."""

from collections.abc import Iterable, Sequence
from itertools import islice
from numbers import Real

from ..arguments import shown
from ..errors import FilmError
from .film import Film
from .letterbox import Box
from .square import to_square

MOST_BOXES = 16
"""A film has at most 16 boxes. All of them go through the network at once."""
DIGITS = 9
"""An edge that is given as text has at most nine digits."""
MOST = 2**31
"""An edge is smaller than this. An infinite edge is no number at all."""


def box_of(text: str) -> Box:
    """Return the box that a text gives as left, top, right and bottom. Raises FilmError for any other text."""
    edges = [edge.strip() for edge in text.split(",")]
    if len(edges) != 4 or not all(edge.isascii() and edge.isdigit() and len(edge) <= DIGITS for edge in edges):
        raise FilmError(f"{shown(text)} is not LEFT,TOP,RIGHT,BOTTOM in pixels, such as 40,60,340,380.")
    left, top, right, bottom = map(int, edges)
    return left, top, right, bottom


def checked_boxes(boxes: Sequence[Sequence[float]], film: Film) -> tuple[Box, ...]:
    """Return given boxes in the film's square pixels, from left to right. Raises FilmError for anything but boxes.

    Callers give boxes in whole pixels of the film as it was given.
    """
    if not isinstance(boxes, Iterable):
        raise FilmError(f"boxes={shown(boxes)} is not a list; give [(left, top, right, bottom), ...].")
    given = list(islice(boxes, MOST_BOXES + 1))
    if len(given) > MOST_BOXES:
        raise FilmError(f"There are over {MOST_BOXES} boxes for one film; give one for each of its knees.")
    checked = tuple(sorted(_checked_box(box, film) for box in given))
    if not checked:
        raise FilmError("No box was given; leave out boxes= to have the knees found.")
    return checked


def _checked_box(box: object, film: Film) -> Box:
    edges = tuple(islice(box, 5)) if isinstance(box, Iterable) else ()
    if len(edges) != 4 or not all(_is_edge(edge) for edge in edges):
        raise FilmError(f"The box {shown(box)} is not four numbers; give boxes=[(left, top, right, bottom), ...].")
    left, top, right, bottom = map(int, edges)
    height, width = film.as_given.shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise FilmError(
            f"The box {(left, top, right, bottom)} does not lie in the film of {width}x{height} px; give"
            " left, top, right, bottom."
        )
    return to_square((left, top, right, bottom), film)


def _is_edge(edge: object) -> bool:
    try:
        return isinstance(edge, Real) and -MOST < float(edge) < MOST
    except OverflowError:
        return False
