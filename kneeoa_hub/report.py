"""Defines the report for a film, with its knees or its refusal as values, text and pictures."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .errors import KneeOAError
from .grades import GRADES
from .imaging.refusal import Refusal
from .knee import KneeGrade, certainty, knee_names, osteoarthritis, percent
from .overlay import Mark, drawn
from .sources import readers_followed

if TYPE_CHECKING:
    import pandas

SCHEMA_VERSION = 1
DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment."


class Text(str):
    """Holds several lines, which a notebook and a Python prompt show as they are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, eq=False, repr=False)
class FilmReport:
    """Holds the report for one film: its knees from left to right in the picture, or a refusal.

    A report holds no name, date or identifier of the patient.

    Attributes:
        knees: One KneeGrade for each knee, empty for a refused film unless it was graded by force.
        refused: The refusal, or None.
        warnings: Sentences about what may make the grades less reliable.
        model: The name of the model.
        revision: Its revision.
        level: The coverage level of the prediction sets, such as 0.9.
        film: The decoded pixels [H,W], from which `overlay` draws.
        quality: Quality of the film's compression on the scale of libjpeg, about 1 to 100, also for other codecs than
            JPEG, see `imaging.compression`; None if the file lost nothing.
        protocol: The reading protocol that the grades follow, such as "oai": the dataset whose readers they are like.
            None if the model learnt from several without telling them apart.

    Examples:
        >>> import kneeoa_hub
        >>> from kneeoa_hub.imaging.phantom import sample_films
        >>> report = kneeoa_hub.from_pretrained().grade(sample_films()["both-knees"].pixels)
        >>> report.names
        ('Right knee', 'Left knee')
        >>> print(report.findings().splitlines()[0])
        FINDINGS
        >>> report.overlay().size
        (800, 400)
    """

    knees: tuple[KneeGrade, ...]
    refused: Refusal | None
    warnings: tuple[str, ...]
    model: str
    revision: str
    level: float
    film: np.ndarray = field(repr=False)
    quality: float | None = None
    protocol: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values by docs/schemas/report.schema.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "film": self.size(),
            "refused": asdict(self.refused) if self.refused else None,
            "knees": [knee.to_dict() for knee in self.knees],
            "warnings": list(self.warnings),
            "level": self.level,
            "model": self.model,
            "revision": self.revision,
            "protocol": self.protocol,
            "disclaimer": DISCLAIMER,
        }

    def size(self) -> dict[str, Any]:
        """Return the size of the film in pixels, and the quality of its compression, as JSON values."""
        height, width = self.film.shape
        return {"width": width, "height": height, "quality": self.quality}

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each knee: by its side, or by its place in the picture if the side is not known."""
        return knee_names(self.knees)

    @property
    def sources(self) -> tuple[int, ...]:
        """For each knee the place of its film among those of the answer; see `StudyReport`."""
        return (0,) * len(self.knees)

    @property
    def film_numbers(self) -> tuple[int, ...]:
        """What the texts call each film of the answer; see `StudyReport`."""
        return (1,)

    def film_of(self, knee: int) -> "FilmReport":
        """Return the report of the film of a knee, which is given by its place in `knees`."""
        return self

    def film_number(self, knee: int) -> int | None:
        """Return the number of a knee's film among several ones of a study, or None."""
        return None

    @property
    def refusal(self) -> str:
        """One line that says why the film was refused and whether it was graded by force; "" without a refusal."""
        if not self.refused:
            return ""
        return f"{'Refused, but graded by force' if self.knees else 'Not graded'}: {self.refused.message}"

    @property
    def model_line(self) -> str:
        """The model, its revision, and the readers whom it follows if it has one reading protocol, as sentences."""
        return f"Model {self.model}, revision {self.revision}. {readers_followed(self.protocol)}".rstrip()

    def findings(self) -> Text:
        """Return Findings and Impression as plain text, to copy into a note."""
        lines = ["FINDINGS"]
        lines += [self.refusal] if self.refused else []
        lines += map(self._finding, self.names, self.knees)
        lines += [f"Note: {warning}" for warning in self.warnings]
        if self.knees:
            lines += ["", "IMPRESSION", *map(self._impression, self.names, self.knees)]
        if compared := self.comparison():
            lines += ["", "COMPARISON", *compared]
        lines += ["", f"{self.model_line} {DISCLAIMER}"]
        return Text("\n".join(lines))

    def to_frame(self) -> "pandas.DataFrame":
        """Return a table with a row for each knee, as `kneeoa grade --csv` prints it.

        A refused film has one row, which names the reason. Raises MissingExtra without pandas.

        Examples:
            >>> import kneeoa_hub
            >>> from kneeoa_hub.imaging.phantom import sample_films
            >>> frame = kneeoa_hub.from_pretrained().grade(sample_films()["both-knees"].pixels).to_frame()
            >>> list(frame["side"])
            ['right', 'left']
        """
        from .output.notebook import frame

        return frame([("", self)]).drop(columns="film")

    def __str__(self) -> str:
        return str(self.findings())

    def __repr__(self) -> str:
        height, width = self.film.shape
        shown = [self.refusal] if self.refused else []
        shown += [f"{name}: {knee.headline}" for name, knee in zip(self.names, self.knees, strict=True)]
        notes = f"; {len(self.warnings)} warning{'s' * (len(self.warnings) > 1)}" if self.warnings else ""
        return f"<FilmReport of {width}x{height} px: {'; '.join(shown)}{notes}; {self.model} {self.revision}>"

    def _repr_html_(self) -> str:
        """Return the report as a notebook shows it: the film with its evidence, the knees, the warnings."""
        from .output.notebook import report_html

        return report_html(self)

    def _repr_png_(self) -> bytes:
        """Return the overlay as a picture, for notebooks that show no HTML."""
        from .output.notebook import report_png

        return report_png(self)

    def comparison(self) -> tuple[str, ...]:
        """Return sentences that compare the knees with earlier studies. A film alone has none; see `StudyReport`."""
        return ()

    def overlay(self) -> Image.Image:
        """Return the film at full size as RGB, with the box, grade and heatmap of each knee drawn over it."""
        return drawn(self.film, (Mark(knee.box, _label(knee), knee.heatmap) for knee in self.knees))

    def _finding(self, name: str, knee: KneeGrade) -> str:
        graded = f"Kellgren-Lawrence grade {knee.grade} ({knee.label}), probability"
        facts = " ".join((GRADES[knee.grade].criterion, *certainty(knee, self.level)))
        return f"{name}: {graded} {percent(knee.probabilities[knee.grade])}. {facts}"

    def _impression(self, name: str, knee: KneeGrade) -> str:
        return f"{name}: {osteoarthritis(knee)}"


Answer = FilmReport | KneeOAError
"""One film of many has its report here, or the error that says why there is none."""


def _label(knee: KneeGrade) -> str:
    return f"{knee.side.capitalize() + ': ' if knee.side else ''}{knee.headline}"
