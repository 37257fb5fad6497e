"""The audit's table of films, films.csv, has one row per film."""

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError
from kneeoa_hub.escaping import escape_cell, unescape_cell
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.frame import Place, place_of

USABLE = "yes"
"""This is the `use` of a film that training and the main measures may use."""
SEVERAL_KNEES = "several knees under one grade"
"""This is the `use` of a film that shows more than one knee but has one grade."""

NO_JOINT = "no joint found"
"""This is the `use` of a film on which the locator of the audit finds no joint."""
ONE_JOINT = "one joint found, but both sides have a row"
"""This is the `use` of the rows of a film that name both sides where the locator finds a single joint for them."""


@dataclass(frozen=True)
class AuditedFilm:
    """A row of films.csv describes one film.

    Attributes:
        dataset: Name of the dataset that the film belongs to.
        source: The folder or archive that holds the film.
        file: Its path inside `source`.
        grade: The reader's Kellgren-Lawrence grade, 0 to 4.
        group: A patient, or a cluster of copies.
        side: The patient's side: "left", "right" or "".
        split: "train", "val" or "test".
        sha256: SHA-256 of the file's bytes.
        pixel_sha256: SHA-256 of the decoded pixels.
        width: Pixels of a row.
        height: Rows.
        knees: Number of knees in the film by the rule of `find_knees`.
        inverted: 1 when the grays are the negative of those of the other films; see `datasets.bright_bone`.
        use: USABLE, or the reason why training and the main measures leave the film out.
        leakage_group: Groups that are joined because their films show one knee, if shifted: no split and no bootstrap
            sample may cut it. Audits before 0.6.0 did not know it; there it equals `group`.
        brightness: Mean gray of the decoded film, 0 to 1; None in an audit that did not measure it.
        joint: Its joint in pixels of the film, as "x y side" in films.csv; None in an audit without a locator, and for
            a film that is not used or a strip on which none is found.
        joints: Number of joints that the locator of the audit found; 0 where it did not look.
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
    joint: Place | None = None
    joints: int = 0

    def __post_init__(self) -> None:
        if not self.leakage_group:
            object.__setattr__(self, "leakage_group", self.group)

    @property
    def alone(self) -> bool:
        """Whether the film shows a single knee, as far as the rule and the locator can tell."""
        return self.knees == 1 and self.joints <= 1

    @property
    def shown(self) -> tuple[str, Place | None]:
        """What is graded: the pixels and, on a film of two knees, which of them."""
        return self.pixel_sha256, None if self.alone else self.joint

    @property
    def place(self) -> Place:
        """The joint; where none is known the middle of the film, as a grader without one takes it."""
        return self.joint or place_of((0, 0, self.width, self.height))

    @property
    def usable(self) -> bool:
        """Whether the film may be trained on or counted in the main measures."""
        return self.use == USABLE

    @property
    def trains(self) -> bool:
        """Whether training sees the film."""
        return self.usable and self.split == "train"

    @property
    def exposure(self) -> float | None:
        """Mean gray of the film with bright bone, 0 to 1."""
        return 1 - self.brightness if self.brightness is not None and self.inverted else self.brightness


GRADES = tuple(str(grade) for grade in range(NUM_GRADES))
SPLITS = ("train", "val", "test")
COLUMNS = {"leakage_group": "kin"}
"""These columns of films.csv have other names than their fields, so that audits of earlier releases can be read."""
FIELDS = {column: name for name, column in COLUMNS.items()}
INTEGERS = {field.name for field in fields(AuditedFilm) if field.type in (int, "int")}


def read_films(folder: Path) -> list[AuditedFilm]:
    """Return the rows of an audit's films.csv. Raises DataError when the table can't be read."""
    path = folder / "films.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                AuditedFilm(**{FIELDS.get(name, name): _parsed(name, value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} can't be read ({error}); run the audit again.") from None


def write_films(path: Path, films: Sequence[AuditedFilm]) -> None:
    """Write films.csv to `path`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [field.name for field in fields(AuditedFilm)]
        writer = csv.writer(file)
        writer.writerow(COLUMNS.get(name, name) for name in names)
        writer.writerows([_written(getattr(film, name)) for name in names] for film in films)


def _written(value: Any) -> Any:
    """Return a field as its cell of films.csv, which no spreadsheet takes for a formula."""
    if isinstance(value, Place):
        return " ".join(f"{number:g}" for number in astuple(value))
    return escape_cell(value) if isinstance(value, str) else value


def _parsed(name: str, value: str) -> Any:
    """Return a cell of films.csv as its field holds it."""
    if name == "brightness":
        return float(value) if value else None
    if name == "joint":
        return Place(*map(float, value.split())) if value else None
    if (name == "grade" and value not in GRADES) or (name == "split" and value not in SPLITS):
        raise ValueError(
            f"a film has the {name} {value!r}; known are {', '.join(GRADES if name == 'grade' else SPLITS)}"
        )
    return int(value) if name in INTEGERS else unescape_cell(value)
