"""Films that belong together form groups: patients, clusters of copies, and leakage groups."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .duplicates import Pair
from .table import AuditedFilm

SAME = ("group", "sha256", "pixel_sha256")
"""One equal value of these fields joins two films: a patient, a copied file, or copied pixels."""


def grouped(films: Sequence[AuditedFilm], copies: Iterable[Pair], shifted: Iterable[Pair]) -> list[AuditedFilm]:
    """Return the films with their `group` and `leakage_group`.

    Args:
        films: The films, with the patient as `group`, or "" for an unknown patient.
        copies: Near-duplicates; they join a group, as copies by bytes or by pixels and films of one patient do.
        shifted: Films that show one knee, shifted; they join a leakage group, as everything above does.
    """
    links = [(pair.first, pair.second) for pair in copies]
    for field in SAME:
        first: dict[str, int] = {}
        for row, film in enumerate(films):
            if value := getattr(film, field):
                links.append((first.setdefault(value, row), row))
    groups = _names(films, links)
    leakage_groups = _names(films, links + [(pair.first, pair.second) for pair in shifted])
    return [
        replace(film, group=group, leakage_group=leakage_group)
        for film, group, leakage_group in zip(films, groups, leakage_groups, strict=True)
    ]


def components(count: int, links: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return [count] int: the smallest row that each row is linked to, directly or through others."""
    first, second = np.array(links, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, smallest = np.unique(labels, return_index=True)
    return smallest[labels]


def _names(films: Sequence[AuditedFilm], links: Sequence[tuple[int, int]]) -> list[str]:
    """Return the name of each film's component: that of its first film's patient, or a number."""
    return [films[row].group or f"{films[row].dataset}:cluster-{row}" for row in components(len(films), links)]
