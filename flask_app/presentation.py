"""A graded film as the result page shows it."""

import base64
import io
from dataclasses import dataclass

from flask import json
from PIL import Image

from kneeoa_hub import FilmReport, KneeGrade, KneeOAError
from kneeoa_hub.grades import OSTEOARTHRITIS_FROM
from kneeoa_hub.report import film_picture

from .uploads import Upload

LONGEST_SIDE = 1400
"""Pixels of a picture on the page; a larger film is shown smaller."""
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Pictures:
    """The film and its overlay as data: addresses, and their size in pixels."""

    original: str
    overlay: str
    width: int
    height: int


@dataclass(frozen=True)
class GradedFilm:
    """One film of the result page: either a report with its pictures, or an error.

    name: as its sender called it. json: the report as a data: address, to save.
    """

    number: int
    name: str
    report: FilmReport | None = None
    error: KneeOAError | None = None
    pictures: Pictures | None = None
    json: str = ""

    @classmethod
    def of(cls, upload: Upload, answer: FilmReport | KneeOAError, number: int) -> "GradedFilm":
        if isinstance(answer, KneeOAError):
            return cls(number, upload.name, error=answer)
        original, overlay = _shown(film_picture(answer.film)), _shown(answer.overlay())
        pictures = Pictures(_jpeg(original), _jpeg(overlay), *original.size)
        document = json.dumps(answer.to_dict(), indent=1).encode()
        return cls(number, upload.name, answer, None, pictures, _data("application/json", document))

    @property
    def anchor(self) -> str:
        return f"film-{self.number}"


def osteoarthritis(knee: KneeGrade) -> str:
    """KL >= 2 in a word: the grade and the probability must agree to say yes or no."""
    by_grade, by_probability = knee.grade >= OSTEOARTHRITIS_FROM, knee.oa_probability >= 0.5
    if by_grade != by_probability:
        return "Borderline"
    return "Yes" if by_grade else "No"


def percent(share: float) -> str:
    """0..1 in whole per cent; what is small but possible is not called zero, nor what is likely certain."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def span(grades: tuple[int, ...]) -> str:
    """Contiguous grades: "2" or "2 to 3"."""
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]} to {grades[-1]}"


def _shown(picture: Image.Image) -> Image.Image:
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return picture


def _jpeg(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return _data("image/jpeg", file.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
