"""Makes one report of a study's films. It takes each knee from its best film and compares it with earlier studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .errors import FilmError
from .imaging.identity import FilmIdentity, date_of, joined_patient, names_patient, patient_parts
from .knee import KneeGrade, span
from .report import FilmReport

LATERALITIES = ("right", "left")
"""A frontal film shows the sides in this order."""
OTHER_PATIENT = (
    "The film names another patient (ID, issuer or birth date) than the first film of its study, so it is not"
    " part of the answer; correct the header in the archive, or grade the film by itself."
)


@dataclass(frozen=True)
class PriorKnee:
    """Describes a knee of an earlier study.

    Attributes:
        side: "left" or "right".
        grade: Its reported grade.
        severity: Its expected grade, 0 to 4.
        grade_set: Its prediction set.
    """

    side: str
    grade: int
    severity: float
    grade_set: tuple[int, ...]


@dataclass(frozen=True)
class Prior:
    """Describes an earlier study of the same patient.

    Attributes:
        date: Its date, as YYYY-MM-DD.
        revision: The revision of the model that graded it.
        knees: Its knees whose side is known.
    """

    date: str
    revision: str
    knees: tuple[PriorKnee, ...]


@dataclass(frozen=True, eq=False)
class StudyReport(FilmReport):
    """Holds the report for a study: a film report whose knees may come from several films.

    Attributes:
        films: The reports of its films.
        places: For each knee, the place of its film in `films`.
        numbers: What the texts call each of `films`.
        priors: Earlier studies of the same patient, oldest first.
    """

    films: tuple[FilmReport, ...] = ()
    places: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    priors: tuple[Prior, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """For each knee the place of its film in `films`."""
        return self.places

    @property
    def film_numbers(self) -> tuple[int, ...]:
        """What the texts call each of `films`."""
        return self.numbers

    def film_of(self, knee: int) -> FilmReport:
        """Return the report of the film of a knee, which is given by its place in `knees`."""
        return self.films[self.places[knee]]

    def film_number(self, knee: int) -> int | None:
        """Return the number of a knee's film, or None where the study has one film."""
        return self.numbers[self.places[knee]] if len(self.films) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values. Where it has several films, each knee says which one is its own."""
        document = super().to_dict()
        for place, knee in enumerate(document["knees"]):
            if number := self.film_number(place):
                knee["film"] = {"number": number, **self.film_of(place).size()}
        return document

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each knee: by its side, or by its film if the side is not known."""
        if len(self.films) == 1:
            return super().names
        return tuple(
            f"{knee.side.capitalize()} knee"
            if knee.side
            else f"{_name_in_film(self.films[film], knee)} of film {self.numbers[film]}"
            for knee, film in zip(self.knees, self.sources, strict=True)
        )

    def overlay(self) -> Image.Image:
        """Return the overlays of the films that knees come from, side by side."""
        pictures = [self.films[film].overlay() for film in sorted(set(self.sources))]
        joined = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)))
        left = 0
        for picture in pictures:
            joined.paste(picture, (left, 0))
            left += picture.width
        return joined

    def comparison(self) -> tuple[str, ...]:
        """Return a sentence for each earlier study and knee: the grade and the severity then and now."""
        lines = []
        for prior in self.priors:
            if prior.revision != self.revision:
                lines.append(
                    f"{prior.date}: another revision of the model graded that study, so its grades are not compared."
                )
                continue
            then = {knee.side: knee for knee in prior.knees}
            lines += [_change(prior.date, then[knee.side], knee) for knee in self.knees if knee.side in then]
        return tuple(lines)


def study_report(films: Sequence[FilmReport], priors: Sequence[Prior] = (), numbers: Sequence[int] = ()) -> StudyReport:
    """Make one report from the reports of a study's films, at least one, all by the same model.

    Of several films of a knee, the best one counts. It is the film with the fewest warnings, then with the largest knee
    in pixels, then the first. The grade itself never decides. The warnings name the grades on the other films. Knees
    whose side is not known stay apart, since nothing says that two of them are the same knee.

    Args:
        films: The reports.
        priors: Earlier studies of the same patient.
        numbers: What the texts call each film; by default its place, from 1.
    """
    numbers = tuple(numbers or range(1, len(films) + 1))
    found = [(place, knee) for place, film in enumerate(films) for knee in film.knees]
    chosen, warnings = [], []
    for side in LATERALITIES:
        same = sorted((one for one in found if one[1].side == side), key=lambda one: _badness(films[one[0]], one[1]))
        if same:
            chosen.append(same[0])
            warnings += _others(side, same, numbers)
    unknown = [one for one in found if one[1].side is None]
    refused = next((film.refused for film in films if film.refused), None)
    if len(films) == 1:
        chosen, warnings = found, list(films[0].warnings)
    else:
        chosen += unknown
        warnings += [f"Film {numbers[place]}: {text}" for place, film in enumerate(films) for text in film.warnings]
        warnings += [
            f"Film {numbers[place]} was {'graded by force' if film.knees else 'not graded'}: {film.refused.message}"
            for place, film in enumerate(films)
            if film.refused and found
        ]
        if unknown and len(found) > 1:
            warnings.append("The header does not name the side of every film, so a knee may be listed twice.")
        refused = None if chosen else refused
    first = films[chosen[0][0] if chosen else 0]
    return StudyReport(
        tuple(knee for _, knee in chosen),
        refused,
        tuple(warnings),
        first.model,
        first.revision,
        first.level,
        first.film,
        first.quality,
        first.protocol,
        tuple(films),
        tuple(place for place, _ in chosen),
        numbers,
        tuple(sorted(priors, key=lambda prior: prior.date)),
    )


