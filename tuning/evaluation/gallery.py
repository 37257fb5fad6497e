"""Films that the model got right, wrong, and was unsure of, chosen by rule, as contact sheets on the user's own
disk.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import Decision
from kneeoa_hub.decision import grade_set, reported_grade
from kneeoa_hub.errors import OutputError
from kneeoa_hub.grades import NUM_GRADES

from ..data.datasets import Knees, load_knees
from ..networks.ensemble import assemble, input_of
from ..run import steps
from ..training.members import load_members
from .plots import plot_films
from .subgroups import predict

COLUMNS = 5
"""Films of each given grade on a sheet."""
RULES = {
    "right": "graded as given, with the highest probability",
    "wrong": "furthest from the given grade, then with the highest probability",
    "uncertain": "the largest grade set, then the lowest probability",
}


@dataclass(frozen=True)
class Graded:
    """truth, grade, set_size: [N] int. probability: [N] of the reported grade."""

    truth: np.ndarray
    grade: np.ndarray
    set_size: np.ndarray
    probability: np.ndarray


def gallery(evaluated: Path, folder: Path) -> Path:
    """Write right.png, wrong.png, uncertain.png and gallery.csv to `folder`, from the validation films; returns it."""
    train, audit = steps.find_input(evaluated, "train"), steps.find_input(evaluated, "audit")
    fitted = steps.read_json(evaluated / "calibration.json")
    members = load_members(train)
    decision = Decision(fitted["decision"]["rule"], tuple(fitted["decision"]["thresholds"]))
    model = assemble(members, None, fitted["temperature"], decision, np.array(fitted["usual_maps"], np.float32))
    knees = load_knees(audit, "val", input_of([member.architecture for member in members]))
    predicted = predict(model, knees, "gallery")
    grades = reported_grade(predicted["probabilities"], decision)
    threshold = fitted["conformal"]["threshold"]
    sizes = np.array(
        [
            len(grade_set(row, int(grade), threshold))
            for row, grade in zip(predicted["probabilities"], grades, strict=True)
        ]
    )
    graded = Graded(knees.grades, grades, sizes, predicted["probabilities"][np.arange(len(grades)), grades])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in chosen(graded).items():
            captions = [
                f"given {graded.truth[row]}, graded {graded.grade[row]} ({graded.probability[row]:.0%})" for row in rows
            ]
            plot_films(
                knees.pixels[rows],
                predicted["activation_map"][rows],
                captions,
                COLUMNS,
                f"{name}: {RULES[name]}",
                folder / f"{name}.png",
            )
        _write_table(folder / "gallery.csv", knees, graded)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be written ({error.strerror}); give a --gallery with room and permission."
        ) from None
    return folder


def chosen(graded: Graded) -> dict[str, np.ndarray]:
    """Rows of each sheet, by RULES: at most COLUMNS of every given grade, the grades in order."""
    off = np.abs(graded.truth - graded.grade)
    orders = {
        "right": (off == 0, (-graded.probability,)),
        "wrong": (off > 0, (-graded.probability, -off)),
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


def _write_table(path: Path, knees: Knees, graded: Graded) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("dataset", "file", "given", "graded", "probability", "set_size"))
        for film, truth, grade, probability, size in zip(
            knees.films, graded.truth, graded.grade, graded.probability, graded.set_size, strict=True
        ):
            writer.writerow((film.dataset, film.file, truth, grade, f"{probability:.4f}", size))
