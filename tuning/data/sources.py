"""Labelled films are read from folders, .zip and .tar archives and CSV files, without unpacking."""

import csv
import hashlib
import io
import lzma
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kneeoa_hub.errors import DataError, KneeOAError, SettingsError
from kneeoa_hub.escaping import escape_for_terminal
from kneeoa_hub.grades import LABELS, NUM_GRADES
from kneeoa_hub.imaging.content import read_content
from kneeoa_hub.imaging.dicomdir import HEAD
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.folders import files_below, is_film_by_name, is_film_by_start, is_hidden, skipped, start_of
from kneeoa_hub.manifest import sha256_of

from ..run.content import fingerprint

HASHED = "sha256:"
"""A CSV's `file` with this start names a film by its hash."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
"""Archives with these endings are read."""
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
"""Damaged archives raise these errors."""
MOST_MEMBERS = 500_000
"""A .tar archive may hold 500,000 files, at a kilobyte of memory each."""
LONG_NAMES = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
NAME_BYTES = 64 * 2**10
"""A header of a .tar archive that holds a long name may have 64 kB."""
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folders and CSV files name splits by these words."""
SIDES = {"l": "left", "left": "left", "r": "right", "right": "right", "": None}
"""File names and CSV files name sides by these words."""
GRADE_FOLDER = re.compile(rf"^(\d+)[ _-]?({'|'.join(LABELS)})?$", re.IGNORECASE)
"""A folder of one grade has a name such as 0Normal, 3_Moderate or 2."""
PATIENT_FILE = re.compile(r"^(\d{6,8})([LR])(?![A-Za-z])")
"""The Osteoarthritis Initiative names a film by patient and side, such as 9000296L.png."""
EXPERT_FOLDER = re.compile(r"^MedicalExpert-(I{1,2})$", re.IGNORECASE)
"""The Gornale set keeps the films under a folder for each reader."""
LAYOUTS = (
    "class folders such as 0Normal/ or train/0/, an archive of them, or a CSV with columns"
    " file,grade[,group,side,split]"
)
"""Errors name these layouts, which `--data` accepts."""


@dataclass(frozen=True)
class Labelled:
    """A labelled film has a grade, and what its path or its row of a CSV says about it.

    Attributes:
        dataset: Name of the dataset that the film belongs to.
        source: The folder or archive that holds the film.
        file: Its path inside `source`.
        grade: The reader's Kellgren-Lawrence grade, 0 to 4.
        group: The patient, or anything else that a split must keep together.
        side: The patient's side: "left" or "right".
        split: "train", "val" or "test".
    """

    dataset: str
    source: str
    file: str
    grade: int
    group: str | None = None
    side: str | None = None
    split: str | None = None


Reader = Callable[[Path, str], Iterable[Labelled]]
"""A reader yields the labelled films that a file lists; its arguments are the file and the name of the dataset."""


def read_labels(arguments: Iterable[str]) -> list[Labelled]:
    """Return every labelled film of the `--data` arguments, in the order given.

    Args:
        arguments: PATH or NAME=PATH; NAME names the dataset.

    Raises:
        DataError: A path does not exist, films have no grades, a grade is outside 0 to 4, or a grade has no film.
    """
    films = [film for argument in arguments for film in _read_source(argument)]
    if not films:
        raise DataError("No labelled films were given; use --data with " + LAYOUTS + ".")
    present = {film.grade for film in films}
    missing = [f"{grade} ({LABELS[grade]})" for grade in range(NUM_GRADES) if grade not in present]
    if missing:
        raise DataError(
            f"{len(films)} films were found, but none of grade {', '.join(missing)}; give films of all five grades."
        )
    return films


class _Header(tarfile.TarInfo):
    """A header that holds a long name is refused when it is large, since tarfile would read it into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """Return a header. Raises tarfile.ReadError for a long name, which tarfile would read into memory whole."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in LONG_NAMES and header.size > NAME_BYTES:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


class FilmReader:
    """A reader returns the bytes of films; archives stay open until the end of its `with` statement."""

    def __init__(self) -> None:
        self._archives: dict[str, zipfile.ZipFile | tarfile.TarFile] = {}

    def __enter__(self) -> "FilmReader":
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._archives.values():
            archive.close()

    def read(self, source: str, file: str) -> bytes:
        """Return the bytes of a film. Raises DataError when they can no longer be read."""
        try:
            if not source.lower().endswith(ARCHIVES):
                return read_content(Path(source) / file, Limits())[0]
            if source not in self._archives:
                self._archives[source] = open_archive(Path(source))
            archive = self._archives[source]
            with archive.open(file) if isinstance(archive, zipfile.ZipFile) else _opened(archive, file) as member:
                return read_content(member, Limits())[0]
        except KneeOAError as error:
            raise DataError(f"{file} can't be read from {source}: {error.message}") from None
        except (*UNREADABLE, KeyError, RuntimeError) as error:
            raise DataError(f"{file} can't be read from {source} ({error}); restore it, or audit again.") from None


