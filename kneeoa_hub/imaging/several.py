"""Checks several films with their boxes, as a caller gives them."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import zip_longest
from typing import Any

from ..arguments import kind_of
from ..errors import FilmError
from .decode import is_one_film

MISSING = object()
"""This stands in place of a value if one of two lists has ended."""


def check_films(films: Any, function: str) -> None:
    """Raise FilmError for anything but several films.

    Args:
        films: What was given.
        function: The function that takes several films.
    """
    if hasattr(films, "columns"):
        raise FilmError('A table is not a list of films; give its column of paths, as in table["film"].')
    if is_one_film(films):
        raise FilmError(f"{function} takes several films; give [film], or a folder to grade_frame.")
    if isinstance(films, Mapping):
        raise FilmError(f"{function} takes a list of films, not a mapping; give films.values(), or grade_frame(films).")
    try:
        iter(films)
    except TypeError:
        raise FilmError(f"A list of films can't be {kind_of(films)}; give [film, ...].") from None


def with_boxes(films: Iterable[Any], boxes: Any) -> Iterator[tuple[Any, Any]]:
    """Return each film with its boxes, or with None if no boxes are given.

    Raises:
        FilmError: There are not as many boxes as films. Where a length is not known, this shows at the end.
    """
    if boxes is None:
        return ((film, None) for film in films)
    if not isinstance(boxes, Iterable) or isinstance(boxes, str | bytes | Mapping):
        raise FilmError(f"boxes= is {kind_of(boxes)}; give a list with the boxes of each film, or None for a film.")
    if isinstance(films, Sized) and isinstance(boxes, Sized) and len(films) != len(boxes):
        raise FilmError(f"There are {len(films)} films and boxes for {len(boxes)}; give None for a film without boxes.")
    return _paired(films, boxes)


def _paired(films: Iterable[Any], boxes: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for film, given in zip_longest(films, boxes, fillvalue=MISSING):
        if film is MISSING or given is MISSING:
            what = "films than boxes" if given is MISSING else "boxes than films"
            raise FilmError(f"There are more {what}; give None for a film without boxes.")
        yield film, given
