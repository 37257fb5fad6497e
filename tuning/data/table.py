"""The audit's table of films: one row a film, read and written."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError

SEVERAL = "several knees under one grade"


@dataclass(frozen=True)
class AuditedFilm:
    """One row of films.csv. `use` is "yes", or why the film is left out of training and of the headline.

    group: a patient, or a cluster of copies. leakage_group: the same, joined where films of several show one knee, if
    shifted; no split cuts it. inverted: 1 when its grays are the negative of the other films'; see
    `datasets.bright_bone`. brightness: mean gray of the decoded film, 0 to 1; None in the films.csv of an audit that
    did not note it.
    """

    dataset: str
    source: str
    file: str
    grade: int
    group: str
    side: str
    split: str
    sha256: str
    pixel_sha256: str
    width: int
    height: int
    knees: int
    inverted: int
    use: str
    leakage_group: str = ""
    brightness: float | None = None

    @property
    def exposure(self) -> float | None:
        """Mean gray with bright bone, 0 to 1."""
        return 1 - self.brightness if self.brightness is not None and self.inverted else self.brightness

    @property
    def trains(self) -> bool:
        """Whether training sees it."""
        return self.split == "train" and self.use == "yes"

    @property
    def together(self) -> str:
        """What no split and no bootstrap may cut; audits that knew no such group have the group alone."""
        return self.leakage_group or self.group


COLUMNS = {"leakage_group": "kin"}
"""Of films.csv, where a field has another name: that of the audits there are."""
FIELDS = {column: name for name, column in COLUMNS.items()}
INTEGERS = {field.name for field in fields(AuditedFilm) if field.type in (int, "int")}


def read_films(folder: Path) -> list[AuditedFilm]:
    """The rows of an audit's films.csv."""
    path = folder / "films.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                AuditedFilm(**{FIELDS.get(name, name): _read_as(name, value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path} can't be read ({error}); run the audit again.") from None


def _read_as(name: str, value: str) -> Any:
    """A cell of films.csv as its field has it."""
    if name == "brightness":
        return float(value) if value else None
    return int(value) if name in INTEGERS else value


def write_films(path: Path, films: Sequence[AuditedFilm]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [field.name for field in fields(AuditedFilm)]
        writer = csv.writer(file)
        writer.writerow(COLUMNS.get(name, name) for name in names)
        writer.writerows(asdict(film).values() for film in films)
