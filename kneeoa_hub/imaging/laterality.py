"""Laterality: which knee of the patient each knee of a film is, as far as the film allows to say."""

from .film import Film
from .screen import Screening

SIDE_WARNING = (
    "Sides follow the convention that the patient's right knee is at the picture's left; the header does not name"
    " the side."
)
"""The warning where only the convention gives the sides."""
STACKED_WARNING = "The knees do not lie side by side on the film, so their sides are not known."
"""The warning about two knees of which one is above the other."""
MIRRORED_WARNING = (
    "By the film's header the picture is mirrored: the patient's left knee is at the upright picture's left."
)
"""The warning about a film whose patient orientation is reversed."""
SEVERAL_KNEES_WARNING = "The film's header says {side}, but more than one knee was found, so their sides are not known."
"""The warning where one side in the header would have to name several knees."""
OPPOSITE = {"L": "R", "R": "L"}
"""The opposite direction of the two that matter for the side."""


def knee_sides(film: Film, screening: Screening) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Say the side of each graded knee.

    A single knee has the side that the header names. Two knees that lie side by side have theirs by the patient
    orientation in the header, or else by the convention of the field. No other knee has a side, and no side ever
    comes from a file's name.

    Args:
        film: The film as it was given, with what its header says.
        screening: Its knees.

    Returns:
        "left", "right" or None for each of `screening.boxes`, and the warnings about them.
    """
    boxes = screening.boxes
    found, unknown = {*boxes, *screening.doubtful}, (None,) * len(boxes)
    if len(found) == 1:
        return (film.side,) * len(boxes), ()
    if film.side:  # it may be the side of a knee that was left out
        return unknown, (SEVERAL_KNEES_WARNING.format(side=film.side),)
    if len(boxes) != 2 or len(found) != 2:
        return unknown, ()
    if boxes[0][2] > boxes[1][0]:
        return unknown, (STACKED_WARNING,)
    turns = screening.pose[0]
    direction = right_of_upright(film, turns)
    if direction == "R":
        return ("left", "right"), (MIRRORED_WARNING,)
    warning = SIDE_WARNING.replace("picture's left", "upright picture's left") if turns else SIDE_WARNING
    return ("right", "left"), () if direction == "L" else (warning,)


def right_of_upright(film: Film, turns: int) -> str:
    """Return where in the patient the right edge of the upright picture lies, as a letter of `Film.orientation`.

    `turns` are the quarter turns anticlockwise by which the film was turned when it was given.
    """
    right, bottom = film.orientation
    left, top = OPPOSITE.get(right, ""), OPPOSITE.get(bottom, "")
    return (right, top, left, bottom)[turns]
