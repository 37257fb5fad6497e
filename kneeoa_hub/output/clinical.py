"""Holds a report as FHIR and HL7 v2 need it: with whose it is, and when it was made."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ..grades import GRADES
from ..imaging.identity import FilmIdentity, names_patient, read_identity
from ..knee import KneeGrade
from ..report import FilmReport
from ..study import StudyReport

WRITINGS = "AIP"
"""A name has these writings, in the order of DICOM."""
PARTS = 5
"""A name has these parts: family, given, middle, prefix, suffix."""


@dataclass(frozen=True)
class ClinicalAnswer:
    """Holds a report, and whose it is.

    Attributes:
        identity: Patient and study by the header of the film.
        report: The report.
        made_at: When the answer was made, with its offset from UTC.
        digest: SHA-256 of the film's file in hex digits, which names what has no UID.
    """

    identity: FilmIdentity
    report: FilmReport
    made_at: datetime
    digest: str

    @property
    def patient_key(self) -> str:
        """What names the patient: ID, issuer and birth date, or the study if the header does not have both."""
        named = names_patient(self.identity.patient)
        return f"patient {self.identity.patient}" if named else f"patient of {self.identity.study or self.digest}"

    @property
    def study_key(self) -> str:
        """What names the study."""
        return f"{self.patient_key}/study {self.identity.study or self.digest}"

    @property
    def key(self) -> str:
        """What names the answer: an answer for a study and one for a film of it have different keys."""
        about = "all" if isinstance(self.report, StudyReport) else f"film {self.identity.instance or self.digest}"
        return f"{self.study_key}/{about}/{self.report.model}/{self.report.revision}"

    @classmethod
    def of(cls, film: bytes, report: FilmReport, now: datetime | None = None) -> "ClinicalAnswer":
        """Read whose report it is from the film, and return both.

        Args:
            film: The DICOM file that was graded; of a study one of its files.
            report: Its report.
            now: When the answer is made; by default now. A time without an offset is one of this machine's time zone.

        Raises:
            UnsupportedFilm: The film is not DICOM.
            DamagedFilm: The header of the film cannot be read.
        """
        made_at = now or datetime.now(UTC)
        made_at = made_at if made_at.tzinfo else made_at.astimezone()
        return cls(read_identity(film), report, made_at, hashlib.sha256(film).hexdigest())


@dataclass(frozen=True)
class PersonName:
    """Holds a patient's name in one writing.

    Attributes:
        writing: "A" for alphabetic, "I" for ideographic, "P" for phonetic, as in HL7 v2.
        family: The family name.
        given: The given name.
        middle: The middle name.
        prefix: The prefix.
        suffix: The suffix.
    """

    writing: str
    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


def names_of(identity: FilmIdentity) -> Iterator[PersonName]:
    """Yield the patient's name in each writing that the header has (PS3.5, 6.2.1), as in Yamada^Tarou=山田^太郎."""
    for writing, text in zip(WRITINGS, identity.patient_name.split("="), strict=False):
        if any(parts := [part.strip() for part in text.split("^")[:PARTS]]):
            yield PersonName(writing, *parts)


def figures(knee: KneeGrade) -> Iterator[tuple[str, str, float]]:
    """Yield code, meaning and value of each figure of a knee. The codes are our own, since no standard has them."""
    for grade in GRADES:
        yield f"P-KL{grade.value}", f"Probability of grade {grade.value}", knee.probabilities[grade.value]
    yield "P-OA", "Probability of grade 2 or more", knee.oa_probability
    yield "SEVERITY", "Expected grade, 0 to 4", knee.severity
