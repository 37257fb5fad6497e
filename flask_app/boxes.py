"""Reads the boxes that a visitor has drawn or corrected on the page of a result."""

from werkzeug.datastructures import MultiDict

from .problems import ShownError

EDGES = ("left", "top", "right", "bottom")
MOST_BOXES = 4
"""A form may hold this many boxes; a film shows two knees."""
DIGITS = 6
"""Most digits of an edge in pixels."""


class BadBox(ShownError):
    """A box in the form of a result is not four whole numbers."""

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
