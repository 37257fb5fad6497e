"""The audit's summary, audit.json, says how many films there are, how they are split, and what is wrong with them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np

from kneeoa_hub.evidence import Overlap, ShortcutEvidence
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.typed_json import Key

from ..run import steps
from . import shortcuts
from .duplicates import Pair
from .overlaps import folder_of, overlaps
from .splits import SPLITS, grades_by_picture
from .table import NO_JOINT, AuditedFilm

SUMMARY = "audit.json"


@dataclass(frozen=True)
class Unreadable:
    """This film could not be read.

    Attributes:
        file: Its path inside its source.
        error: The reason, for the user.
    """

    file: str
    error: str


@dataclass(frozen=True)
class Clusters:
    """These figures describe the groups of one dataset.

    Attributes:
        groups: Number of patients or clusters of copies.
        of_several_films: Number of these with several films.
        of_several_grades: Number of these whose films have several grades.
    """

    groups: int
    of_several_films: int
    of_several_grades: int


@dataclass(frozen=True, kw_only=True)
class AuditSummary:
    """The file audit.json holds these figures.

    Attributes:
        films: Number of films that could be read.
        unreadable: The films that could not be read.
        fingerprint: sha256 over the hash, grade, split and use of every film.
        groups: Number of patients or clusters of copies.
        clusters: How the clusters of each dataset compare with the given ones.
        byte_copies: Number of films whose bytes another film has too, one of each set not counted.
        pixel_copies: The same for pixels.
        near_duplicate_pairs: Pairs of films that are nearly the same.
        mirrored_pairs: Pairs of films of which one is nearly the mirror image of the other.
        shifted_pairs: Further pairs that show one knee, shifted.
        largest_leakage_group: Number of films of the largest leakage group.
        shifted_pairs_other_grade: Number of shifted pairs with two grades.
        shifted_pairs_of_two_datasets: Number of shifted pairs of two datasets.
        inverted: Number of films with inverted grays in each dataset.
        same_picture_other_grade: Number of pictures that were given several grades.
        left_out: Number of films that are not used, by reason.
        middle_taken: Number of usable films in each dataset for which the locator found no joint.
        splits: Number of usable films of each grade, by dataset and split.
        given: Datasets whose films all came with a split; in the others, the seed chose. None in audits before 0.15.0.
        overlaps: The places that share knees, under "folders" and "given_splits".
        shortcuts: The shortcut scores, by dataset and by what the grade is guessed from.
        files_of_16_bits: Number of PNG and TIFF files with 16 bits.
    """

    films: int
    unreadable: tuple[Unreadable, ...]
    fingerprint: str
    groups: int
    clusters: dict[str, Clusters] = field(default_factory=dict)
    byte_copies: int = 0
    pixel_copies: int = 0
    near_duplicate_pairs: int = 0
    mirrored_pairs: int = 0
    shifted_pairs: int | None = None
    largest_leakage_group: Annotated[int, Key("largest_kin")] = 0
    shifted_pairs_other_grade: int | None = None
    shifted_pairs_of_two_datasets: int | None = None
    inverted: dict[str, int]
    same_picture_other_grade: int = 0
    left_out: dict[str, int]
    middle_taken: dict[str, int] = field(default_factory=dict)
    splits: dict[str, dict[str, tuple[int, ...]]]
    given: tuple[str, ...] | None = None
    overlaps: dict[str, tuple[Overlap, ...]] = field(default_factory=dict)
    shortcuts: dict[str, dict[str, ShortcutEvidence]]
    files_of_16_bits: int = 0


@dataclass(frozen=True)
class Findings:
    """The audit found this beside the table of films; lists have one item per film, in the table's order.

    Attributes:
        copies: Near-duplicates, as they are or mirrored.
        shifted: Films of one knee that is shifted.
        probes: See `shortcuts.probes`.
        unreadable: Films that are not in the table.
    """

    copies: Sequence[Pair]
    shifted: Sequence[Pair]
    probes: Sequence[tuple[shortcuts.Features, ...]]
    unreadable: Sequence[Unreadable]


def read_summary(audit: Path) -> AuditSummary:
    """Return an audit's summary. Raises DataError when the audit has not finished or the file is damaged."""
    return steps.typed(AuditSummary, steps.read_json(audit / SUMMARY), audit / SUMMARY)


