"""Holds a graded film as pages and downloads show it."""

import io
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.imaging.letterbox import Box
from kneeoa_hub.imaging.refusal import WHOLE_FILM
from kneeoa_hub.knee import place_names
from kneeoa_hub.output.knee_view import FilmView
from kneeoa_hub.output.printable import study_line
from kneeoa_hub.overlay import film_picture
from kneeoa_hub.report import Answer

from .uploads import Upload

LONGEST_SIDE = 1400
"""The longest side of a picture on a page has 1,400 pixels. A larger film is shrunk."""
JPEG_QUALITY = 92
CODE = re.compile(r"`([^`]+)`")
LONGEST_CROP = 2400
"""The longest side of the picture of one knee has 2,400 pixels. It has the film's own resolution up to there."""
MOST_KEPT = 16 * 2**20
"""A file of at most 16 MB is kept with its result, so that it can be graded again with other boxes."""
FILM, OVERLAY, KNEE = "film", "overlay", re.compile(r"knee-(\d{1,2})")
"""A film has these pictures: alone; with the box, grade and heatmap of each knee; and of one knee, by its number from
1.
"""


@dataclass(frozen=True)
class ShownFilm:
    """Holds one film of a request, with either a report or an error.

    Attributes:
        number: Its place in the request, from 1.
        name: The name that its sender gave it.
        sha256: The SHA-256 of the file.
        report: The report. Its film is a gray picture of LONGEST_SIDE at most, so that it takes little memory.
        error: The reason why there is no report.
        document: The answer of the API for the film as it was sent.
        boxes: Each knee's box in the pixels of the film as it was sent.
        crops: Each knee as a JPEG file of the film's own resolution.
        study: Date and accession number of its study as a line, or "".
        content: The file, if it is small enough to be kept, otherwise None.
    """

    number: int
    name: str
    sha256: str
    report: FilmReport | None = None
    error: KneeOAError | None = None
    document: dict[str, Any] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    crops: tuple[bytes, ...] = field(default=(), repr=False)
    study: str = field(default="", repr=False)
    content: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, upload: Upload, answer: Answer, number: int) -> "ShownFilm":
        """Return what is kept of an upload and its answer.

        Args:
            upload: The uploaded film.
            answer: Its report, or the error.
            number: Its position in the request, from 1.
        """
        if isinstance(answer, KneeOAError):
            return cls(number, upload.name, upload.sha256, error=answer)
        whole = film_picture(answer.film)
        crops = tuple(_jpeg(_shrunk(whole.crop(knee.box), LONGEST_CROP)) for knee in answer.knees)
        content = upload.content if len(upload.content) <= MOST_KEPT else None
        return cls(
            number,
            upload.name,
            upload.sha256,
            _small(answer, whole),
            document=answer.to_dict(),
            boxes=tuple(knee.box for knee in answer.knees),
            crops=crops,
            study=study_line(upload.content),
            content=content,
        )

    @property
    def takes_boxes(self) -> bool:
        """Whether the film can be graded again with boxes: it is kept, and not refused as a whole."""
        refused = self.report.refused if self.report else None
        return self.content is not None and not (refused and refused.reason in WHOLE_FILM)

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
    def places(self) -> list[str]:
        """A name for each knee by its place in the picture, which says nothing of its side."""
        assert self.report
        return place_names([knee.box for knee in self.report.knees])

    @property
    def measured(self) -> Answer:
        """The report with boxes in the pixels of the film as it was sent, or the error."""
        if not self.report:
            return self.answer
        knees = zip(self.report.knees, self.boxes, strict=True)
        return replace(self.report, knees=tuple(replace(knee, box=box) for knee, box in knees))

    @property
    def view(self) -> FilmView:
        """The words that a page shows for the film."""
        return FilmView.of(self.title, self.answer)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in pixels, if there is a report."""
        assert self.report
        return self.report.film.shape[1], self.report.film.shape[0]

    @property
    def kept_bytes(self) -> int:
        """The bytes that its file and its pictures take, apart from the words."""
        kept = len(self.content or b"") + sum(map(len, self.crops))
        if self.report:
            kept += self.report.film.nbytes + sum(knee.heatmap.nbytes for knee in self.report.knees)
        return kept

    def picture(self, name: str) -> bytes | None:
        """Return a picture as a JPEG file, or None for an unknown name."""
        assert self.report
        if name == OVERLAY:
            return _jpeg(self.report.overlay())
        if name == FILM:
            return _jpeg(Image.fromarray(self.report.film))
        knee = KNEE.fullmatch(name)
        return self.crops[int(knee[1]) - 1] if knee and 1 <= int(knee[1]) <= len(self.crops) else None


def with_code(text: str) -> Markup:
    """Return a text as HTML, with the parts between backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def _small(report: FilmReport, whole: Image.Image) -> FilmReport:
    """Return a report with a small gray picture for its film.

    `whole` is the picture of its film, which is shrunk.
    """
    picture = _shrunk(whole, LONGEST_SIDE)
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


def _shrunk(picture: Image.Image, longest: int) -> Image.Image:
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return picture


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
