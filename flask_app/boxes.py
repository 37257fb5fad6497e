"""Reads the boxes that a visitor has drawn or corrected on the page of a result, or that a program has sent."""

from collections.abc import Sequence

from werkzeug.datastructures import MultiDict

from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.boxes import box_of

from .problems import ShownError

FIELD = "box"
"""API v1 receives a box in this field."""
EDGES = ("left", "top", "right", "bottom")
MOST_BOXES = 4
"""A form may hold four boxes; a film shows two knees."""
DIGITS = 6
"""An edge in pixels has at most six digits."""


class BadBox(ShownError):
    """A box is not four whole numbers, or is given with several films."""

    code = "bad-box"
    status = 400


def boxes_of(form: MultiDict[str, str]) -> list[tuple[int, ...]]:
    """Return the boxes of a form, which repeats the fields of EDGES. A box without any number is left out."""
    columns = [form.getlist(edge) for edge in EDGES]
    if len({len(column) for column in columns}) != 1 or len(columns[0]) > MOST_BOXES:
        raise BadBox(f"The form does not hold 1 to {MOST_BOXES} boxes of left, top, right and bottom. Open it again.")
    given = [box for box in zip(*columns, strict=True) if any(box)]
    if not given or not all(edge.isascii() and edge.isdigit() and len(edge) <= DIGITS for box in given for edge in box):
        raise BadBox("Give left, top, right and bottom of at least one knee, in whole pixels of the film.")
    return [tuple(map(int, box)) for box in given]


def boxes_sent(texts: Sequence[str], films: int) -> list[tuple[int, ...]] | None:
    """Return the boxes that a program has sent, or None if it has sent none.

    Args:
        texts: Each box as LEFT,TOP,RIGHT,BOTTOM in pixels of the film.
        films: How many films the request holds.

    Raises:
        BadBox: A box is not four whole numbers, or it is not clear to which film it belongs.
    """
    if texts and films != 1:
        raise BadBox(f"A {FIELD} is about one film, and the request holds {films}. Send that film by itself.")
    try:
        return [box_of(text) for text in texts] or None
    except FilmError as error:
        raise BadBox(f"The field {FIELD}: {error.message}") from None
