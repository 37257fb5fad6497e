"""Finds which knee of the patient each knee of a film is, as far as the film allows it."""

from collections.abc import Callable, Sequence

import numpy as np

from .dicom_header import SIDES
from .film import Film
from .letterbox import Box
from .locate import apart, middle
from .markers import Marker
from .page import gray_steps, page_gray
from .percentiles import median
from .screen import Screening

SIDE_WARNING = (
    "Sides follow the convention that the patient's right knee is at the picture's left; no header names the side."
)
"""A film gets this warning if only the convention gives the sides."""
STACKED_WARNING = "The knees do not lie side by side on the film, so their sides are not known."
"""A film gets this warning if its two knees lie farther apart downwards than across, or at one place."""
MIRRORED_WARNING = (
    "By the film's header the picture is mirrored: the patient's left knee is at the upright picture's left."
)
"""A film whose patient orientation is reversed gets this warning."""
SEVERAL_KNEES_WARNING = "The film's header says {side}, but more than one knee was found, so their sides are not known."
"""A film gets this warning if one side in the header would have to name several knees."""
MARKERS_WARNING = "The side comes from the letters that were read on the film; no header names it."
"""A film gets this warning if burnt-in markers give the side."""
MARKERS_MIRRORED_WARNING = (
    "The side comes from the letters that were read on the film; no header names it. By them the patient's left knee is"
    " at the picture's left."
)
"""A film gets this warning if burnt-in markers say that it is mirrored, or seen from behind."""
CONTRADICTION = "A letter that was read on the film contradicts the side in its header; check which of them is wrong."
"""A film gets this warning if a burnt-in marker names another side than the header."""
ONE_LEG = 2.5
"""A film is of one leg if it is at most 2.5 times as wide as its knee. On a wider film a marker may belong to the other
leg, whose knee was not found."""
AROUND = 0.02
"""The ground of a letter is looked at within 2% of the longer side."""
OPPOSITE = {"L": "R", "R": "L"}
"""Two directions matter for the side. Each has this opposite."""


ReadMarkers = Callable[[], Sequence[Marker]]
"""Such a function reads the letters of a film. It is called only if a letter could matter."""


def knee_sides(
    film: Film, screening: Screening, read_markers: ReadMarkers = tuple
) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Find the side of each graded knee.

    A single knee has the side that the header names. Two knees side by side have theirs by the patient orientation in
    the header. If the header is silent, burnt-in markers count and then, for two knees, the convention of the field. A
    marker never overrules a header. No other knee has a side, and no side ever comes from a file's name.

    Args:
        film: The film as it was given, with what its header says.
        screening: Its knees.
        read_markers: Reads the letters on `screening.film`.

    Returns:
        "left", "right" or None for each of `screening.boxes`, and the warnings about them.
    """
    if whole := screening.chosen_from:  # a knee that the caller left out still tells which side the other one is
        sides, warnings = knee_sides(film, whole, read_markers)
        return tuple(sides[whole.boxes.index(box)] for box in screening.boxes), warnings
    boxes, read_on_film = screening.boxes, lambda: on_the_film(read_markers(), screening.film.pixels)
    found, unknown = {*boxes, *screening.doubtful}, (None,) * len(boxes)
    if len(found) == 1:
        of_one_leg = screening.film.width <= ONE_LEG * (boxes[0][2] - boxes[0][0])
        side, warnings = _side_of_one(film.side, read_on_film() if of_one_leg else ())
        return (side,) * len(boxes), warnings
    if film.side:  # it may be the side of a knee that was left out
        return unknown, (SEVERAL_KNEES_WARNING.format(side=film.side),)
    if len(boxes) != 2 or len(found) != 2:
        return unknown, ()
    (x, y), (other_x, other_y) = middle(boxes[0]), middle(boxes[1])
    if abs(other_x - x) <= abs(other_y - y) or not apart(boxes[0], boxes[1]):
        return unknown, (STACKED_WARNING,)
    in_order = x < other_x
    sides, warnings = _sides_of_two(film, screening, boxes if in_order else boxes[::-1], read_on_film())
    return sides if in_order else sides[::-1], warnings


def _sides_of_two(
    film: Film, screening: Screening, boxes: Sequence[Box], markers: Sequence[Marker]
) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Return the sides of two knees side by side, and the warnings about them.

    Args:
        film: The film as it was given.
        screening: Its screening.
        boxes: Both knees, from the picture's left to its right.
        markers: The letters on the film.
    """
    turns = screening.pose[0]
    said, read = right_of_upright(film, turns), _right_by_markers(markers, boxes[0], boxes[1])
    said = said if said in OPPOSITE else ""
    contradiction = (CONTRADICTION,) if said and read == OPPOSITE[said] else ()
    if (said or read) == "R":
        return ("left", "right"), (MIRRORED_WARNING if said else MARKERS_MIRRORED_WARNING, *contradiction)
    if said or read:
        return ("right", "left"), contradiction if said else (MARKERS_WARNING,)
    warning = SIDE_WARNING.replace("picture's left", "upright picture's left") if turns else SIDE_WARNING
    return ("right", "left"), (warning,)


def _side_of_one(said: str | None, markers: Sequence[Marker]) -> tuple[str | None, tuple[str, ...]]:
    """Return the side of a film's only knee by header and markers, with warnings. Letters of both sides say nothing."""
    letters = {marker.letter for marker in markers}
    read = SIDES[letters.pop()] if len(letters) == 1 else None
    if said:
        return said, (CONTRADICTION,) if read and read != said else ()
    return read, (MARKERS_WARNING,) if read else ()


def _right_by_markers(markers: Sequence[Marker], first: Box, second: Box) -> str:
    """Return where in the patient the picture's right lies by the markers of two knees: "L", "R", or "" if unclear.

    Letters of both sides say it by their order. A letter of one side says it only from beyond both knees, since a
    marker between the legs can be of either.
    """
    columns = {letter: [marker.x for marker in markers if marker.letter == letter] for letter in OPPOSITE}
    right, left = columns["R"], columns["L"]
    if right and left:
        return "L" if max(right) < min(left) else "R" if max(left) < min(right) else ""
    for letter, places in columns.items():
        if places and max(places) < (first[0] + first[2]) / 2:
            return OPPOSITE[letter]
        if places and min(places) > (second[0] + second[2]) / 2:
            return letter
    return ""


def on_the_film(markers: Sequence[Marker], pixels: np.ndarray) -> tuple[Marker, ...]:
    """Return the markers of a picture [H,W] that do not lie on a light page beside its film."""
    found = page_gray(pixels) if markers else None
    if not found:
        return tuple(markers)
    low, high, page = found
    reach = round(AROUND * max(pixels.shape))
    grounds = (
        pixels[
            max(0, round(one.y) - reach) : round(one.y) + reach + 1,
            max(0, round(one.x) - reach) : round(one.x) + reach + 1,
        ]
        for one in markers
    )
    return tuple(
        one
        for one, ground in zip(markers, grounds, strict=True)
        if abs(median(gray_steps(ground, low, high)) - page) > 1
    )


def right_of_upright(film: Film, turns: int) -> str:
    """Return where in the patient the right edge of the upright picture lies, as a letter of `Film.orientation`.

    `turns` are the quarter turns anticlockwise by which the film was turned when it was given.
    """
    right, bottom = film.orientation
    left, top = OPPOSITE.get(right, ""), OPPOSITE.get(bottom, "")
    return (right, top, left, bottom)[turns]
