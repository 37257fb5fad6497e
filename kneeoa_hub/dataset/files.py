"""Keeps the files of a graded archive: Parquet, one for each part, with a row for each knee and each film without one.

A file appears whole or not at all, on every store that writes objects so. Its name follows from its films, so a part
that is graded again replaces itself. Films that failed are graded again into the file that holds their errors.
"""

import io
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import OutputError, SettingsError
from ..files import replacing
from ..output.notebook import REAL, TEXT, WHOLE
from ..output.tables import CSV_COLUMNS, rows
from ..report import Answer
from .parts import PARQUET, reason_of

REVISION, LEVEL = b"kneeoa_revision", b"kneeoa_level"
"""The metadata of a file hold, under these keys, the revision that graded it and the level of its prediction sets."""
_PART = re.compile(rf"part-.*{re.escape(PARQUET)}")


@dataclass(frozen=True)
class Finished:
    """Says which films a folder of answers holds.

    Attributes:
        films: Names of the films.
        failed: Those films that have an error in place of a grade, each with the name of its file.
    """

    films: frozenset[str]
    failed: Mapping[str, str]


class GradedFiles:
    """Reads and writes a folder of answers, on this machine or behind an address of fsspec.

    Args:
        address: The folder. It is made if it is missing.
        revision: The revision that grades.
        level: The level of the prediction sets.
    """

    def __init__(self, address: str, revision: str, level: float):
        import fsspec

        self.address: str = address
        self._revision, self._level = revision, level
        try:
            self._files, self._root = fsspec.core.url_to_fs(address)
            self._files.makedirs(self._root, exist_ok=True)
        except Exception as error:  # each kind of store raises its own
            raise self._unwritable(error) from None

    def finished(self) -> Finished:
        """Return the films that have an answer.

        Raises:
            SettingsError: A file was written by another revision, or at another level.
            OutputError: A file cannot be read.
        """
        films: set[str] = set()
        failed: dict[str, str] = {}
        for path in self._parts():
            table = self._read(path, columns=["film", "error"])
            self._check(table.schema.metadata or {}, path)
            names = table.column("film").to_pylist()
            films |= set(names)
            errors = zip(names, table.column("error").to_pylist(), strict=True)
            failed |= {name: PurePosixPath(path).name for name, error in errors if error}
        return Finished(frozenset(films), failed)

    def check_revision(self, revision: str) -> None:
        """Raise SettingsError if a worker found another bundle at the address than the run began with."""
        if revision != self._revision:
            raise SettingsError(
                f"A worker found revision {revision} of the bundle, and the run began with {self._revision}; give the"
                " revision with the address, and put the same bundle on every machine."
            )

    def write(self, name: str, answers: Iterable[tuple[str, Answer]]) -> int:
        """Write the answers of a part, and return how many of its films failed.

        If the file exists, its answers about other films stay.

        Raises:
            OutputError: The file cannot be written, or read if it exists.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = {REVISION: self._revision.encode(), LEVEL: repr(self._level).encode()}
        found = [row for film, answer in answers for row in rows(film, answer)]
        failed = sum("error" in row for row in found)
        found += self._others(f"{self._root}/{name}", {row["film"] for row in found})
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(found, schema=_schema().with_metadata(metadata)), content)
        try:
            if self._is_local():
                with replacing(Path(self._root) / name) as part:
                    part.write_bytes(content.getvalue())
            else:
                self._files.pipe_file(f"{self._root}/{name}", content.getvalue())
        except Exception as error:
            raise self._unwritable(error) from None
        return failed

    def _parts(self) -> list[str]:
        """Return the paths of the files. The folder's name may look like a pattern, so it is listed."""
        try:
            paths = self._files.ls(self._root, detail=False)
        except FileNotFoundError:  # a store of objects has no empty folders
            return []
        return sorted(path for path in paths if _PART.fullmatch(PurePosixPath(path).name))

    def _others(self, path: str, films: Collection[str]) -> list[dict[str, Any]]:
        """Return the rows of a file that are not about these films. A missing file has none."""
        try:
            if not self._files.exists(path):
                return []
        except Exception as error:
            raise self._unwritable(error) from None
        return [row for row in self._read(path).to_pylist() if row["film"] not in films]

    def _read(self, path: str, columns: list[str] | None = None) -> Any:
        import pyarrow.parquet as pq

        try:
            with self._files.open(path, "rb") as file:
                return pq.read_table(file, columns=columns)
        except Exception as error:
            raise OutputError(
                f"{path} can't be read as answers ({reason_of(error)}); move it away, and its films are graded again."
            ) from None

    def _is_local(self) -> bool:
        return "file" in (self._files.protocol if isinstance(self._files.protocol, tuple) else (self._files.protocol,))

    def _check(self, metadata: dict[bytes, bytes], path: str) -> None:
        revision, level = (metadata.get(key, b"").decode() for key in (REVISION, LEVEL))
        if revision != self._revision or level != repr(self._level):
            raise SettingsError(
                f"{path} holds answers of revision {revision or 'unknown'} at level {level or 'unknown'}, and this"
                f" model is {self._revision} at level {self._level:g}; give another folder."
            )

    def _unwritable(self, error: Exception) -> OutputError:
        return OutputError(f"{self.address} can't be written ({reason_of(error)}); give a folder with room and access.")


def _schema() -> Any:
    """Return the columns of the answers: those of `kneeoa grade --csv`, with their types."""
    import pyarrow as pa

    kinds: dict[str, Any] = {}
    for names, kind in ((WHOLE, pa.int64()), (REAL, pa.float64()), (TEXT, pa.string())):
        kinds |= dict.fromkeys(names, kind)
    kinds["grade_set"] = pa.list_(pa.int64())
    return pa.schema([(name, kinds[name]) for name in CSV_COLUMNS])
