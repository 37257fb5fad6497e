"""What a grading writes beside its answers, as they pass: overlays, DICOM objects, and a report at the end."""

import sys
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from .answers import Answer
from .errors import KneeOAError, OutputError
from .report import FilmReport

Passing = Iterable[tuple[str, Answer]]


def with_overlays(answers: Passing, folder: Path) -> Iterator[tuple[str, Answer]]:
    """The same answers; FILM.graded.png of each graded film is written on the way."""
    names = _Names()
    for film, answer in answers:
        if not isinstance(answer, KneeOAError) and answer.knees:
            path = _inside(folder, f"{names.of(film)}.graded.png", "--overlays")
            try:
                answer.overlay().save(path)
            except OSError as error:
                raise _unwritable(folder, "--overlays", error) from None
        yield film, answer


class DicomObjects:
    """Writes FILM.sr.dcm, and FILM.sc.dcm of each graded film, below a folder. failed: DICOM films so far whose objects could not be made."""

    def __init__(self, folder: Path) -> None:
        self.failed: int = 0
        self._folder = folder
        self._names = _Names()

    def beside(self, answers: Passing) -> Iterator[tuple[str, Answer]]:
        """The same answers. Of a film that has no objects, as it is no DICOM or belongs to no study, standard error tells why."""
        for film, answer in answers:
            if not isinstance(answer, KneeOAError):
                self._write(film, answer)
            yield film, answer

    def _write(self, film: str, report: FilmReport) -> None:
        from .dicom_objects import secondary_capture, structured_report, to_bytes
        from .imaging.decode import is_dicom

        content = Path(film).read_bytes()
        try:
            objects = {"sr": to_bytes(structured_report(content, report))}
            if report.knees:
                objects["sc"] = to_bytes(secondary_capture(content, report))
        except KneeOAError as error:
            self.failed += is_dicom(content)
            tell_fault(film, error)
            return
        name = self._names.of(film)
        for kind, made in objects.items():
            path = _inside(self._folder, f"{name}.{kind}.dcm", "--dicom")
            try:
                path.write_bytes(made)
            except OSError as error:
                raise _unwritable(self._folder, "--dicom", error) from None


def tell_fault(film: str, error: KneeOAError) -> None:
    """A line on standard error, above whatever bar is drawn there."""
    from tqdm import tqdm

    tqdm.write(f"kneeoa: {film}: {error.message}", file=sys.stderr)


def with_report(answers: Passing, path: Path) -> Iterator[tuple[str, Answer]]:
    """The same answers; a report of all of them is written at the end."""
    from .document import new_document

    document = new_document(path)
    for number, (film, answer) in enumerate(answers, 1):
        name = Path(film).name.encode("utf-8", "replace").decode()  # of a name that is no UTF-8, what is readable
        document.add(f"{number}. {name}", answer)
        yield film, answer
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(document.content())
    except OSError as error:
        raise OutputError(f"{path} can't be written ({error.strerror}); give --report a place with room and access.") from None


class _Names:
    """Names for files that are written side by side, from films that lie in several folders."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, film: str) -> str:
        name = next(n for n in (Path(film).stem + (f"-{i}" if i else "") for i in count()) if n not in self._taken)
        self._taken.add(name)
        return name


def _inside(folder: Path, name: str, option: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, option, error) from None
    return folder / name


def _unwritable(folder: Path, option: str, error: OSError) -> OutputError:
    return OutputError(f"{folder} can't be written ({error.strerror}); give {option} a folder with room and access.")
