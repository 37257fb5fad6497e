"""The films of an archive, divided into parts: one worker grades a part, and writes its answers to one file."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from ..errors import FilmError, FilmNotFound, SettingsError
from ..imaging.dicomdir import HEAD
from ..imaging.folders import films_of, is_film_by_name, is_film_by_start, skipped
from ..imaging.formats import FILM_SUFFIXES

NAME, CONTENT = "film", "content"
"""Columns of a Parquet file that holds films: the name and the bytes of each."""
PARQUET = ".parquet"


@dataclass(frozen=True)
class Part:
    """Films that are graded together.

    Attributes:
        films: Their names: paths, addresses, or values of the column `film`.
        table: The Parquet file that holds them; "" where the films are files.
        group: The row group of that file.
        base: The folder from which relative paths lead to them.
    """

    films: tuple[str, ...]
    table: str = ""
    group: int = 0
    base: str = field(default_factory=os.getcwd)

    @property
    def name(self) -> str:
        """The name of the part's file, which follows from its films alone."""
        named = "\0".join((self.table, str(self.group), *self.films))
        return f"part-{hashlib.sha256(named.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}{PARQUET}"


def parts_of(sources: Iterable[str], size: int, done: Collection[str]) -> tuple[list[Part], int, list[str]]:
    """Divide what is left of an archive into parts.

    Args:
        sources: Films, folders, addresses of fsspec such as "s3://bucket/films", and Parquet files of films.
        size: Most films of a part.
        done: Names of films that are graded already.

    Returns:
        The parts, the number of films in all sources, and sentences about files that were left out.

    Raises:
        FilmError: A source holds no film.
        FilmNotFound: A source cannot be read.
        SettingsError: A Parquet file has no columns `film` and `content`, or two films have one name.
    """
    groups: list[Part] = []
    notes: list[str] = []
    for source in sources:
        if source.lower().endswith(PARQUET):
            groups += _groups(source)
        else:
            films, said = _below(source) if "://" in source else films_of([source])
            groups.append(Part(tuple(films)))
            notes += said
    films = [film for group in groups for film in group.films]
    if len(set(films)) < len(films):
        twice, _ = Counter(films).most_common(1)[0]
        raise SettingsError(f"{twice} occurs twice among the films; give each film once, and each its own name.")
    left = (replace(one, films=tuple(film for film in one.films if film not in done)) for one in groups)
    return [part for one in left for part in _divided(one, size)], len(films), notes


def _divided(group: Part, size: int) -> Iterator[Part]:
    for start in range(0, len(group.films), size):
        yield replace(group, films=group.films[start : start + size])


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


def contents(part: Part) -> Sequence[Any]:
    """Return the films of a part as a grader takes them. Files are read when their turn comes, tables at once."""
    if not part.table:
        return [RemoteFilm(film) if "://" in film else os.path.join(part.base, film) for film in part.films]
    import pyarrow.parquet as pq

    with opened(part.table if "://" in part.table else os.path.join(part.base, part.table)) as file:
        table = pq.ParquetFile(file).read_row_group(part.group, columns=[NAME, CONTENT])
    named = dict(zip(map(str, table.column(NAME).to_pylist()), table.column(CONTENT).to_pylist(), strict=True))
    return [named[film] or b"" for film in part.films]


class RemoteFilm:
    """A film behind an address of fsspec, read once, when its turn comes."""

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
        raise FilmNotFound(f"{address} can't be read ({_reason(error)}); give the address of films.") from None


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
        raise FilmNotFound(f"{address} can't be listed ({_reason(error)}); give the address of films.") from None
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


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
