"""An answer as a clinical system takes it: whose it is, and when it was made. FHIR and HL7 v2 are written from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ..grades import GRADES
from ..imaging.identity import FilmIdentity, read_identity
from ..report import FilmReport, KneeGrade


@dataclass(frozen=True)
class ClinicalAnswer:
    """An answer and whose it is.

    Attributes:
        identity: Patient and study by the header of the film.
        report: The report.
        made_at: When the answer was made, with its offset from UTC.
    """

    identity: FilmIdentity
    report: FilmReport
    made_at: datetime

    @classmethod
    def of(cls, film: bytes, report: FilmReport, now: datetime | None = None) -> "ClinicalAnswer":
        """Return the answer.

        Args:
            film: The DICOM file that was graded; of a study one of its files.
            report: Its report.
            now: When the answer is made; by default now. A time without an offset is one of this machine's time zone.

        Raises:
            UnsupportedFilm: The film is not DICOM.
            DamagedFilm: The header of the film cannot be read.
        """
        made_at = now or datetime.now(UTC)
        return cls(read_identity(film), report, made_at if made_at.tzinfo else made_at.astimezone())


def figures(knee: KneeGrade) -> Iterator[tuple[str, str, float]]:
    """Yield code, meaning and value of each figure of a knee. The codes are our own: no standard has them."""
    for grade in GRADES:
        yield f"P-KL{grade.value}", f"Probability of grade {grade.value}", knee.probabilities[grade.value]
    yield "P-OA", "Probability of grade 2 or more", knee.oa_probability
    yield "SEVERITY", "Expected grade, 0 to 4", knee.severity
