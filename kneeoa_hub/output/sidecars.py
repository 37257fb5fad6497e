"""Writes files beside the answers of a grading: overlays and DICOM objects as the answers pass, a report at the end.

`check_places` makes their folders before the first film is graded.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

from ..errors import FilmError, FilmNotFound, KneeOAError, OutputError, SettingsError
from ..escaping import escape_for_terminal
from ..imaging.folders import HEAD
from ..imaging.formats import CAPTURE, FILM_SUFFIXES, OVERLAY, REPORT, is_dicom
from ..report import Answer, FilmReport

Passing = Iterable[tuple[str, Answer]]
"""The films pass with their reports or errors."""


def check_places(*, folders: Mapping[str, Path | None], report: Path | None, films: int = 1) -> None:
    """Make the folders, and fail now for a place that could not be written after the grading.

    Args:
        folders: The folder that each option names, or None.
        report: The file of the report, or None.
        films: How many films the report shows.

    Raises:
        OutputError: A place cannot be written.
        SettingsError: The name of the report has another ending than .html or .pdf, or it would show too many films.
    """
    for option, folder in folders.items():
        if folder:
            try:
                _try_folder(folder)
            except OSError as error:
                raise _unwritable(folder, option, error) from None
    if report:
        from .printable import MOST_FILMS, new_document

        new_document(report)
        if films > MOST_FILMS:
            raise SettingsError(
                f"--report shows at most {MOST_FILMS:,} films, and {films:,} were given; give --overlays for pictures"
                " of more films, or a report for each part of them."
            )
        try:
            _try_folder(report.parent)
            if report.exists():
                report.open("ab").close()
        except OSError as error:
            raise _unwritable(report, "--report", error) from None


def with_overlays(answers: Passing, folder: Path, places: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Yield the same answers, and write FILM.graded.png of each graded film on the way.

    Args:
        answers: The path of each film with its report or error.
        folder: Where the overlays go.
        places: The place of each film; see `places_of`.

    Raises:
        OutputError: An overlay cannot be written.
    """
    for film, answer in answers:
        if not isinstance(answer, KneeOAError) and answer.knees:
            try:
                answer.overlay().save(_made_place(folder, places[film], OVERLAY))
            except OSError as error:
                raise _unwritable(folder, "--overlays", error) from None
        yield film, answer


@dataclass(frozen=True)
class _Kind:
    """Describes one kind of object: the option that asks for it, its folder, the end of its name, and its maker."""

    option: str
    folder: Path
    suffix: str
    make: Callable[[bytes, FilmReport], bytes]
    needs_knee: bool = False


