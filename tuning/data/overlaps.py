"""The same pictures in several places of the data: folders of two readers, or two splits."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from kneeoa_hub.agreement import qwk
from kneeoa_hub.evidence import Overlap


class Placed(Protocol):
    """What is asked of a film: a `table.AuditedFilm`, or the like."""

    @property
    def source(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def grade(self) -> int: ...
    @property
    def leakage_group(self) -> str: ...
    @property
    def pixel_sha256(self) -> str: ...


def folder_of(film: Placed) -> str:
    """The folder above a grade's folder, below the name of what was given: "films.zip/train", "MedicalExpert-I"."""
    above = PurePosixPath(film.file).parts[:-2]
    return "/".join((Path(film.source).name, *above))


def overlaps(films: Sequence[Placed], places: Sequence[str]) -> list[Overlap]:
    """For each two places that share a picture: how many films of the first have their very pixels, and how many a
    copy, the same knee or another film of the same patient, in the second; over the same pixels, the share with equal
    grades, and the readers' quadratic kappa.

    places: where each film lies. Two folders that hold the same films under other readers' grades are one set, not two.
    """
    by_place: dict[str, list[Placed]] = defaultdict(list)
    for film, place in zip(films, places, strict=True):
        if place:
            by_place[place].append(film)
    found = []
    for first, second in combinations(sorted(by_place), 2):
        other = {film.pixel_sha256: film.grade for film in by_place[second]}
        leakage_groups = {film.leakage_group for film in by_place[second]}
        pairs = [(film.grade, other[film.pixel_sha256]) for film in by_place[first] if film.pixel_sha256 in other]
        related = sum(film.leakage_group in leakage_groups for film in by_place[first])
        if not related:
            continue
        found.append(
            Overlap(
                first=first,
                second=second,
                films=len(by_place[first]),
                same_pixels=len(pairs),
                same_group=related,
                equal_grades=sum(a == b for a, b in pairs) / len(pairs) if pairs else None,
                qwk=qwk(*np.array(pairs).T) if len({grade for pair in pairs for grade in pair}) > 1 else None,
            )
        )
    return found
