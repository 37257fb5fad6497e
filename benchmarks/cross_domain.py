"""Weights are trained on one hospital's films and measured on another's.

    python -m benchmarks.cross_domain --data runs/search --out runs/cross --epochs 30

Trains the search's winner on each dataset alone and on all of them, with one seed each, calibrates each network on its
own validation films, and measures it on the validation films of every dataset; no test film is used. Writes
cross-domain.json and cross-domain.md. A run that was stopped goes on.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence import CrossDomainRow, Estimate, read_evidence
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

COLUMNS = ("QWK", "accuracy", "MAE (grades)", "AUC, KL >= 2", "ECE", "90% set: coverage")


@dataclass(frozen=True, kw_only=True)
class Row(CrossDomainRow):
    """A row is one of a bundle's evidence, with the calibration error."""

    ece: Estimate


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = []
    for row in rows:
        estimates = (row.qwk, row.accuracy, row.mae, row.auc_oa, row.ece, row.coverage)
        lines.append((row.trained_on, row.measured_on, row.qwk.n, *estimates))
    return markdown_table(("trained on", "measured on", "films", *COLUMNS), lines) + "\n"


def main() -> None:
    """Train on each dataset, measure on all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning search")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    arguments = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        from tuning.data.table import read_films
        from tuning.evaluate import evaluate
        from tuning.train import train
        from tuning.training.plan import TrainSettings

    audit = steps.find_input(arguments.data, "audit")
    datasets = sorted({film.dataset for film in read_films(audit) if film.usable})
    rows = []
    for chosen in (*((name,) for name in datasets), ()):
        name = chosen[0] if chosen else "all"
        settings = TrainSettings(
            epochs=arguments.epochs,
            patience=arguments.epochs,
            batch=32,
            mixup=0.4,
            occlusion=0.5,
            datasets=chosen,
            precision=arguments.precision,
        )
        trained = train(arguments.data, arguments.out / name / "train", settings)
        evaluated = evaluate(trained, arguments.out / name / "evaluate", test=False)
        rows += [
            Row(
                trained_on=name,
                measured_on=films,
                qwk=measured.qwk,
                accuracy=measured.accuracy,
                mae=measured.mae,
                auc_oa=measured.auc_oa,
                ece=measured.ece,
                coverage=measured.coverage,
            )
            for films, measured in read_evidence(evaluated / "evidence.json").metrics.items()
            if measured.auc_oa
        ]
    (arguments.out / "cross-domain.json").write_text(steps.as_json(rows), "utf-8")
    (arguments.out / "cross-domain.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
