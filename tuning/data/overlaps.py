"""The audit looks for knees that are in two places of the data: in the folders of two readers, or in two splits."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath

import numpy as np

from kneeoa_hub.agreement import qwk
from kneeoa_hub.evidence import Overlap

from .table import AuditedFilm


def folder_of(film: AuditedFilm) -> str:
    """Return the folder above the folder of a film's grade: "films.zip/train", "MedicalExpert-I"."""
    above = PurePosixPath(film.file).parts[:-2]
    return "/".join((Path(film.source).name, *above))


def overlaps(films: Sequence[AuditedFilm], places: Sequence[str]) -> list[Overlap]:
    """Return every two places that share a knee; two folders with the films of two readers are one set, not two.

    places: where each film lies, or "" for a film that does not count.
    """
    by_place: dict[str, list[AuditedFilm]] = defaultdict(list)
    for film, place in zip(films, places, strict=True):
        if place:
            by_place[place].append(film)
    found = []
    for first, second in combinations(sorted(by_place), 2):
        overlap = _overlap(first, by_place[first], second, by_place[second])
        if overlap.same_group:
            found.append(overlap)
    return found


def _overlap(first: str, films: list[AuditedFilm], second: str, others: list[AuditedFilm]) -> Overlap:
    grades = {film.pixel_sha256: film.grade for film in others}
    leakage_groups = {film.leakage_group for film in others}
    pairs = [(film.grade, grades[film.pixel_sha256]) for film in films if film.pixel_sha256 in grades]
    return Overlap(
        first=first,
        second=second,
        films=len(films),
        same_pixels=len(pairs),
        same_group=sum(film.leakage_group in leakage_groups for film in films),
        equal_grades=sum(a == b for a, b in pairs) / len(pairs) if pairs else None,
        qwk=qwk(*np.array(pairs).T) if len({grade for pair in pairs for grade in pair}) > 1 else None,
    )
