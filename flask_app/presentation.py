"""Holds a graded film as pages and downloads show it."""

import io
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.output.knee_view import FilmView
from kneeoa_hub.overlay import film_picture
from kneeoa_hub.report import Answer

from .uploads import Upload

LONGEST_SIDE = 1400
"""The longest side of a picture on a page in pixels; a larger film is shrunk."""
JPEG_QUALITY = 92
CODE = re.compile(r"`([^`]+)`")
FILM, OVERLAY = "film", "overlay"
PICTURES = (FILM, OVERLAY)
"""The pictures of a film: alone, and with the box, grade and heatmap of each knee."""


@dataclass(frozen=True)
class GradedFilm:
    """One film of a request, with either a report or an error.

    Attributes:
        number: Its place in the request, from 1.
        name: The name that its sender gave it.
        sha256: The SHA-256 of the file.
        report: The report. Its film is a gray picture of LONGEST_SIDE at most, so that it takes little memory.
        error: The reason why there is no report.
        document: The answer of the API for the film as it was sent.
    """

    number: int
    name: str
    sha256: str
    report: FilmReport | None = None
    error: KneeOAError | None = None
    document: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, upload: Upload, answer: Answer, number: int) -> "GradedFilm":
        """Return what is kept of an upload and its answer."""
        if isinstance(answer, KneeOAError):
            return cls(number, upload.name, upload.sha256, error=answer)
        return cls(number, upload.name, upload.sha256, _small(answer), document=answer.to_dict())

    @property
    def anchor(self) -> str:
        """The id of the film's section in a page."""
        return f"film-{self.number}"

    @property
    def title(self) -> str:
        """The film by its number and name."""
        return f"{self.number}. {self.name}"

    @property
    def answer(self) -> Answer:
        """The report or the error."""
        answer = self.report or self.error
        assert answer
        return answer

    @property
    def view(self) -> FilmView:
        """The words that a page shows for the film."""
        return FilmView.of(self.title, self.answer)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in pixels, where there is a report."""
        assert self.report
        return self.report.film.shape[1], self.report.film.shape[0]

    def picture(self, name: str) -> bytes:
        """Return one of PICTURES as a JPEG file, where there is a report."""
        assert self.report
        return _jpeg(Image.fromarray(self.report.film) if name == FILM else self.report.overlay())


def with_code(text: str) -> Markup:
    """Return a text as HTML, with what stands between backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


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
