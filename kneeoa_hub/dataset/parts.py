"""Divides the films of an archive into parts. One worker grades a part, and writes its answers to one file."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from ..errors import FilmError, FilmNotFound, SettingsError
from ..imaging.dicomdir import HEAD
from ..imaging.folders import films_of, is_film_by_name, is_film_by_start, skipped
from ..imaging.formats import FILM_SUFFIXES

NAME, CONTENT = "film", "content"
"""A Parquet file of films has these columns, for the name and the bytes of each film."""
PARQUET = ".parquet"
ROWS, BUFFER = 4, 1 << 20
"""A table is decoded four rows at a time, and a column is read 1 MB at a time."""


@dataclass(frozen=True)
class Part:
    """Names films that are graded together.

    Attributes:
        films: Their names: paths, addresses, or values of the column `film`.
        table: The Parquet file that holds them; "" if the films are files.
        group: The row group of that file.
        base: The folder from which relative paths lead to them.
        file: The name of the file that holds their errors if they are graded again, or "" if they are new.
    """

    films: tuple[str, ...]
    table: str = ""
    group: int = 0
    base: str = field(default_factory=os.getcwd)
    file: str = ""

    @property
    def name(self) -> str:
        """The name of the part's file. For new films it follows from them alone."""
        if self.file:
            return self.file
        named = "\0".join((self.table, str(self.group), *self.films))
        return f"part-{hashlib.sha256(named.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}{PARQUET}"


@dataclass(frozen=True)
class FilmList:
    """Lists the films of all sources.

    Attributes:
        groups: Films that can be in one part: all that are files, or those of a row group of a table.
        films: Their names.
        notes: Sentences about files that were left out.
    """

    groups: tuple[Part, ...]
    films: frozenset[str]
    notes: tuple[str, ...]

    def parts(self, size: int, done: Collection[str], again: Mapping[str, str]) -> list[Part]:
        """Divide what is left of the archive.

        Args:
            size: Most films of a part.
            done: Names of films that have an answer.
            again: Films that are graded again all the same, each with the name of the file that holds its error.
        """
        return [part for group in self.groups for part in _divided(group, size, done, again)]


def list_films(sources: Iterable[str]) -> FilmList:
    """List the films of an archive.

    Args:
        sources: Films, folders, addresses of fsspec such as "s3://bucket/films", and Parquet files of films.

    Raises:
        FilmError: A source holds no film.
        FilmNotFound: A source cannot be read.
        SettingsError: A Parquet file has no columns `film` and `content`, or two films have one name.
    """
    tables: list[Part] = []
    files: list[str] = []
    notes: list[str] = []
    for source in sources:
        if source.lower().endswith(PARQUET):
            tables += _groups(source)
        else:
            films, said = _below(source) if "://" in source else films_of([source])
            files += films
            notes += said
    files, said = _storable(files)
    notes += said
    groups = [Part(tuple(files)), *tables] if files else tables
    named = [film for group in groups for film in group.films]
    names = frozenset(named)
    if len(names) < len(named):
        twice, _ = Counter(named).most_common(1)[0]
        raise SettingsError(f"{twice} occurs twice among the films; give each film once, and each its own name.")
    return FilmList(tuple(groups), names, tuple(notes))


