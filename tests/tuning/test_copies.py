"""Older weights are measured with and without the knees that a newer audit finds in a film of their training."""

from dataclasses import replace

import numpy as np
import pytest

from kneeoa_hub.errors import DataError
from tuning.data.datasets import Knees
from tuning.data.table import AuditedFilm
from tuning.evaluation.seen import mark_seen


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
VALIDATION, TEST = (knees(*(film for film in TRAINED.values() if film.split == split)) for split in ("val", "test"))
ALL = list(TRAINED.values())


def test_a_knee_that_training_saw_in_another_film_is_marked():
    validation, seen = mark_seen(VALIDATION, ALL, NEWER)
    assert seen.tolist() == [True, False, False]
    assert validation.groups.tolist() == ["1", "2", "3"]  # by which the bootstrap draws
    assert validation.pixels is VALIDATION.pixels
    test, seen = mark_seen(TEST, ALL, NEWER)
    assert seen.tolist() == [True, False]
    assert test.groups.tolist() == ["1", "3"]


def test_a_film_of_the_same_name_in_another_dataset_is_another():
    elsewhere = [
        film("other", "train", leakage_group="1", dataset="gornale"),
        film("copy", "train", leakage_group="9", dataset="gornale"),
    ]
    validation, seen = mark_seen(VALIDATION, [*ALL, *elsewhere], [*elsewhere, *NEWER])
    assert validation.groups.tolist() == ["1", "2", "3"]
    assert seen.tolist() == [True, False, False]


def test_an_audit_that_knew_no_leakage_groups_marks_the_films_of_its_groups_alone():
    older = [replace(film, leakage_group=film.group) for film in ALL]
    assert mark_seen(VALIDATION, ALL, older)[1].tolist() == [False, False, False]
    assert ALL[0].leakage_group == ALL[0].group


def test_an_audit_of_other_films_is_refused():
    with pytest.raises(DataError, match=r"lacks copy\.png and 1 other films"):
        mark_seen(VALIDATION, ALL, [film for film in NEWER if "copy.png" not in film.file])
