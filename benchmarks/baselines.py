"""Simple methods grade the same films, which shows what they reach and how much of it is a leak of the data.

    python -m benchmarks.baselines --data runs/audit --out runs/baselines
    python -m benchmarks.baselines --data runs/audit --out runs/baselines --model org/name@v1.0

Four baselines: boosted trees on a file's header and size, or on a film's mean brightness (what these reach is a
shortcut, not radiology), and histograms of oriented gradients (Dalal & Triggs, CVPR 2005) with a linear model or
boosted trees. Clean: trained on the audit's training films, measured on its test films; no patient and no
near-duplicate is in both. Leaky: all files of a dataset shuffled and divided, as IEEE 10724941 did, but within each
grade. With --model, a bundle (default: the shipped one) is compared with the clean baselines on the same films, with
the difference in kappa by paired bootstrap. Writes baselines.json, baselines.md, and answers.npz, from which another
model is compared with the baselines of the same audit without fitting them again.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.feature import hog
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import kneeoa_hub
from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.letterbox import letterbox
from tuning.data import shortcuts
from tuning.data.exposure import brightness
from tuning.data.sources import FilmReader
from tuning.data.summary import read_summary
from tuning.data.table import AuditedFilm, read_films
from tuning.run import console, steps
from tuning.run.estimates import balanced_accuracy, bootstrapped

INPUT = InputConfig(128, 128)
"""Films for histograms of gradients have this size."""
LEAKY_TEST = 0.1
"""The leaky split measures on this proportion of the films."""
FITTED = "answers.npz"
"""This file holds the grades that the fitted baselines give."""


def features(films: list[AuditedFilm]) -> dict[str, np.ndarray]:
    """Return "header" [N,5], see `shortcuts.header`, "mean" [N,1], the brightness, and "hog" [N,1764]."""
    header, mean, gradients = [], [], []
    with FilmReader() as reader:
        for film in steps.progress(films, "features"):
            content = reader.read(film.source, film.file)
            header.append(shortcuts.header(content))
            pixels = decode(content).pixels
            mean.append((brightness(pixels),))
            fitted = letterbox(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), INPUT).pixels
            gradients.append(
                hog(fitted, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2), feature_vector=True)
            )
    return {"header": np.array(header, float), "mean": np.array(mean), "hog": np.array(gradients, np.float32)}


def linear() -> Pipeline:
    """Return an untrained linear model."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))


BASELINES: dict[str, tuple[str, Callable[[], Pipeline | HistGradientBoostingClassifier]]] = {
    "header and size only": ("header", shortcuts.trees),
    "mean brightness only": ("mean", shortcuts.trees),
    "HOG, linear": ("hog", linear),
    "HOG, boosted trees": ("hog", shortcuts.trees),
}
"""Each baseline has a name, its features, and the function that makes its untrained model."""


