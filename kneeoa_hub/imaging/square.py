"""Resamples pixels that a file says are not square to square ones, before anything is found.

A film whose pixels are twice as high as wide is a knee pressed to half its height. Of 60 such films, 35 got another
grade.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from .film import Film, Limits

X_RESOLUTION, Y_RESOLUTION = 282, 283
"""EXIF and TIFF give the pixels for a unit of length, across and down, in these tags."""
SQUARE = 0.01
"""Pixels whose sides differ by at most 1% count as square, since statements are rounded."""
MOST_ASPECT = 5.0
"""No machine or scanner makes longer pixels. Fax machines have 2. A larger statement is a fault of the file."""
NOT_SQUARE = "The film's pixels are not square ({aspect:.2f} times as high as wide); it was graded with square ones."
"""A film that was resampled gets this warning."""
IMPOSSIBLE = "The film's file states pixels of an impossible shape; they are taken as square."
"""A film with a statement beyond MOST_ASPECT gets this warning."""
CONTRADICTION = "The film's file gives its pixels two different shapes; the first one that is not square is taken."
"""A film gets this warning if none of its statements can be preferred."""


def aspect_of(height: float, width: float) -> float | None:
    """Return the height of a pixel over its width, or None if the sides are not two positive numbers."""
    if not (math.isfinite(height) and math.isfinite(width) and height > 0 and width > 0):
        return None
    return height / width


def stated_aspect(info: Mapping[Any, Any], exif: Mapping[int, Any]) -> float:
    """Return the height of a pixel over its width as a picture states it in its format's own way or in EXIF.

    Args:
        info: The fields that Pillow read from the file, with pixels across and down for each unit of length.
        exif: The tags of its EXIF.
    """
    aspects = []
    resolutions = [info[name] for name in ("jfif_density", "dpi", "resolution", "aspect") if name in info]
    resolutions.append((exif.get(X_RESOLUTION), exif.get(Y_RESOLUTION)))
    for resolution in resolutions:
        with suppress(TypeError, ValueError, ZeroDivisionError):
            across, down = map(float, resolution)
            aspects.append(aspect_of(across, down))
    return first_not_square(aspect for aspect in aspects if aspect)


def first_not_square(aspects: Iterable[float]) -> float:
    """Return the first statement that is not square, or 1.

    A square statement may stand in a file whose true shape is not known.
    """
    return next((aspect for aspect in aspects if not is_square(aspect)), 1.0)


def is_square(aspect: float) -> bool:
    """Tell whether pixels count as square."""
    return max(aspect, 1 / aspect) <= 1 + SQUARE


def is_possible(aspect: float) -> bool:
    """Tell whether a machine or scanner may have made such pixels."""
    return 1 / MOST_ASPECT <= aspect <= MOST_ASPECT


def agree(aspects: Iterable[float]) -> bool:
    """Tell whether all statements give a pixel the same shape."""
    values = list(aspects)
    return not values or is_square(max(values) / min(values))


def squared(film: Film, limits: Limits) -> Film:
    """Return a film with square pixels, the same film if its pixels are square already.

    The side with fewer pixels is stretched, so that no detail is lost. If that would exceed the limit on pixels, the
    other side is shrunk as far as needed.
    """
    if is_square(film.aspect) or not film.pixels.size:
        return film
    if not is_possible(film.aspect):
        return replace(film, warnings=(*film.warnings, IMPOSSIBLE))
    longer = max(film.aspect, 1 / film.aspect)
    stretch = min(longer, max(1.0, limits.max_pixels / film.pixels.size))
    down, across = (stretch, stretch / longer) if film.aspect > 1 else (stretch / longer, stretch)
    size = max(1, round(film.width * across)), max(1, round(film.height * down))
    resampled = np.array(Image.fromarray(film.pixels).resize(size, Image.Resampling.BICUBIC))
    np.clip(resampled, film.pixels.min(), film.pixels.max(), out=resampled)  # the filter overshoots at edges
    exposed = film.exposed and (
        math.ceil(film.exposed[0] * across),
        math.ceil(film.exposed[1] * down),
        math.floor(film.exposed[2] * across),
        math.floor(film.exposed[3] * down),
    )
    return replace(
        film,
        pixels=resampled,
        exposed=exposed,
        scale=(across, down),
        given=film.pixels,
        warnings=(*film.warnings, NOT_SQUARE.format(aspect=film.aspect)),
    )


def to_square(box: tuple[int, int, int, int], film: Film) -> tuple[int, int, int, int]:
    """Return a box of the film as it was given as a box of its square pixels."""
    return _scaled(box, film.scale)


def to_given(box: tuple[int, int, int, int], film: Film) -> tuple[int, int, int, int]:
    """Return a box of the film's square pixels as a box of the film as it was given."""
    return _scaled(box, (1 / film.scale[0], 1 / film.scale[1]))


def _scaled(box: tuple[int, int, int, int], scale: tuple[float, float]) -> tuple[int, int, int, int]:
    (left, top, right, bottom), (across, down) = box, scale
    return round(left * across), round(top * down), round(right * across), round(bottom * down)