def check_patient(known: str, film: str) -> str:
    """Return what the headers of a study say about its patient after this film.

    An element that a header lacks contradicts nothing. All films of one study belong to one patient.

    Args:
        known: What the films so far say, as `FilmIdentity.patient`.
        film: What this film says.

    Raises FilmError if ID, issuer or birth date of the film differs from that of the films so far.
    """
    before, now = patient_parts(known), patient_parts(film)
    if any(one and other and one != other for one, other in zip(_dated(before), _dated(now), strict=True)):
        raise FilmError(OTHER_PATIENT)
    return joined_patient([one or other for one, other in zip(before, now, strict=True)])


def without_pixels(report: FilmReport) -> np.ndarray:
    """Return an array of the film's size that takes no memory, for a report of which no overlay is needed."""
    return np.broadcast_to(np.float32(0), report.film.shape)


def verdict(then: KneeGrade | PriorKnee, now: KneeGrade) -> str:
    """Return what two reports allow to say. Only prediction sets without a common grade indicate a change."""
    common = sorted(set(then.grade_set) & set(now.grade_set))
    if not common:
        return (
            "The two films have no common grade among those that are not ruled out: the model sees a"
            f" {'higher' if now.grade > then.grade else 'lower'} grade now."
        )
    return (
        f"The model cannot rule out grade{'s' * (len(common) > 1)} {span(common)} in either film, so the grade may be"
        " the same in both."
    )


def why_not_compared(then: FilmIdentity, now: FilmIdentity) -> str:
    """Return why two films must not be compared, or "" if nothing in their headers forbids it."""
    parts = ((one.patient_id, one.issuer, one.born, one.sex) for one in (then, now))
    if any(before and after and before != after for before, after in zip(*parts, strict=True)):
        return "The headers name two different patients, so the films are not compared."
    if then.taken and now.taken and then.taken > now.taken:
        return "By the headers, the film of then was taken after the film of now. Exchange the two films."
    return ""


def unchecked(then: FilmIdentity, now: FilmIdentity) -> str:
    """Return a warning about what the headers of two films leave open, or "" if they name patient and dates."""
    if not names_patient(then.patient) or not names_patient(now.patient):
        return "Check that both films are of one patient: in a header, the patient's ID or birth date is missing."
    if bool(then.issuer) != bool(now.issuer):
        return "Check that both films are of one patient: only one header names the issuer of the patient's ID."
    if not then.taken or not now.taken:
        return "Check which film is the earlier one: in a header, the date is missing."
    if then.taken == now.taken:
        return "Both films are of the same day."
    return ""


def _dated(parts: Sequence[str]) -> tuple[str, str, str]:
    """Return ID, issuer and birth date, with the birth date in the same form in both."""
    number, issuer, born = parts
    return number, issuer, date_of(born) or born


def _badness(film: FilmReport, knee: KneeGrade) -> tuple[int, int]:
    left, top, right, bottom = knee.box
    return len(film.warnings), -(right - left) * (bottom - top)


def _others(side: str, same: Sequence[tuple[int, KneeGrade]], numbers: Sequence[int]) -> list[str]:
    """Return a sentence about the films of a knee that do not count, or no sentence if it has one film."""
    if len(same) == 1:
        return []
    others = ", ".join(
        f"film {numbers[place]} gives grade {knee.grade}" for place, knee in sorted(same[1:], key=lambda one: one[0])
    )
    return [f"The {side} knee is graded on film {numbers[same[0][0]]}, the best one; {others}."]


def _name_in_film(film: FilmReport, knee: KneeGrade) -> str:
    return next(name for name, one in zip(film.names, film.knees, strict=True) if one is knee)


def _change(date: str, then: PriorKnee, now: KneeGrade) -> str:
    return (
        f"{str(now.side).capitalize()} knee, {date} and now: grade {then.grade} and {now.grade}, severity"
        f" {then.severity:.1f} and {now.severity:.1f}. {verdict(then, now)}"
    )
