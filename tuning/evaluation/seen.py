"""A newer audit that finds more copies knows knees that networks were trained on in another film."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kneeoa_hub.errors import DataError

from ..data.datasets import Knees
from ..data.table import AuditedFilm


def mark_seen(knees: Knees, trained: Sequence[AuditedFilm], newer: Sequence[AuditedFilm]) -> tuple[Knees, np.ndarray]:
    """Return the knees with the leakage groups of a newer audit, and [N] bool: whether a training film shows the knee.

    Args:
        knees: N held-out knees.
        trained: All films of the audit that the networks were trained on.
        newer: All films of the newer audit.

    Raises:
        DataError: The newer audit has other films.
    """
    groups = leakage_groups(trained, newer)
    shown = {groups[film.dataset, film.file] for film in trained if film.trains}
    films = tuple(replace(film, leakage_group=groups[film.dataset, film.file]) for film in knees.films)
    return replace(knees, films=films), np.array([film.leakage_group in shown for film in films], bool)


def leakage_groups(trained: Sequence[AuditedFilm], newer: Sequence[AuditedFilm]) -> dict[tuple[str, str], str]:
    """Return the newer audit's leakage groups by dataset and file. Raises DataError when it lacks a film."""
    groups = {(film.dataset, film.file): film.leakage_group for film in newer}
    if lacking := [film.file for film in trained if (film.dataset, film.file) not in groups]:
        raise DataError(
            f"The audit of --copies lacks {lacking[0]} and {len(lacking) - 1} other films that these networks were"
            " trained or are measured on; audit the same films again."
        )
    return groups