class DicomObjects:
    """Writes what a hospital's systems take, into folders.

    A DICOM film has FILM.sr.dcm, FILM.fhir.json and FILM.hl7 and, if a knee was graded, FILM.sc.dcm.

    Args:
        dicom: The folder of the DICOM objects, or None.
        fhir: The folder of the FHIR bundles, or None.
        hl7: The folder of the HL7 v2 messages, or None.
        places: The place of each film; see `places_of`.

    Attributes:
        failed: The number of DICOM films so far whose objects could not be made.
    """

    def __init__(
        self,
        dicom: Path | None,
        fhir: Path | None = None,
        hl7: Path | None = None,
        places: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.failed: int = 0
        self._kinds = tuple(_kinds(dicom, fhir, hl7))
        self._places = places

    def beside(self, answers: Passing) -> Iterator[tuple[str, Answer]]:
        """Yield the same answers. Standard error says why a film has no objects, for example if it is not DICOM."""
        for film, answer in answers:
            if not isinstance(answer, KneeOAError):
                self._write(film, answer)
            yield film, answer

    def _write(self, film: str, report: FilmReport) -> None:
        """Write each object by itself, so that a fault of one hinders neither the other nor the films to come."""
        try:
            content = Path(film).read_bytes()
        except OSError as error:
            self.failed += 1
            tell_fault(
                film,
                FilmNotFound(
                    f"The film can't be read again for its DICOM objects ({error.strerror}); leave the file in its"
                    " place until the command ends."
                ),
            )
            return
        made: list[tuple[_Kind, bytes]] = []
        faults: dict[str, KneeOAError] = {}
        for kind in self._kinds:
            if kind.needs_knee and not report.knees:
                continue
            try:
                made.append((kind, kind.make(content, report)))
            except Exception as error:  # one film must never end the batch
                bug = (
                    f"FILM.{kind.suffix} can't be made ({type(error).__name__}). This is a fault of the package; report"
                    " it to the maintainers."
                )
                fault = error if isinstance(error, KneeOAError) else FilmError(bug)
                faults.setdefault(fault.message, fault)
        self.failed += bool(faults) and is_dicom(content)
        for fault in faults.values():
            tell_fault(film, fault)
        for kind, content_made in made:
            try:
                _made_place(kind.folder, self._places[film], kind.suffix).write_bytes(content_made)
            except OSError as error:
                raise _unwritable(kind.folder, kind.option, error) from None


def _kinds(dicom: Path | None, fhir: Path | None, hl7: Path | None) -> Iterator[_Kind]:
    if dicom:
        from .dicom import secondary_capture, structured_report, to_bytes

        yield _Kind("--dicom", dicom, REPORT, lambda film, report: to_bytes(structured_report(film, report)))
        yield _Kind("--dicom", dicom, CAPTURE, lambda film, report: to_bytes(secondary_capture(film, report)), True)
    if fhir:
        from .fhir import fhir_bundle, to_json

        yield _Kind("--fhir", fhir, "fhir.json", lambda film, report: to_json(fhir_bundle(film, report)))
    if hl7:
        from .hl7 import hl7_message

        yield _Kind("--hl7", hl7, "hl7", lambda film, report: hl7_message(film, report).encode())


def tell_fault(film: str, error: KneeOAError) -> None:
    """Write a line to standard error, above the progress bar that may be there."""
    from tqdm import tqdm

    tqdm.write(escape_for_terminal(f"kneeoa: {film}: {error.message}"), file=sys.stderr)


def with_report(answers: Passing, path: Path, shown: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Yield the same answers, and write a report of all of them at the end.

    Args:
        answers: The path of each film with its report or error.
        path: The file of the report.
        shown: What each film is called if two files have the same name.
    """
    from .printable import new_document, study_line

    document = new_document(path)
    names = {film: Path(film).name for film in shown}
    names = names if len(set(names.values())) == len(names) else shown
    for number, (film, answer) in enumerate(answers, 1):
        name = names[film].encode("utf-8", "replace").decode()  # the readable part of a name that is not UTF-8
        document.add(f"{number}. {name}", answer, study_line(_head(film)))
        yield film, answer
    try:
        path.write_bytes(document.content())
    except OSError as error:
        raise _unwritable(path, "--report", error) from None


def _head(film: str) -> bytes:
    """Return the file of a film if it is DICOM.

    Other files, and files that cannot be read a second time, give b"".
    """
    try:
        if not Path(film).is_file():  # a pipe is read once
            return b""
        with Path(film).open("rb") as file:
            head = file.read(HEAD)
            return head + file.read() if is_dicom(head) else b""
    except OSError:
        return b""


def places_of(films: Iterable[str], within: Mapping[str, str]) -> dict[str, str]:
    """Return where in a folder each film's files go: into folders like those in which the film was found.

    Args:
        films: All films of the command, also those that an earlier run has graded: their places stay taken.
        within: The path of each film that was found in a folder, within that folder.

    Returns:
        The place of each film without a suffix, with a number if an earlier film has the same place.
    """
    places: dict[str, str] = {}
    taken: set[str] = set()
    for film in dict.fromkeys(films):
        path = Path(within.get(film, Path(film).name))
        if path.suffix.lower() in FILM_SUFFIXES:  # the last number of a UID is not a suffix
            path = path.with_suffix("")
        place = next(one for one in (f"{path}-{i}" if i else str(path) for i in count()) if one not in taken)
        taken.add(place)
        places[film] = place
    return places


def _made_place(folder: Path, place: str, suffix: str) -> Path:
    """Return the path of a file whose folder exists afterwards."""
    path = folder / f"{place}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _try_folder(folder: Path) -> None:
    """Make the folder, and write a file in it that is deleted at once."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _unwritable(place: Path, option: str, error: OSError) -> OutputError:
    return OutputError(f"{place} can't be written ({error.strerror}); give {option} a place with room and access.")
