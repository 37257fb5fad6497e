"""A graded film as the pages and the downloads show it."""

import io
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.overlay import film_picture

from .uploads import Upload

LONGEST_SIDE = 1400
"""Pixels of a picture on a page; a larger film is shown smaller."""
JPEG_QUALITY = 92
FILM, OVERLAY = "film", "overlay"
PICTURES = (FILM, OVERLAY)
"""The film alone, and with each knee's frame, grade and evidence."""


@dataclass(frozen=True)
class GradedFilm:
    """One film of a request: either a report or an error.

    name: as its sender called it. sha256: of the file. report: its film is a gray picture of LONGEST_SIDE at most, so
    that little is held in memory; `document` is what the API answers for the film as it was sent.
    """

    number: int
    name: str
    sha256: str
    report: FilmReport | None = None
    error: KneeOAError | None = None
    document: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, upload: Upload, answer: FilmReport | KneeOAError, number: int) -> "GradedFilm":
        if isinstance(answer, KneeOAError):
            return cls(number, upload.name, upload.sha256, error=answer)
        return cls(number, upload.name, upload.sha256, _small(answer), document=answer.to_dict())

    @property
    def anchor(self) -> str:
        return f"film-{self.number}"

    @property
    def answer(self) -> FilmReport | KneeOAError:
        """Whichever there is."""
        answer = self.report or self.error
        assert answer
        return answer

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in pixels. There must be a report."""
        assert self.report
        return self.report.film.shape[1], self.report.film.shape[0]

    def picture(self, name: str) -> bytes:
        """One of PICTURES as a JPEG file. There must be a report."""
        assert self.report
        return _jpeg(Image.fromarray(self.report.film) if name == FILM else self.report.overlay())


def percent(share: float) -> str:
    """0..1 in whole per cent; what is small but possible is not called zero, nor what is likely certain."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def span(grades: tuple[int, ...]) -> str:
    """Contiguous grades: "2" or "2 to 3"."""
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]} to {grades[-1]}"


def _small(report: FilmReport) -> FilmReport:
    picture = film_picture(report.film)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    across, down = picture.width / report.film.shape[1], picture.height / report.film.shape[0]
    knees = tuple(
        replace(
            knee,
            box=(
                round(knee.box[0] * across),
                round(knee.box[1] * down),
                round(knee.box[2] * across),
                round(knee.box[3] * down),
            ),
        )
        for knee in report.knees
    )
    return replace(report, knees=knees, film=np.asarray(picture))


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