def splits(films: list[AuditedFilm], dataset: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the rows of a dataset to train on and to measure on, by "clean" and "leaky"."""
    mine = np.array([film.dataset == dataset for film in films])
    used = mine & np.array([film.usable for film in films])
    split = np.array([film.split for film in films])
    grades = np.array([film.grade for film in films])
    rows = np.flatnonzero(mine)
    leaky = train_test_split(rows, test_size=LEAKY_TEST, random_state=0, stratify=grades[rows])
    return {
        "clean": (np.flatnonzero(used & (split == "train")), np.flatnonzero(used & (split == "test"))),
        "leaky": (np.asarray(leaky[0]), np.asarray(leaky[1])),
    }


def baseline_grades(audit: Path, out: Path, films: list[AuditedFilm]) -> dict[str, np.ndarray]:
    """Return the grades of each baseline for the films it is measured on, by "DATASET SPLIT NAME".

    They are kept in `out`, for the audit with the same fingerprint.

    Args:
        audit: Output folder of the audit.
        out: The folder that keeps the grades.
        films: All films of the audit.
    """
    kept, fingerprint = out / FITTED, read_summary(audit).fingerprint
    if kept.exists():
        with np.load(kept) as arrays:
            if str(arrays["fingerprint"]) == fingerprint:
                return {name: arrays[name] for name in arrays.files}
    grades, seen = np.array([film.grade for film in films]), features(films)
    found = {"fingerprint": np.array(fingerprint)}
    for dataset in sorted({film.dataset for film in films}):
        for split, (training, test) in splits(films, dataset).items():
            for name, (kind, model) in BASELINES.items():
                fitted = model().fit(seen[kind][training], grades[training])
                found[f"{dataset} {split} {name}"] = fitted.predict(seen[kind][test])
    out.mkdir(parents=True, exist_ok=True)
    np.savez(kept, allow_pickle=False, **found)
    return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row describes one baseline on one split of one dataset.

    Attributes:
        baseline: Its name.
        dataset: The dataset.
        split: "clean" or "leaky".
        qwk: Quadratic weighted kappa.
        accuracy: Proportion of right grades.
        balanced_accuracy: Mean recall of the grades that occur.
        model_above: Kappa of the model minus that of the baseline; None where it was not measured.
    """

    baseline: str
    dataset: str
    split: str
    qwk: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    model_above: Estimate | None = None


def measure(truth: np.ndarray, grade: np.ndarray, groups: np.ndarray) -> dict[str, Estimate]:
    """Return the measures of a `Row`, with intervals by bootstrap over leakage groups.

    Args:
        truth: [N] readers' grades.
        grade: [N] grades of a baseline or of the model.
        groups: [N] leakage groups.
    """
    measures = {"qwk": qwk, "accuracy": lambda a, b: float((a == b).mean()), "balanced_accuracy": balanced_accuracy}
    samples = resamples(groups)
    return {
        name: bootstrapped(lambda rows, score=score: score(truth[rows], grade[rows]), samples, len(truth))
        for name, score in measures.items()
    }


def model_grades(films: Sequence[AuditedFilm], address: str | None) -> np.ndarray:
    """Return [N] grades by a bundle; every film is taken as one knee, refused or not."""
    grader = kneeoa_hub.from_pretrained(address)
    grades = []
    with FilmReader() as reader:
        for film in steps.progress(films, "graded by the model"):
            pixels = decode(reader.read(film.source, film.file)).pixels
            (knee,) = grader.grade(pixels, boxes=[(0, 0, film.width, film.height)], force=True).knees
            grades.append(knee.grade)
    return np.array(grades)


def above(truth: np.ndarray, model: np.ndarray, baseline: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return the kappa of the model minus that of the baseline.

    Args:
        truth: [N] readers' grades.
        model: [N] grades of the model.
        baseline: [N] grades of the baseline.
        groups: [N] leakage groups.
    """
    return bootstrapped(
        lambda rows: qwk(truth[rows], model[rows]) - qwk(truth[rows], baseline[rows]), resamples(groups), len(truth)
    )


def compare(films: list[AuditedFilm], baselines: dict[str, np.ndarray], address: str | None) -> list[Row]:
    """Return a row for every baseline on every split, and for the model on every clean split.

    Args:
        films: All films of the audit.
        baselines: See `baseline_grades`.
        address: Address of the model, "" for the shipped one; None compares no model.
    """
    grades, groups = np.array([film.grade for film in films]), np.array([film.leakage_group for film in films])
    rows = []
    for dataset in sorted({film.dataset for film in films}):
        for split, (_, test) in splits(films, dataset).items():
            truth, together, by_model = grades[test], groups[test], None
            if split == "clean" and address is not None:
                by_model = model_grades([films[row] for row in test], address or None)
                rows.append(
                    Row(baseline="the model", dataset=dataset, split=split, **measure(truth, by_model, together))
                )
            for name in BASELINES:
                found = baselines[f"{dataset} {split} {name}"]
                difference = None if by_model is None else above(truth, by_model, found, together)
                measures = measure(truth, found, together)
                rows.append(Row(baseline=name, dataset=dataset, split=split, **measures, model_above=difference))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    headings = ("baseline", "dataset", "split", "films", "QWK", "accuracy", "balanced accuracy")
    lines = []
    for row in rows:
        estimates = (row.qwk, row.accuracy, row.balanced_accuracy, row.model_above or "")
        lines.append((row.baseline, row.dataset, row.split, row.qwk.n, *estimates))
    return markdown_table((*headings, "the model's QWK above it"), lines) + "\n"


def main() -> None:
    """Fit the baselines, measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--model",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="a bundle to compare with the clean baselines (default: the shipped one)",
    )
    arguments = parser.parse_args()
    console.prepare()
    films = [film for film in read_films(arguments.data) if film.width]
    rows = compare(films, baseline_grades(arguments.data, arguments.out, films), arguments.model)
    (arguments.out / "baselines.json").write_text(steps.as_json(rows), "utf-8")
    (arguments.out / "baselines.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
