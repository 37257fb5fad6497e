"""Grades a study that is due: its films, one report for all of them, and the objects that go to the archive."""

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom

from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.passing import EndedDecoding, PassingFault, SlowDecoding
from kneeoa_hub.imaging.quiet import quiet_logs, quiet_warnings
from kneeoa_hub.output.dicom import secondary_capture, structured_report, to_bytes
from kneeoa_hub.overlay import film_picture
from kneeoa_hub.study import Prior, PriorKnee, StudyReport, check_patient, study_report, without_pixels

from ..source import Grader
from .dead import DeadLetters
from .queue import Queue
from .records import GradedStudy, Object, QueuedFilm, StoredGrades, Study

MOST_ATTEMPTS = 3
"""A film whose grading ended a process, took too long or needed too much memory this often is faulty."""
LATER_SECONDS = 60
"""After a fault of the model, or one that may pass, a study waits a minute."""
EARLIER_REPORT = (
    "This study has an earlier report, of films that the node no longer has. This report is about the other films and"
    " does not replace it."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GradedFilm:
    """Holds a film by its UID and its report, and how often its header was corrected."""

    film: str
    content: bytes
    report: FilmReport
    corrections: int

    @property
    def edition(self) -> str:
        """The text from which the UIDs of objects follow beside the film; "" for a header that was never corrected."""
        return f"{self.film}:{self.corrections}" if self.corrections else ""


class StudyGrader:
    """Grades the studies of a queue.

    Args:
        queue: The queue.
        grader: The model.
        capture: Whether secondary captures are made too.
        dead: The dead letters, which take faulty films.
    """

    def __init__(self, queue: Queue, grader: Grader, *, capture: bool, dead: DeadLetters):
        self._queue, self._grader = queue, grader
        self._capture, self._dead = capture, dead
        self._begun: set[str] = set()

    def grade_next(self) -> bool:
        """Grade the study that has been due for longest, and return whether there was one."""
        study = self._queue.due()
        if study is None:
            return False
        try:
            graded = self._grade(study)
        except KneeOAError as error:  # the model's fault, or one that may pass
            log.error("A study can't be graded now: %s", error.message)
            self._queue.postpone(study, LATER_SECONDS)
            self._queue.end(*self._begun)
            self._begun.clear()
            return True
        self._queue.finish(study, graded)
        self._begun.clear()
        states = [state for state, _ in graded.outcomes.values()]
        fields = {"study": self._queue.pseudonyms.of(study.study), **{one: states.count(one) for one in set(states)}}
        log.info("answered", extra={"fields": fields})
        return True

    def _grade(self, study: Study) -> GradedStudy:
        found: list[GradedFilm] = []
        before, whole = self._queue.grades_of(study.study), True
        outcomes: dict[str, tuple[str, str]] = {}
        patient = study.patient
        passing: PassingFault | None = None
        for film in self._queue.films(study.study):
            whole = whole and (film.content is not None or film.state != "graded")
            if film.content is None or film.state == "faulty":
                continue
            try:
                named = self._check(film, film.content, patient)
                report = self._graded(film, film.content)
            except (SlowDecoding, EndedDecoding) as error:  # the others go on: all such films have attempts together
                self._begun.discard(film.film)  # so that the attempt counts
                passing = error
                continue
            except PassingFault:  # the machine lacks memory, so that the others would only lose attempts too
                raise
            except FilmError as error:
                hide = self._queue.pseudonyms.of
                self._dead.bury(f"{hide(study.study)}-{hide(film.film)}", film.content)
                outcomes[film.film] = "faulty", error.plain
                continue
            patient = named
            outcomes[film.film] = ("refused", report.refused.message) if report.refused else ("graded", "")
            found.append(GradedFilm(film.film, film.content, report, film.corrections))
        if passing:
            raise passing
        if whole:
            self._queue.withdraw(study.study)
        used = [one for one in found if one.report.knees]
        if whole and before.knees and not used and self._queue.previous_report(study.study):
            used = found  # the archive may have a report of what is refused since its header was corrected
        if not used:
            return GradedStudy(outcomes, *(("", ()) if whole else (before.revision, before.knees)), ())
        with self._in_progress(*(one.film for one in used)):
            report = study_report([one.report for one in used], self._priors(study))
            if not whole:
                report = replace(report, warnings=(*report.warnings, EARLIER_REPORT))
            objects, fault = self._objects(study, used, report, replaces=whole)
        if fault:
            outcomes = {film: (state, reason or fault) for film, (state, reason) in outcomes.items()}
        return GradedStudy(outcomes, *_joined(StoredGrades("", ()) if whole else before, report), objects)

    def _check(self, film: QueuedFilm, content: bytes, patient: str) -> str:
        """Return what the study's films say of their patient up to this one.

        Raises FilmError for a film that is not to be graded.
        """
        if film.attempts - (film.film in self._begun) >= MOST_ATTEMPTS:
            raise FilmError(
                f"Its grading ended a process, took too long or needed too much memory {MOST_ATTEMPTS} times; export it"
                " again, as uncompressed DICOM."
            )
        return check_patient(patient, read_identity(content).patient)

    def _graded(self, film: QueuedFilm, content: bytes) -> FilmReport:
        """Return the report of a film, or raise its error.

        A study may have many films, so only the picture stays, and only if it will be drawn.
        """
        with self._in_progress(film.film):
            (report,) = self._grader.grade_batch([content], boxes=[None])
            if isinstance(report, PassingFault):
                raise report
            if isinstance(report, FilmReport):
                drawn = self._capture and not report.refused
                report = replace(
                    report, film=np.asarray(film_picture(report.film)) if drawn else without_pixels(report)
                )
        if isinstance(report, KneeOAError):
            raise report
        return report

    @contextmanager
    def _in_progress(self, *films: str) -> Iterator[None]:
        """Count an attempt of films for as long as the block runs, so that an error or the process's end leaves it.

        One process counts one attempt of a film at most, since a full disk can keep it from taking the attempt back.
        """
        self._queue.begin(*(one for one in films if one not in self._begun))
        self._begun.update(films)
        yield
        self._queue.end(*films)
        self._begun.difference_update(films)

    def _objects(
        self, study: Study, graded: Sequence[GradedFilm], report: StudyReport, replaces: bool
    ) -> tuple[list[Object], str]:
        """Return the objects for the archive, or the reason why there are none, such as a faulty header.

        The report names the study's newest one as its predecessor if it `replaces` that one.
        """
        before = self._queue.previous_report(study.study) if replaces else None
        try:
            with quiet_logs(), quiet_warnings():
                previous = pydicom.dcmread(io.BytesIO(before)) if before else None
            edition = " ".join(filter(None, (one.edition for one in graded)))
            films = [one.content for one in graded]
            newest = structured_report(films, report, previous, edition)
            if previous and self._queue.had_replaced(newest.SOPInstanceUID, previous.SOPInstanceUID):
                again = f"{edition} after {previous.SOPInstanceUID}"  # a comparison says again what it said before
                newest = structured_report(films, report, previous, again)
            made = [("sr", newest)]
            if self._capture:
                used = [graded[place] for place in sorted(set(report.sources))]
                made += [("sc", secondary_capture(one.content, one.report, one.edition)) for one in used]
        except FilmError as error:
            return [], error.plain
        return [Object(str(one.SOPInstanceUID), kind, to_bytes(one)) for kind, one in made], ""

    def _priors(self, study: Study) -> list[Prior]:
        return [
            Prior(date, revision, tuple(_prior_knee(knee) for knee in knees if knee["side"]))
            for date, revision, knees in self._queue.earlier(study)
        ]


def _joined(earlier: StoredGrades, report: StudyReport) -> tuple[str, list[dict[str, Any]]]:
    """Return revision and knees of a study, with the earlier knees whose sides the report does not have.

    The revision is "" if two revisions graded the knees, so that no other study is compared with them.
    """
    sides = {knee.side for knee in report.knees}
    kept = [knee for knee in earlier.knees if knee["side"] not in sides]
    revision = report.revision if not kept or earlier.revision == report.revision else ""
    return revision, [*(knee.to_dict() for knee in report.knees), *kept]


def _prior_knee(knee: dict) -> PriorKnee:
    return PriorKnee(knee["side"], knee["grade"], knee["severity"], tuple(knee["grade_set"]))
