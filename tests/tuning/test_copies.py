"""Older weights are measured with the knees told apart that a newer audit knows in a film of their training."""

from dataclasses import replace

import numpy as np
import pytest

from kneeoa_hub.errors import DataError
from tuning.data.datasets import Knees
from tuning.data.table import AuditedFilm
from tuning.evaluate import told_apart


def film(name: str, split: str, leakage_group: str = "", use: str = "yes", dataset: str = "oai") -> AuditedFilm:
    return AuditedFilm(
        dataset, "", f"{name}.png", 2, f"group of {name}", "", split, "", "", 8, 8, 1, 0, use, leakage_group
    )


def knees(*films: AuditedFilm) -> Knees:
    return Knees(np.zeros((len(films), 8, 8), np.uint8), np.tile([0, 0, 8, 8], (len(films), 1)), films)


TRAINED = {
    name: film(name, split, use=use)
    for name, split, use in (
        ("taught", "train", "yes"),
        ("left out", "train", "several knees under one grade"),
        ("copy", "val", "yes"),
        ("of one left out", "val", "yes"),
        ("other", "val", "yes"),
        ("tested copy", "test", "yes"),
        ("copy of a validation film", "test", "yes"),
    )
}
LEAKAGE_GROUP = {
    "taught": "1",
    "copy": "1",
    "tested copy": "1",
    "left out": "2",
    "of one left out": "2",
    "other": "3",
    "copy of a validation film": "3",
}
NEWER = [replace(film, leakage_group=LEAKAGE_GROUP[name]) for name, film in TRAINED.items()]
SETS = {split: knees(*(film for film in TRAINED.values() if film.split == split)) for split in ("val", "test")}


def test_a_knee_that_training_saw_in_another_film_is_told():
    joined, seen = told_apart(SETS, list(TRAINED.values()), NEWER)
    assert {split: mask.tolist() for split, mask in seen.items()} == {
        "val": [True, False, False],
        "test": [True, False],
    }
    assert joined["val"].groups.tolist() == ["1", "2", "3"]  # by which the bootstrap draws
    assert joined["test"].groups.tolist() == ["1", "3"]
    assert joined["val"].pixels is SETS["val"].pixels


def test_a_film_of_the_same_name_in_another_dataset_is_another():
    elsewhere = [
        film("other", "train", leakage_group="1", dataset="gornale"),
        film("copy", "train", leakage_group="9", dataset="gornale"),
    ]
    joined, seen = told_apart(SETS, [*TRAINED.values(), *elsewhere], [*elsewhere, *NEWER])
    assert joined["val"].groups.tolist() == ["1", "2", "3"]
    assert seen["val"].tolist() == [True, False, False]


def test_an_audit_of_other_films_tells_nothing():
    with pytest.raises(DataError, match=r"has no copy\.png and 1 others"):
        told_apart(SETS, list(TRAINED.values()), [film for film in NEWER if "copy.png" not in film.file])
