"""Validation films are graded under changes that leave a reader able to grade them: borders, cuts, exposure, loss.

    python -m benchmarks.robustness --audit runs/audit --out docs/evidence/robustness
    python -m benchmarks.robustness --audit runs/audit --bundle ./runs/bundle --films 200 --out runs/robustness
    python -m benchmarks.robustness --audit runs/audit --collection oai --kind framing --films 150 --out runs/framing

For each collection of the audit: quadratic kappa, accuracy, AUC for KL 2 or more, the proportion of films with the same
grade, the mean shift of severity, coverage of the 90% set and the proportion refused, each with a 95% interval. Writes
robustness.json and robustness.png, which `tuning export --robustness` puts into a bundle.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from kneeoa_hub import from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence import ChangeEvidence, RobustnessEvidence
from kneeoa_hub.evidence.finding import Grader
from kneeoa_hub.evidence.robustness import AS_IT_IS
from tuning.data.datasets import bright_bone
from tuning.data.sources import FilmReader
from tuning.data.table import AuditedFilm, read_films
from tuning.data.variation import gray_bytes
from tuning.evaluation.film_changes import CHANGES
from tuning.evaluation.plots import plot_robustness
from tuning.evaluation.robustness import TrueFilm, robustness
from tuning.run import steps

COLUMNS = ("qwk", "accuracy", "auc_oa", "same", "bias", "coverage", "refused")


def films_of(audit: Path, dataset: str, most: int, seed: int = 0) -> list[TrueFilm]:
    """Return validation films of one collection that show one knee, drawn at random.

    Args:
        audit: Output folder of the audit.
        dataset: Name of the collection.
        most: Most films; 0 takes all.
        seed: Seed of the draw.
    """
    films = [film for film in read_films(audit) if film.dataset == dataset and film.usable and film.alone]
    rows = [film for film in films if film.split == "val"]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[: most or len(rows)])
    with FilmReader() as reader:
        return [_read(reader, rows[index]) for index in chosen]


def _read(reader: FilmReader, film: AuditedFilm) -> TrueFilm:
    return TrueFilm(gray_bytes(bright_bone(reader, film)), film.grade, film.leakage_group)


def worst(rows: Sequence[ChangeEvidence]) -> dict[str, tuple[str, float]]:
    """Return the change that does most harm, by figure, and how much."""
    changed = rows[1:]
    losses = {
        "loss of QWK": {row.change: row.qwk_loss.value for row in changed if row.qwk_loss},
        "other grade": {row.change: 1 - row.same.value for row in changed},
        "shift of severity": {row.change: abs(row.bias.value) for row in changed},
        "refused": {row.change: row.refused.value for row in changed},
        "coverage lacking": {row.change: 1 - row.coverage.value for row in changed},
    }
    return {name: max(values.items(), key=lambda item: item[1]) for name, values in losses.items()}


def table(rows: Sequence[ChangeEvidence]) -> str:
    """Return the rows as Markdown."""
    headings = ("films", "QWK", "accuracy", "AUC, KL >= 2", "same grade", "shift", "coverage", "refused")
    lines = []
    for row in rows:
        estimates = [getattr(row, name) for name in COLUMNS]
        lines.append((row.change, *(f"{one.value:.3f}" if one else "-" for one in estimates)))
    return markdown_table(headings, lines)


def main() -> None:
    """Measure, print the table of each collection, and write robustness.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True, help="output of `python -m tuning audit`")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--films", type=int, default=0, help="of each collection at most; 0 is all of them")
    parser.add_argument("--collection", action="append", help="of the audit; all of them by default, may be repeated")
    parser.add_argument(
        "--kind", action="append", choices=sorted({change.kind for change in CHANGES}), help="of change"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for robustness.json and robustness.png")
    arguments = parser.parse_args()
    grader = from_pretrained(arguments.bundle)
    collections = arguments.collection or sorted({film.dataset for film in read_films(arguments.audit)})
    changes = [change for change in CHANGES if not arguments.kind or change.kind in arguments.kind]
    measured = {}
    for name in collections:
        films = films_of(arguments.audit, name, arguments.films)
        rows = tuple(robustness(grader, films, changes, progress=partial(print, f"   {name}:", flush=True)))
        measured[name] = rows
        print(f"\n{name}, {len(films)} films\n\n{table(rows)}\n")
        for figure, (change, value) in worst(rows).items():
            print(f"worst {figure}: {value:.3f} ({change})")
        same = float(np.mean([row.same.value for row in rows if row.change != AS_IT_IS]))
        print(f"same grade, mean of all changes: {same:.3f}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    evidence = RobustnessEvidence(
        grader=Grader(name=grader.model, revision=grader.revision), films=arguments.films, collections=measured
    )
    steps.write_json(arguments.out / "robustness.json", evidence)
    plot_robustness(evidence, arguments.out / "robustness.png")


if __name__ == "__main__":
    main()
