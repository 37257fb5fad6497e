"""The training films of a search are divided into folds, for each of which a trial of full length is trained again."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kneeoa_hub.errors import DataError

from ..data.datasets import stratified_rows, usable_rows
from ..data.table import AuditedFilm
from .settings import SearchSettings


def folds(films: Sequence[AuditedFilm], count: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each fold: every film is in one, no leakage group is in two, and the grades are alike.

    Args:
        films: The films to divide.
        count: The number of folds.
        seed: One seed always gives the same folds.

    Raises:
        DataError: There are fewer leakage groups than folds, or fewer films of each grade.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    grades, groups = np.array([film.grade for film in films], int), [film.leakage_group for film in films]
    if len(set(groups)) < count or np.bincount(grades).max() < count:
        raise DataError(
            f"--folds {count}: the {len(films)} training films, of {len(set(groups))} leakage groups, are too few; give"
            " more, or fewer folds."
        )
    divided = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a grade may have fewer films than there are folds
        return [held_out for _, held_out in divided.split(grades, grades, groups)]


def check_folds(audit: Path, settings: SearchSettings) -> None:
    """Raise DataError where the training films of a search can't be divided into its folds.

    Args:
        audit: Output folder of the audit.
        settings: The options of the search.
    """
    if settings.folds:
        films = usable_rows(audit, "train")
        chosen = stratified_rows(np.array([film.grade for film in films]), settings.films, settings.seed)
        folds([films[row] for row in chosen], settings.folds, settings.seed)
