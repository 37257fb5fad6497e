"""Contact sheets, on the user's own disk, show validation films that the model graded right, wrong and unsurely."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kneeoa_hub.decision import grade_set, reported_grade
from kneeoa_hub.errors import OutputError
from kneeoa_hub.grades import NUM_GRADES

from ..data.datasets import Knees, load_knees
from ..networks.ensemble import assemble, input_of
from ..run import steps
from ..training.members import load_members
from .fitted import read_fitted
from .outputs import predict
from .plots import plot_films

COLUMNS = 5
"""A sheet shows at most five films of each reader's grade."""
SHEETS = {
    "right": "reported as read, with the highest probability",
    "wrong": "furthest from the reader's grade, then with the highest probability",
    "uncertain": "the largest prediction set, then the lowest probability",
}
"""Each sheet has a rule by which its films are chosen."""


@dataclass(frozen=True)
class GradedKnees:
    """The films of the sheets are chosen by these values of N knees.

    Attributes:
        truth: [N] int, the reader's grade.
        grade: [N] int, the reported grade.
        set_size: [N] int, number of grades in the prediction set.
        probability: [N], of the reported grade.
    """

    truth: np.ndarray
    grade: np.ndarray
    set_size: np.ndarray
    probability: np.ndarray


def gallery(evaluated: Path, folder: Path) -> Path:
    """Write right.png, wrong.png, uncertain.png and gallery.csv to `folder`, and return it.

    Args:
        evaluated: Output folder of an evaluation.
        folder: Where the sheets go; they show real films.

    Raises:
        OutputError: Nothing can be written there.
    """
    train, audit = steps.find_input(evaluated, "train"), steps.find_input(evaluated, "audit")
    fitted, settings = read_fitted(evaluated), steps.settings_of(evaluated)
    members = load_members(train, settings.get("protocol", ""))
    model = assemble(members, None, fitted.temperature, fitted.decision, fitted.maps)
    config = replace(input_of([member.architecture for member in members]), reach=settings.get("reach", 1.0))
    knees = load_knees(audit, "val", config)
    outputs = predict(model, knees, "gallery")
    grades = reported_grade(outputs.probabilities, fitted.decision)
    sets = [
        grade_set(row, int(grade), fitted.conformal) for row, grade in zip(outputs.probabilities, grades, strict=True)
    ]
    probability = outputs.probabilities[np.arange(len(grades)), grades]
    graded = GradedKnees(knees.grades, grades, np.array([len(held) for held in sets]), probability)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in choose(graded).items():
            captions = [
                f"read {graded.truth[row]}, graded {graded.grade[row]} ({graded.probability[row]:.0%})" for row in rows
            ]
            maps, title = outputs.activation_map[rows], f"{name}: {SHEETS[name]}"
            plot_films(knees.pixels[rows], maps, captions, COLUMNS, title, folder / f"{name}.png")
        _write_table(folder / "gallery.csv", knees, graded)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be written ({error.strerror}); give a --gallery with room and permission."
        ) from None
    return folder


def choose(graded: GradedKnees) -> dict[str, np.ndarray]:
    """Return the rows of each sheet, see SHEETS: COLUMNS of every reader's grade at most, the grades in order."""
    error = np.abs(graded.truth - graded.grade)
    orders = {
        "right": (error == 0, (-graded.probability,)),
        "wrong": (error > 0, (-graded.probability, -error)),
        "uncertain": (graded.set_size > 1, (graded.probability, -graded.set_size)),
    }
    sheets = {}
    for name, (mask, keys) in orders.items():
        order = np.lexsort(keys)
        of_grade = [
            [row for row in order if mask[row] and graded.truth[row] == grade][:COLUMNS] for grade in range(NUM_GRADES)
        ]
        sheets[name] = np.array([row for rows in of_grade for row in rows], int)
    return sheets


def _write_table(path: Path, knees: Knees, graded: GradedKnees) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("dataset", "file", "given", "graded", "probability", "set_size"))
        for film, truth, grade, probability, size in zip(
            knees.films, graded.truth, graded.grade, graded.probability, graded.set_size, strict=True
        ):
            writer.writerow((film.dataset, film.file, truth, grade, f"{probability:.4f}", size))
