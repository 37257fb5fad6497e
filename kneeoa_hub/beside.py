"""What a grading writes beside its answers, as they pass: overlays, DICOM objects, and a report at the end."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from .answers import Answer
from .errors import KneeOAError, OutputError

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


def with_dicom(answers: Passing, folder: Path) -> Iterator[tuple[str, Answer]]:
    """The same answers; FILM.sr.dcm, and FILM.sc.dcm of each graded film, are written on the way.

    A film that is no DICOM, or belongs to no study, is answered by the error that says so.
    """
    from .dicom_objects import secondary_capture, structured_report, to_bytes

    names = _Names()
    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            yield film, answer
            continue
        try:
            content = Path(film).read_bytes()
            objects = {"sr": to_bytes(structured_report(content, answer))}
            if answer.knees:
                objects["sc"] = to_bytes(secondary_capture(content, answer))
            name = names.of(film)
            for kind, made in objects.items():
                _inside(folder, f"{name}.{kind}.dcm", "--dicom").write_bytes(made)
        except OSError as error:
            raise _unwritable(folder, "--dicom", error) from None
        except OutputError:
            raise
        except KneeOAError as error:
            yield film, error
            continue
        yield film, answer


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