def summarise(films: Sequence[AuditedFilm], given: Sequence[AuditedFilm], findings: Findings) -> AuditSummary:
    """Return the summary of an audit.

    Args:
        films: The table of films.
        given: The same films with the splits that were given, before others were chosen.
        findings: What was found beside the table.
    """
    datasets = sorted({film.dataset for film in films})
    shifted = [(films[pair.first], films[pair.second]) for pair in findings.shifted]
    shifted = [(one, other) for one, other in shifted if one.group != other.group]
    mirrored = sum(pair.mirrored for pair in findings.copies)
    given_splits = [f"{film.dataset}: {film.split}" if film.split else "" for film in given]
    return AuditSummary(
        films=len(films),
        unreadable=tuple(findings.unreadable),
        fingerprint=steps.hash_of(sorted((film.sha256, film.grade, film.split, film.use) for film in films)),
        groups=len({film.group for film in films}),
        clusters={name: _clusters([film for film in films if film.dataset == name]) for name in datasets},
        byte_copies=_surplus(film.sha256 for film in films),
        pixel_copies=_surplus(film.pixel_sha256 for film in films),
        near_duplicate_pairs=len(findings.copies) - mirrored,
        mirrored_pairs=mirrored,
        shifted_pairs=len(shifted),
        largest_leakage_group=max(Counter(film.leakage_group for film in films).values()),
        shifted_pairs_other_grade=sum(one.grade != other.grade for one, other in shifted),
        shifted_pairs_of_two_datasets=sum(one.dataset != other.dataset for one, other in shifted),
        inverted=dict(sorted(Counter(film.dataset for film in films if film.inverted).items())),
        same_picture_other_grade=sum(len(grades) > 1 for grades in grades_by_picture(films).values()),
        left_out=dict(Counter(film.use for film in films if not film.usable)),
        middle_taken=_middle_taken(films),
        splits={name: {split: _grades(films, name, split) for split in SPLITS} for name in datasets},
        given=tuple(name for name in datasets if all(film.split for film in given if film.dataset == name)),
        overlaps={
            "folders": tuple(overlaps(given, [folder_of(film) for film in given])),
            "given_splits": tuple(overlaps(given, given_splits)),
        },
        shortcuts={name: _shortcuts(films, name, findings) for name in datasets},
        files_of_16_bits=sum(map(shortcuts.is_deep, findings.probes)),
    )


def split_hashes(films: Iterable[AuditedFilm]) -> dict[str, str]:
    """Return a hash over the names and splits of each dataset's films; it is the same at another resolution."""
    named = defaultdict(list)
    for film in films:
        named[film.dataset].append((film.file, film.split))
    return {dataset: steps.hash_of(sorted(rows)) for dataset, rows in sorted(named.items())}


def _surplus(hashes: Iterable[str]) -> int:
    """Return the number of items beyond the first of each value."""
    return sum(count - 1 for count in Counter(hashes).values())


def _grades(films: Sequence[AuditedFilm], dataset: str, split: str) -> tuple[int, ...]:
    """Return the number of usable films of each grade."""
    mine = Counter(film.grade for film in films if film.dataset == dataset and film.split == split and film.usable)
    return tuple(mine[grade] for grade in range(NUM_GRADES))


def _middle_taken(films: Sequence[AuditedFilm]) -> dict[str, int]:
    """Return the number of usable films in each dataset that have no joint; none in an audit without a locator."""
    without = Counter(film.dataset for film in films if film.usable and not film.joint)
    return dict(sorted(without.items())) if any(film.joint or film.use == NO_JOINT for film in films) else {}


def _clusters(films: Sequence[AuditedFilm]) -> Clusters:
    grades = defaultdict(list)
    for film in films:
        grades[film.group].append(film.grade)
    return Clusters(
        groups=len(grades),
        of_several_films=sum(len(given) > 1 for given in grades.values()),
        of_several_grades=sum(len(set(given)) > 1 for given in grades.values()),
    )


def _shortcuts(films: Sequence[AuditedFilm], dataset: str, findings: Findings) -> dict[str, ShortcutEvidence]:
    """Return how well the grade of a dataset's films, used or not, can be guessed from what shows no joint."""
    rows = [row for row, film in enumerate(films) if film.dataset == dataset]
    grades, groups = (np.array([getattr(films[row], name) for row in rows]) for name in ("grade", "leakage_group"))
    scores = {
        name: shortcuts.shortcut_scores([findings.probes[row][number] for row in rows], grades, groups)
        for number, name in enumerate(shortcuts.PROBES)
    }
    return {name: score for name, score in scores.items() if score}
