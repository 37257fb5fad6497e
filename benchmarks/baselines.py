"""What cheap methods reach on the same films, and how much of it is a leak.

    python -m benchmarks.baselines --data runs/audit --out runs/baselines
    python -m benchmarks.baselines --data runs/audit --out runs/baselines --model org/name@v1.0

Four baselines: boosted trees that see only a file's header and size, or only a film's mean brightness (what these reach
is a shortcut, not radiology), and histograms of oriented gradients (Dalal & Triggs, CVPR 2005) with a linear model or
boosted trees. Clean: trained on the audit's training films, measured on its test films; no patient or near-duplicate is
on both sides. Leaky: all files of a dataset shuffled and cut, as IEEE 10724941 did, but within each grade. With
--model, that bundle (default: the shipped one) is set beside the clean baselines on the same films, with the difference
in kappa by paired bootstrap. Writes baselines.json and baselines.md, and answers.npz, so that another model is set
beside the same audit's baselines without fitting them again.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kneeoa_hub
from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.letterbox import letterbox
from tuning.data import shortcuts
from tuning.data.exposure import brightness
from tuning.data.sources import FilmReader
from tuning.data.table import AuditedFilm, read_films
from tuning.run import console, steps
from tuning.run.figures import balanced_accuracy, number

INPUT = InputConfig(128, 128)
LEAKY_TEST = 0.1


def features(films: list[AuditedFilm]) -> dict[str, np.ndarray]:
    """header [N,5]: width, height, bytes, mode, format; mean [N,1]: brightness, 0 to 1; hog [N,1764]."""
    header, mean, gradients = [], [], []
    with FilmReader() as reader:
        for film in steps.progress(films, "features"):
            content = reader.read(film.source, film.file)
            header.append(shortcuts.header(content))
            pixels = decode(content).pixels
            mean.append(brightness(pixels))
            fitted = letterbox(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), INPUT).pixels
            gradients.append(
                hog(fitted, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2), feature_vector=True)
            )
    return {"header": np.array(header, float), "mean": np.array(mean), "hog": np.array(gradients, np.float32)}


def linear() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))


BASELINES: dict[str, tuple[str, Callable[[], object]]] = {
    "header and size only": ("header", shortcuts.trees),
    "mean brightness only": ("mean", shortcuts.trees),
    "HOG, linear": ("hog", linear),
    "HOG, boosted trees": ("hog", shortcuts.trees),
}


def splits(films: list[AuditedFilm], dataset: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and to measure on, clean and leaky."""
    mine = np.array([film.dataset == dataset for film in films])
    used = mine & np.array([film.use == "yes" for film in films])
    split = np.array([film.split for film in films])
    grades = np.array([film.grade for film in films])
    rows = np.flatnonzero(mine)
    leaky = train_test_split(rows, test_size=LEAKY_TEST, random_state=0, stratify=grades[rows])
    return {
        "clean": (np.flatnonzero(used & (split == "train")), np.flatnonzero(used & (split == "test"))),
        "leaky": (leaky[0], leaky[1]),
    }


def answers(audit: Path, out: Path, films: list[AuditedFilm]) -> dict[str, np.ndarray]:
    """What each baseline answers for the films it is measured on, by dataset, split and name; kept in `out` for the
    same audit.
    """
    kept, fingerprint = out / "answers.npz", steps.read_json(audit / "audit.json")["fingerprint"]
    if kept.exists():
        with np.load(kept) as arrays:
            if str(arrays["fingerprint"]) == fingerprint:
                return {name: arrays[name] for name in arrays.files}
    grades, seen = np.array([film.grade for film in films]), features(films)
    answered = {"fingerprint": np.array(fingerprint)}
    for dataset in sorted({film.dataset for film in films}):
        for split, (training, test) in splits(films, dataset).items():
            for name, (kind, model) in BASELINES.items():
                answered[f"{dataset} {split} {name}"] = (
                    model().fit(seen[kind][training], grades[training]).predict(seen[kind][test])
                )
    out.mkdir(parents=True, exist_ok=True)
    np.savez(kept, **answered)
    return answered


@dataclass(frozen=True, kw_only=True)
class Row:
    """One baseline on one split of one dataset, and how far the model's kappa is above its."""

    baseline: str
    dataset: str
    split: str
    qwk: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    model_above: Estimate | None = None


def measured(truth: np.ndarray, grade: np.ndarray, groups: np.ndarray) -> dict[str, Estimate]:
    figures = {"qwk": qwk, "accuracy": lambda t, g: float((t == g).mean()), "balanced_accuracy": balanced_accuracy}
    drawn = resamples(groups)
    return {
        name: number(
            figure(truth, grade),
            *np.percentile([figure(truth[rows], grade[rows]) for rows in drawn], (2.5, 97.5)),
            n=len(truth),
        )
        for name, figure in figures.items()
    }


def graded(films: list[AuditedFilm], address: str | None) -> np.ndarray:
    """[N] grades by a bundle; every film is taken as one knee, refused or not."""
    grader = kneeoa_hub.from_pretrained(address)
    grades = []
    with FilmReader() as reader:
        for film in steps.progress(films, "graded by the model"):
            whole = [(0, 0, film.width, film.height)]
            grades.append(
                grader.grade(decode(reader.read(film.source, film.file)).pixels, boxes=whole, force=True).knees[0].grade
            )
    return np.array(grades)


def above(truth: np.ndarray, model: np.ndarray, baseline: np.ndarray, groups: np.ndarray) -> Estimate:
    """Kappa of the model less that of the baseline."""
    drawn = [qwk(truth[rows], model[rows]) - qwk(truth[rows], baseline[rows]) for rows in resamples(groups)]
    return number(qwk(truth, model) - qwk(truth, baseline), *np.percentile(drawn, (2.5, 97.5)), n=len(truth))


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| baseline | dataset | split | films | QWK | accuracy | balanced accuracy | the model's QWK above it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        estimates = (row.qwk, row.accuracy, row.balanced_accuracy, row.model_above)
        cells = [f"{one:.3f}" if one else "" for one in estimates]
        lines.append(f"| {row.baseline} | {row.dataset} | {row.split} | {row.qwk.n} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--model", nargs="?", const="", metavar="ADDRESS", help="a bundle to set beside the clean baselines"
    )
    arguments = parser.parse_args()
    console.prepare()
    films = [film for film in read_films(arguments.data) if film.width]
    grades, groups = np.array([film.grade for film in films]), np.array([film.together for film in films])
    baselines = answers(arguments.data, arguments.out, films)
    rows = []
    for dataset in sorted({film.dataset for film in films}):
        for split, (_, test) in splits(films, dataset).items():
            model_grades = None
            if split == "clean" and arguments.model is not None:
                model_grades = graded([films[row] for row in test], arguments.model or None)
                rows.append(
                    Row(
                        baseline="the model",
                        dataset=dataset,
                        split=split,
                        **measured(grades[test], model_grades, groups[test]),
                    )
                )
            for name in BASELINES:
                answered = baselines[f"{dataset} {split} {name}"]
                figures = measured(grades[test], answered, groups[test])
                if model_grades is not None:
                    figures["model_above"] = above(grades[test], model_grades, answered, groups[test])
                rows.append(Row(baseline=name, dataset=dataset, split=split, **figures))
    (arguments.out / "baselines.json").write_text(steps.as_json(rows), "utf-8")
    (arguments.out / "baselines.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