def _storable(films: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the films whose names can be written to Parquet, and a sentence about the others."""
    known = [film for film in films if film.encode("utf-8", "ignore").decode() == film]
    if len(known) == len(films):
        return known, []
    left_out = sorted(set(films) - set(known))
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return known, [f"{left_out[0]}{more}: left out, since Parquet holds only names in UTF-8; rename what is not."]


def rounds(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Yield the parts in rounds, so that no two workers write one file at a time.

    There is one round, unless films that failed together are in several sources or row groups now.
    """
    left = list(parts)
    while left:
        turn: dict[str, Part] = {}
        for part in left:
            turn.setdefault(part.name, part)
        yield list(turn.values())
        left = [part for part in left if turn[part.name] is not part]


def _divided(group: Part, size: int, done: Collection[str], again: Mapping[str, str]) -> Iterator[Part]:
    new = [film for film in group.films if film not in done]
    for start in range(0, len(new), size):
        yield replace(group, films=tuple(new[start : start + size]))
    failed: dict[str, list[str]] = {}
    for film in group.films:
        if film in again:
            failed.setdefault(again[film], []).append(film)
    for file, films in failed.items():
        yield replace(group, films=tuple(films), file=file)


def _groups(address: str) -> Iterator[Part]:
    """Yield the films of each row group of a Parquet file."""
    import pyarrow.parquet as pq

    with opened(address) as file:
        table = pq.ParquetFile(file)
        if missing := {NAME, CONTENT} - set(table.schema_arrow.names):
            raise SettingsError(
                f"{address} has no column {' or '.join(sorted(missing))}; a table of films has their names in `{NAME}`"
                f" and their bytes in `{CONTENT}`."
            )
        for group in range(table.num_row_groups):
            names = table.read_row_group(group, columns=[NAME]).column(NAME).to_pylist()
            yield Part(tuple(map(str, names)), address, group)


def contents(part: Part) -> Iterator[Any]:
    """Yield the films of a part as a grader takes them, each when its turn comes."""
    if part.table:
        yield from _rows(part)
        return
    for film in part.films:
        yield RemoteFilm(film) if "://" in film else os.path.join(part.base, film)


def _rows(part: Part) -> Iterator[bytes]:
    """Yield the bytes of films from a table, of which a page and a few rows are in memory.

    The rows that come before them in their row group are read, too.

    Raises:
        FilmNotFound: The table holds other films than it did.
    """
    import pyarrow.parquet as pq

    left = deque(part.films)
    with opened(part.table if "://" in part.table else os.path.join(part.base, part.table)) as file:
        # By default a column of a whole row group is read at once, and even ahead.
        table = pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
        for batch in table.iter_batches(ROWS, row_groups=[part.group], columns=[NAME, CONTENT]):
            for name, content in zip(batch.column(NAME), batch.column(CONTENT), strict=True):
                if left and str(name) == left[0]:
                    left.popleft()
                    yield content.as_py() or b""
            if not left:
                return
    raise FilmNotFound(f"{part.table} changed during the run: it has no {left[0]} in its place; start again.")


class RemoteFilm:
    """Reads a film behind an address of fsspec once, when its turn comes."""

    def __init__(self, address: str):
        self.name: str = address
        self._read = False

    def read(self, size: int) -> bytes:
        """Return at most this many bytes of the film, and none when called again."""
        if self._read:
            return b""
        self._read = True
        import fsspec

        with fsspec.open(self.name, "rb") as file:
            return file.read(size)  # type: ignore[union-attr]


def opened(address: str) -> Any:
    """Open a local path or an address for reading. Raises FilmNotFound."""
    import fsspec

    try:
        return fsspec.open(address, "rb").open()  # pyright: ignore[reportAttributeAccessIssue]  # one address, one file
    except Exception as error:  # each kind of store raises its own
        raise FilmNotFound(f"{address} can't be read ({reason_of(error)}); give the address of films.") from None


def _below(address: str) -> tuple[list[str], list[str]]:
    """Return the addresses of the films at or below an address, in the order of their names, and what was skipped."""
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(address)
        found = sorted(files.find(root))
        if found == [root]:  # a film that is given by itself
            return [files.unstrip_protocol(root)], []
        by_name = {path: is_film_by_name(_within(path, root)) for path in found}
        unsure = [path for path, film in by_name.items() if film is None]
        starts = zip(unsure, files.cat_ranges(unsure, 0, HEAD), strict=True)  # at once, where the store can
    except Exception as error:  # a package for the protocol that is not installed, a login, a bucket
        raise FilmNotFound(f"{address} can't be listed ({reason_of(error)}); give the address of films.") from None
    by_start = {
        path: isinstance(start, bytes) and is_film_by_start(PurePosixPath(path), start) for path, start in starts
    }
    films = [path for path in found if by_name[path] or by_start.get(path)]
    if not films:
        kinds = f"{', '.join(sorted(FILM_SUFFIXES))}, or DICOM with any name"
        raise FilmError(f"{address} holds no films ({kinds}); give another address.")
    others = [str(_within(path, root)) for path in sorted(set(found) - set(films))]
    return [files.unstrip_protocol(path) for path in films], skipped(address, others)


def _within(path: str, root: str) -> PurePosixPath:
    place = PurePosixPath(path)
    return place.relative_to(root) if place.is_relative_to(root) else place


def reason_of(error: Exception) -> str:
    """Return what an exception of a store says, in one line of a bearable length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
