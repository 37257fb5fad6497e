"""Films are split for training, validation and test; no patient, no copy and no knee is in two splits."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from .table import AuditedFilm

PROPORTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}
"""Training receives 70% of the leakage groups of each grade, and validation and test receive 15% each."""
SPLITS = tuple(PROPORTIONS)
MOST_HELD_OUT_FIRST = ("test", "val", "train")
"""A leakage group whose films were given several splits belongs to the first of these."""
OTHER_GRADE = "the same picture has another grade"
COPY = "copy of another training film"


def split(films: Sequence[AuditedFilm], seed: int) -> list[AuditedFilm]:
    """Return the films with their `split` and their `use`.

    A film keeps a split that was given. Where the films of a leakage group were given several, only those in the most
    held-out one stay in use. Training films are also left out when they are copies of another one, or when the same
    pixels have two grades; held-out films all count, as their convention says.

    scikit-learn's splitters for groups take no given splits and balance no grades over three parts of unequal size, so
    the choice is made here.

    Args:
        films: The films with their groups, and the given split or "".
        seed: Seed of the order in which leakage groups choose their split.
    """
    chosen = _split_of_groups(films, seed)
    grades = grades_by_picture(films)
    result = []
    trained: set[object] = set()
    for film in films:
        own = film.split or chosen[film.leakage_group]
        use = film.use
        if film.usable and own != chosen[film.leakage_group]:
            use = f"the same patient or knee is also in {chosen[film.leakage_group]}"
        elif film.usable and own == "train" and len(grades[film.shown]) > 1:
            use = OTHER_GRADE
        elif film.usable and own == "train" and film.shown in trained:
            use = COPY
        trained.add(film.shown)
        result.append(replace(film, split=own, use=use))
    return result


def grades_by_picture(films: Sequence[AuditedFilm]) -> dict[object, set[int]]:
    """Return the grades that each picture of a knee was given, by what it shows."""
    grades: dict[object, set[int]] = defaultdict(set)
    for film in films:
        grades[film.shown].add(film.grade)
    return grades


def _split_of_groups(films: Sequence[AuditedFilm], seed: int) -> dict[str, str]:
    """Return the split of each leakage group: the given one, or the one that most lacks its highest grade."""
    groups: dict[str, list[AuditedFilm]] = defaultdict(list)
    for film in films:
        groups[film.leakage_group].append(film)
    filled: Counter[tuple[int, str]] = Counter()
    chosen: dict[str, str] = {}
    for group in sorted(groups, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        if given := {film.split for film in groups[group] if film.split}:
            chosen[group] = min(given, key=MOST_HELD_OUT_FIRST.index)
            continue
        grade = max(film.grade for film in groups[group])
        total = 1 + sum(filled[grade, name] for name in SPLITS)
        lack = {name: part * total - filled[grade, name] for name, part in PROPORTIONS.items()}
        chosen[group] = max(lack, key=lambda name: lack[name])
        filled[grade, chosen[group]] += 1
    return chosen