def open_archive(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    """Return an open archive. Raises DataError when it can't be opened."""
    try:
        return zipfile.ZipFile(path) if path.suffix.lower() == ".zip" else tarfile.open(path, tarinfo=_Header)
    except UNREADABLE as error:
        raise DataError(f"{path} can't be opened as an archive ({error}); download it again.") from None


def _read_source(argument: str) -> Iterator[Labelled]:
    name, separator, rest = argument.partition("=")
    named = bool(separator) and not Path(argument).exists()
    path = Path(rest if named else argument).expanduser().absolute()
    if not path.exists():
        raise DataError(f"--data {argument}: there is no such file or folder; give {LAYOUTS}.")
    dataset = name if named else None
    if reader := READERS.get(path.suffix.lower()):
        yield from reader(path, dataset or path.stem)
    else:
        films = list(_read_folders(path, dataset))
        if not films:
            raise DataError(f"--data {argument}: it has no film in a folder of a grade; give {LAYOUTS}.")
        yield from films


def add_reader(suffix: str, read: Reader) -> None:
    """Add a kind of file that `--data` accepts, see docs/extending.md.

    Args:
        suffix: The ending of its name, such as ".json".
        read: Called with the file and the name of the dataset. It yields the labelled films.

    Raises:
        SettingsError: The ending is taken.
    """
    if suffix.lower() in (*READERS, *ARCHIVES):
        raise SettingsError(f"There is a reader of {suffix} files already; give another ending.")
    READERS[suffix.lower()] = read


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the path of each file in a folder or an archive, with a function that returns its first HEAD bytes.

    The function is called before the next file is asked for, so that a compressed .tar is read once.
    """
    if path.is_dir():
        for file in map(Path, files_below(str(path))[0]):
            if file.is_file():
                yield file.relative_to(path).as_posix(), partial(start_of, file)
        return
    if not path.name.lower().endswith(ARCHIVES):
        raise DataError(f"--data {path}: a single {path.suffix or 'file'} is not a set of films; give {LAYOUTS}.")
    with open_archive(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, partial(_start_in, archive, info)
            return
        try:
            for number, member in enumerate(archive):
                if number >= MOST_MEMBERS:
                    raise DataError(f"{path} holds over {MOST_MEMBERS} files; unpack it and give the folder.")
                if member.isfile():
                    yield member.name, partial(_start_in, archive, member)
        except UNREADABLE as error:
            raise DataError(f"{path} can't be read as an archive ({error}); download it again.") from None


def _start_in(archive: zipfile.ZipFile | tarfile.TarFile, member: Any) -> bytes:
    """Return the first bytes of a file of an archive, none where it cannot be read."""
    try:
        with archive.open(member) if isinstance(archive, zipfile.ZipFile) else _opened(archive, member) as file:
            return file.read(HEAD)
    except (*UNREADABLE, RuntimeError, NotImplementedError):  # a password, a compression that Python does not know
        return b""


def _opened(archive: tarfile.TarFile, file: str | tarfile.TarInfo) -> IO[bytes]:
    return archive.extractfile(file) or io.BytesIO()


def _read_folders(path: Path, dataset: str | None) -> Iterator[Labelled]:
    for file in _graded_films(path):
        place = PurePosixPath(file)
        grade = _grade(_grade_folder(place), f"the folder {place.parent} of {path}")
        patient = PATIENT_FILE.match(place.name)
        above = [part.lower() for part in (path.name, *place.parts[:-2])]
        expert = any(EXPERT_FOLDER.match(part) for part in above)
        split = next((SPLITS[part] for part in above if part in SPLITS), None)
        yield Labelled(
            dataset
            or ("gornale" if expert else "oai" if patient and len(patient[1]) == 7 else path.name.split(".")[0]),
            str(path),
            file,
            grade,
            group=patient[1] if patient else None,
            side=SIDES[patient[2].lower()] if patient else None,
            split=split,
        )


def _graded_films(path: Path) -> list[str]:
    """Return the films in folders of a grade, and name the other files there on standard error."""
    films: list[str] = []
    others: list[str] = []
    for file, start in _files(path):
        place = PurePosixPath(file)
        if _grade_folder(place) and not is_hidden(place):
            (films if _is_film(place, start) else others).append(file)
    for note in skipped(str(path), sorted(others)):
        print(escape_for_terminal(note), file=sys.stderr)
    return sorted(films)


def _grade_folder(place: PurePosixPath) -> str:
    """Return the grade by which the folder of a file is named, "" where it names none.

    The name of the given folder itself does not say a grade, so a film needs a folder below it.
    """
    match = GRADE_FOLDER.match(place.parts[-2]) if len(place.parts) > 1 else None
    return match[1] if match else ""


def _is_film(place: PurePosixPath, start: Callable[[], bytes]) -> bool:
    by_name = is_film_by_name(place)
    return is_film_by_start(place, start()) if by_name is None else by_name


def _read_csv(path: Path, dataset: str) -> Iterator[Labelled]:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as CSV ({error}); save it as CSV in UTF-8.") from None
    if not rows or not {"file", "grade"} <= set(rows[0]):
        raise DataError(f"{path} has no rows with the columns file and grade; give file,grade[,group,side,split].")
    by_hash = _by_hash(path.parent) if any((row["file"] or "").startswith(HASHED) for row in rows) else {}
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        side, split = (row.get("side") or "").lower(), (row.get("split") or "").lower()
        if side not in SIDES or (split and split not in SPLITS):
            raise DataError(
                f"{where}: side {side!r}, split {split!r}; use left, right or nothing, and train, val, test or nothing."
            )
        source, file = _source_and_file(path.parent, _path_of(row["file"] or "", by_hash, where))
        yield Labelled(
            dataset, source, file, _grade(row["grade"] or "", where),
            group=row.get("group") or None, side=SIDES[side], split=SPLITS.get(split),
        )  # fmt: skip


def _by_hash(folder: Path) -> dict[str, str]:
    """Return the path of each film below a folder, relative to it, by the film's sha256."""
    films = sorted(file for file, start in _files(folder) if _is_film(PurePosixPath(file), start))
    return {sha256_of(folder / film): film for film in films}


def _path_of(file: str, by_hash: dict[str, str], where: str) -> str:
    """Return the path of a CSV's `file`, which is a path or sha256:DIGITS: grades may be kept without names."""
    if not file.startswith(HASHED):
        return file
    if file.removeprefix(HASHED) not in by_hash:
        raise DataError(f"{where}: no film in the folder of the CSV has {file}; copy the graded films into it.")
    return by_hash[file.removeprefix(HASHED)]


def _source_and_file(folder: Path, file: str) -> tuple[str, str]:
    """Return the folder or archive of a CSV's `file` and the path in it, such as films.tar/train/0/1.png."""
    parts = PurePosixPath(file).parts
    for count, part in enumerate(parts, 1):
        if part.lower().endswith(ARCHIVES) and (folder / PurePosixPath(*parts[:count])).is_file():
            return str(folder / PurePosixPath(*parts[:count])), str(PurePosixPath(*parts[count:]))
    return str(folder), file


def _grade(text: str, where: str) -> int:
    if text not in ("0", "1", "2", "3", "4"):
        raise DataError(f"{where}: the grade is {text!r}; give a Kellgren-Lawrence grade, 0, 1, 2, 3 or 4.")
    return int(text)


READERS: dict[str, Reader] = {".csv": _read_csv}
"""A file of labels is read by the reader for the ending of its name."""


def content_of(labels: Sequence[Labelled]) -> dict[str, str]:
    """Return the fingerprints of labelled films by part; see `run.content`."""
    with FilmReader() as reader:
        films = [(one.dataset, one.file, _film_hash(reader, one)) for one in labels]
    return {
        "number of films": str(len(labels)),
        "films": fingerprint(sorted(films)),
        "grades": fingerprint(sorted((one.dataset, one.file, one.grade) for one in labels)),
        "splits": fingerprint(sorted((one.dataset, one.file, one.split or "") for one in labels)),
        "groups and sides": fingerprint(
            sorted((one.dataset, one.file, one.group or "", one.side or "") for one in labels)
        ),
    }


def _film_hash(reader: FilmReader, film: Labelled) -> str:
    """Return the sha256 of a film's bytes; "" where it can't be read, which the audit reports."""
    try:
        return hashlib.sha256(reader.read(film.source, film.file)).hexdigest()
    except DataError:
        return ""
