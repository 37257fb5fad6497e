"""Makes an HL7 v2.5.1 message of a report, ORU^R01, for sites whose systems cannot read FHIR."""

import hashlib
import unicodedata
from collections.abc import Iterator
from datetime import datetime

from ..grades import GRADES
from ..imaging.identity import MAKER, FilmIdentity
from ..knee import KneeGrade
from ..report import FilmReport
from .clinical import ClinicalAnswer, PersonName, figures, names_of
from .dicom import SCHEME, SIDES

ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
"""The characters that divide a message are written so within a value (HL7 v2.5.1, 2.7)."""
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""These categories of Unicode are left out: controls, halves of characters, and ends of lines and paragraphs."""
PRELIMINARY = "P"
TIME = "%Y%m%d%H%M%S%z"
"""A time is written with its offset from UTC, such as 20240301120000+0000 (HL7 v2.5.1, 2.A.22)."""


def hl7_message(film: bytes, report: FilmReport, now: datetime | None = None) -> str:
    r"""Return a message in UTF-8 whose segments end with \r.

    Args:
        film: The DICOM file that was graded; of a study one of its files.
        report: Its report.
        now: When the message is made; by default now.

    Raises the errors of `ClinicalAnswer.of`.
    """
    answer = ClinicalAnswer.of(film, report, now)
    identity, made = answer.identity, answer.made_at.strftime(TIME)
    control = hashlib.sha256(f"{answer.key}/{made}".encode("utf-8", "replace")).hexdigest()[:20]
    header = ["MSH", "^~\\&", "KNEEOA", MAKER, "", "", made, "", "ORU^R01^ORU_R01", control, "P", "2.5.1"]
    segments = [
        [*header, *[""] * 5, "UNICODE UTF-8"],
        _patient(identity),
        _order(identity, made),
        *([*one, *[""] * 4, PRELIMINARY] for one in _results(report, identity)),
    ]
    return "".join("|".join(fields).rstrip("|") + "\r" for fields in segments)


def _patient(identity: FilmIdentity) -> list[str]:
    """Return PID, with the name in each of its writings. The eighth part names a writing that is not alphabetic."""
    name = "~".join(_name(one) for one in names_of(identity))
    number = "^".join((_text(identity.patient_id), "", "", _text(identity.issuer))).rstrip("^")
    birth = identity.born.replace("-", "")
    return ["PID", "1", "", number, "", name, "", birth, identity.sex if identity.sex in ("F", "M", "O") else ""]


def _name(name: PersonName) -> str:
    """Return a name. Its parts stand in another order than in DICOM, with the suffix before the prefix."""
    writing = "" if name.writing == "A" else name.writing
    parts = (name.family, name.given, name.middle, name.suffix, name.prefix, "", "", writing)
    return "^".join(map(_text, parts)).rstrip("^")


def _order(identity: FilmIdentity, made: str) -> list[str]:
    """Return OBR. The accession number is the filler's order number."""
    taken = identity.date.replace("-", "")
    fields = {1: "1", 3: _text(identity.accession), 4: "18748-4^Diagnostic imaging study^LN", 7: taken, 22: made}
    fields |= {24: "RAD", 25: PRELIMINARY}
    return ["OBR", *(fields.get(place, "") for place in range(1, 26))]


def _results(report: FilmReport, identity: FilmIdentity) -> Iterator[list[str]]:
    """Yield the OBX segments up to the units, for the study, then for each knee, then for the findings as text."""
    results = [("ST", "110180^Study Instance UID^DCM", "", _text(identity.study), "")]
    for number, knee in enumerate(report.knees, 1):
        results += [(kind, code, str(number), value, unit) for kind, code, value, unit in _knee(knee)]
    lines = (_text(line) for line in report.findings().split("\n"))
    results.append(("FT", "18782-3^Radiology Study observation^LN", "", "\\.br\\".join(lines), ""))
    for place, result in enumerate(results, 1):
        kind, code, knee_number, value, unit = result
        yield ["OBX", str(place), kind, code, knee_number, value, unit]


def _knee(knee: KneeGrade) -> Iterator[tuple[str, str, str, str]]:
    """Yield type, code, value and unit of each result of a knee. Sub-ID groups those of one knee."""
    if knee.side:
        yield "CWE", "272741003^Laterality^SCT", f"{'^'.join(SIDES[knee.side])}^SCT", ""
    yield "CWE", f"KL^Kellgren-Lawrence grade^{SCHEME}", _grade(knee.grade), ""
    yield "CWE", f"KL-LIKELIEST^Likeliest grade^{SCHEME}", _grade(knee.likeliest), ""
    grades = f"{knee.grade_set[0]}^-^{knee.grade_set[-1]}"
    yield "SN", f"KL-SET^Grades that cannot be ruled out^{SCHEME}", f"^{grades}", ""
    for code, meaning, value in figures(knee):
        yield "NM", f"{code}^{meaning}^{SCHEME}", f"{value:.4f}", "1^no units^UCUM"


def _grade(value: int) -> str:
    return f"KL{value}^Kellgren-Lawrence grade {value}, {GRADES[value].label}^{SCHEME}"


def _text(value: str) -> str:
    """Return a value that divides no field and ends no segment."""
    kept = (letter for letter in value if unicodedata.category(letter) not in NO_TEXT)
    return "".join(ESCAPES.get(letter, letter) for letter in kept)
