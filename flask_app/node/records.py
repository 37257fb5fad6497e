"""Defines what the node's queue gives and takes: studies, their films, reports, and objects that go to the archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .digests import Digests


@dataclass(frozen=True)
class Study:
    """Describes a study whose films wait to be graded together.

    Attributes:
        study: Its Study Instance UID.
        patient: `FilmIdentity.patient` of its first film.
        sex: The patient's sex, or "".
        date: Its date, as YYYY-MM-DD, or "".
        due_at: The time since which it is due, by which `Queue.finish` knows whether a film came meanwhile.
    """

    study: str
    patient: str = field(repr=False)
    sex: str = field(repr=False)
    date: str = field(repr=False)
    due_at: float


@dataclass(frozen=True)
class QueuedFilm:
    """Describes a film of a study.

    Attributes:
        film: Its SOP Instance UID.
        state: "waiting", "graded", "refused" or "faulty".
        attempts: How often work on it began and did not end.
        content: The file, or None if it was deleted.
        corrections: How often its header was corrected.
    """

    film: str
    state: str
    attempts: int
    content: bytes | None = field(repr=False)
    corrections: int = 0


@dataclass(frozen=True)
class KeptFilm:
    """Holds a film that came before, with its digests.

    Attributes:
        content: The file.
        digests: Its digests.
    """

    content: bytes = field(repr=False)
    digests: Digests


@dataclass(frozen=True)
class Object:
    """Describes an object that goes to the archive.

    Attributes:
        object: Its SOP Instance UID.
        kind: "sr" or "sc".
        content: The DICOM file.
        attempts: How often sending failed.
    """

    object: str
    kind: str
    content: bytes = field(repr=False)
    attempts: int = 0


@dataclass(frozen=True)
class StoredGrades:
    """Holds the grades that the queue keeps for a study.

    Attributes:
        revision: The revision of the model; "" if there was none, or more than one.
        knees: The knees as JSON values.
    """

    revision: str
    knees: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class GradedStudy:
    """Holds what the grading of a study gave.

    Attributes:
        outcomes: State and reason of each film, by its UID.
        revision: The revision of the model.
        knees: The knees as JSON values, for later comparisons and for the worklist.
        objects: The objects that go to the archive.
    """

    outcomes: dict[str, tuple[str, str]]
    revision: str
    knees: Sequence[dict[str, Any]]
    objects: Sequence[Object]
