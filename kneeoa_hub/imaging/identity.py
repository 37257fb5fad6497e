"""Reads whose film a DICOM file is and when it was taken, for a node, a comparison and a clinical message.

Grading never reads these elements. Their values identify a patient, so they go neither to a log nor to a report's JSON.
"""

from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from ..errors import DamagedFilm, FilmTooLarge, MissingExtra, UnsupportedFilm
from .bounds import bounded
from .deflated import inflated_header
from .dicom_values import as_typed
from .formats import is_dicom
from .quiet import quiet_logs, quiet_warnings

MAKER = "kneeoa_hub"
"""The objects that this package makes name this manufacturer, by which the package knows its own."""
ELEMENTS = {
    "instance": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
    "series": "SeriesInstanceUID",
    "study": "StudyInstanceUID",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "acquisition_date": "AcquisitionDate",
    "acquired": "AcquisitionDateTime",
    "manufacturer": "Manufacturer",
}
"""Each attribute is read from this element."""


@dataclass(frozen=True)
class FilmIdentity:
    """Holds the identifying elements of a film's header. An element that is missing or cannot be read is "".

    Attributes:
        instance: SOP Instance UID.
        sop_class: SOP Class UID.
        series: Series Instance UID.
        study: Study Instance UID.
        patient_id: Patient ID.
        issuer: Issuer of Patient ID.
        patient_name: Patient's Name, with its parts separated by ^.
        birth_date: Patient's Birth Date, as YYYYMMDD.
        sex: Patient's Sex: M, F or O.
        accession: Accession Number.
        study_date: Study Date, as YYYYMMDD.
        study_time: Study Time, as HHMMSS with an optional fraction.
        acquisition_date: Acquisition Date, as YYYYMMDD.
        acquired: Acquisition DateTime, which begins with YYYYMMDD.
        manufacturer: Manufacturer of the equipment that made the object.
    """

    instance: str = ""
    sop_class: str = ""
    series: str = ""
    study: str = ""
    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)
    study_time: str = field(default="", repr=False)
    acquisition_date: str = field(default="", repr=False)
    acquired: str = field(default="", repr=False)
    manufacturer: str = ""

    @property
    def date(self) -> str:
        """The study's date as YYYY-MM-DD, "" if the header names none."""
        return date_of(self.study_date)

    @property
    def taken(self) -> str:
        """The day on which the film was taken as YYYY-MM-DD: that of its acquisition, otherwise that of its study."""
        return date_of(self.acquisition_date) or date_of(self.acquired[:8]) or self.date

    @property
    def born(self) -> str:
        """The birth date as YYYY-MM-DD, "" if the header names none."""
        return date_of(self.birth_date)

    @property
    def patient(self) -> str:
        """Patient ID, issuer and birth date with | between them; "" if the header has none of them.

        Patient IDs are unique within their issuer only, and clinics use old IDs again, so the birth date belongs to it.
        `names_patient` says whether an equal text means one patient.
        """
        return joined_patient((self.patient_id, self.issuer, self.birth_date))


def joined_patient(parts: Sequence[str]) -> str:
    """Return ID, issuer and birth date as one text, or "" if all are empty."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts) if any(parts) else ""


def patient_parts(patient: str) -> list[str]:
    """Return ID, issuer and birth date of a `FilmIdentity.patient`."""
    return [part.replace("%7C", "|").replace("%25", "%") for part in (patient or "||").split("|")]


def names_patient(patient: str) -> bool:
    """Return whether a `FilmIdentity.patient` has an ID and a birth date. Different people may share any other.

    Clinics give one ID, such as UNKNOWN, to everybody whose ID they do not know.
    """
    return not patient.startswith("|") and bool(date_of(patient.rpartition("|")[2]))


def read_identity(film: bytes) -> FilmIdentity:
    """Read the identity of a DICOM film.

    Raises:
        UnsupportedFilm: The file is not DICOM.
        DamagedFilm: The header cannot be read.
        FilmTooLarge: The header is far larger than that of a film.
        MissingExtra: pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    if not is_dicom(film):
        raise UnsupportedFilm("The film is not DICOM, so it names no patient and no study; give the DICOM file.")
    from .bounds.dicom import CountedReads

    with reading_header(), quiet_logs(), quiet_warnings():
        header = pydicom.dcmread(
            CountedReads(inflated_header(film)),  # a file, as far as pydicom needs one
            stop_before_pixels=True,
            specific_tags=[*ELEMENTS.values(), "SpecificCharacterSet"],
            force=True,
        )
        return FilmIdentity(**{one.name: _text(header, ELEMENTS[one.name]) for one in fields(FilmIdentity)})


@contextmanager
def reading_header() -> Iterator[None]:
    """Raise FilmTooLarge or DamagedFilm for a DICOM header that can't be read in the block."""
    try:
        with bounded("The film"):
            yield
    except FilmTooLarge:
        raise
    except Exception as error:  # pydicom raises many kinds for a corrupt file
        raise DamagedFilm(
            f"The film's DICOM header can't be read ({type(error).__name__}); export the film again."
        ) from None


def date_of(text: str) -> str:
    """Return a date of DICOM as YYYY-MM-DD, or "" if it is no date."""
    try:
        return datetime.strptime(text.strip().replace(".", ""), "%Y%m%d").date().isoformat()
    except ValueError:
        return ""


def _text(header: Any, keyword: str) -> str:
    """Return a value without padding, or "" for a value that cannot be read or is not one text."""
    try:
        value = header.get(keyword)
    except Exception:  # pydicom raises many kinds for a malformed element
        return ""
    return "" if value is None or isinstance(value, (bytes, MutableSequence)) else as_typed(str(value)).strip(" \0")
