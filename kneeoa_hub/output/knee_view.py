"""Words a film and its knees for pages and printed reports, as values.

Flask's pages, the Space and the printable report all show a `FilmView`, so that a knee reads the same in each of them.
`knee_html` renders the views for the web; the PDF draws them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import KneeOAError
from ..grades import GRADES, Grade
from ..knee import KneeGrade, certainty, not_likeliest, osteoarthritis, percent, span
from ..report import Answer, FilmReport

NOT_KNOWN = "Not known"


@dataclass(frozen=True)
class Bar:
    """Describes the probability of one grade.

    Attributes:
        grade: The grade.
        probability: Its probability, 0..1.
        reported: Whether the grade is the reported one.
        in_set: Whether the grade belongs to the prediction set.
    """

    grade: Grade
    probability: float
    reported: bool
    in_set: bool


@dataclass(frozen=True)
class KneeView:
    """Holds the words for one knee.

    Attributes:
        name: The knee by its side or its place in the picture, such as "Right knee".
        side: "Left", "Right" or NOT_KNOWN.
        grade: The reported grade with its label and criterion.
        likeliest: The grade with the highest probability.
        note: A sentence that names the likeliest grade if another one is reported, otherwise "".
        osteoarthritis: "Likely", "Not likely" or "Borderline".
        oa_probability: The probability of KL 2 or more, such as "82%".
        grade_set: The prediction set, such as "1 to 3".
        level: Its coverage level, such as "90%", or "" if it is not known.
        severity: The mean grade with one decimal.
        bars: The five probabilities, by grade.
        sentences: The same facts as sentences, for paper.
    """

    name: str
    side: str
    grade: Grade
    likeliest: Grade
    note: str
    osteoarthritis: str
    oa_probability: str
    grade_set: str
    level: str
    severity: str
    bars: tuple[Bar, ...]
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, name: str, knee: KneeGrade, level: float | None = None) -> "KneeView":
        """Return the view of one knee of a report.

        Args:
            name: The knee by its side or its position, such as "Right knee".
            knee: The graded knee.
            level: Coverage level of its prediction set, which a knee alone does not know.
        """
        statement = osteoarthritis(knee)
        unknown = () if knee.side else ("The side of the knee is not known.",)
        return cls(
            name=name,
            side=knee.side.capitalize() if knee.side else NOT_KNOWN,
            grade=GRADES[knee.grade],
            likeliest=GRADES[knee.likeliest],
            note=not_likeliest(knee) if knee.likeliest != knee.grade else "",
            osteoarthritis=knee.osteoarthritis.capitalize(),
            oa_probability=percent(knee.oa_probability),
            grade_set=span(knee.grade_set),
            level="" if level is None else percent(level),
            severity=f"{knee.severity:.1f}",
            bars=tuple(
                Bar(grade, probability, grade.value == knee.grade, grade.value in knee.grade_set)
                for grade, probability in zip(GRADES, knee.probabilities, strict=True)
            ),
            sentences=(
                GRADES[knee.grade].criterion,
                *certainty(knee, level),
                statement[0].upper() + statement[1:],
                *unknown,
            ),
        )

    @property
    def summary(self) -> str:
        """The knee in one line of a list."""
        likeliest = f" (likeliest {self.likeliest.value})" if self.note else ""
        return (
            f"{self.name}: grade {self.grade.value}, {self.grade.label}{likeliest}; KL 2 or more"
            f" {self.osteoarthritis.lower()}, {self.oa_probability}; not ruled out {self.grade_set}"
        )

    @property
    def side_known(self) -> bool:
        """Whether the film, or the knee's place beside another one, tells the side."""
        return self.side != NOT_KNOWN


@dataclass(frozen=True)
class FilmView:
    """Holds the words for one film.

    Attributes:
        title: The film's name as the reader knows it.
        failure: Why the film could not be graded, or "".
        refusal: Why the film should not be graded, or "". A film that was graded by force has a refusal and knees.
        knees: The knees from left to right in the picture.
        warnings: Sentences about what may make the grades less reliable.
        model: The model, its revision and the readers whom it follows, or "" after a failure.
    """

    title: str
    failure: str = ""
    refusal: str = ""
    knees: tuple[KneeView, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str = ""

    @classmethod
    def of(cls, title: str, answer: Answer) -> "FilmView":
        """Return the view of an answer."""
        if isinstance(answer, KneeOAError):
            return cls(title, failure=answer.for_visitors)
        return cls(
            title,
            refusal=answer.refused.message if answer.refused else "",
            knees=tuple(_knees(answer)),
            warnings=answer.warnings,
            model=answer.model_line,
        )

    @property
    def notes(self) -> str:
        """How many warnings there are, such as "2 notes", or "" for none."""
        count = len(self.warnings)
        return f"{count} note{'s' * (count > 1)}" if count else ""

    @property
    def refusal_title(self) -> str:
        """The heading that says what a refusal meant for this film."""
        return "Refused, but graded by force" if self.knees else "Not graded"


def _knees(report: FilmReport) -> Iterator[KneeView]:
    for name, knee in zip(report.names, report.knees, strict=True):
        yield KneeView.of(name, knee, report.level)
