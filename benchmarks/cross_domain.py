"""What weights trained on one hospital's films are worth on another's.

    python -m benchmarks.cross_domain --data runs/search --out runs/cross --epochs 30

Trains the search's winner on each dataset alone and on all of them, one seed each, calibrates each on its own
validation films, and measures all on the validation films of every dataset; test films are not looked at. Writes
cross-domain.json and cross-domain.md. Takes up where it was stopped.
"""

import argparse
import json
from pathlib import Path

from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

COLUMNS = {
    "qwk": "QWK",
    "accuracy": "accuracy",
    "mae": "MAE (grades)",
    "auc_oa": "AUC, KL >= 2",
    "ece": "ECE",
    "coverage": "90% set: coverage",
}


def table(rows: list[dict]) -> str:
    lines = [
        "| trained on | measured on | films | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        cells = [f"{row[n]['value']:.3f} ({row[n]['low']:.3f}-{row[n]['high']:.3f})" for n in COLUMNS]
        lines.append(f"| {row['trained_on']} | {row['measured_on']} | {row['qwk']['n']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
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
        from tuning.train import TrainSettings, train

    audit = steps.find_input(arguments.data, "audit")
    datasets = sorted({film.dataset for film in read_films(audit) if film.use == "yes"})
    rows = []
    for chosen in (*((name,) for name in datasets), ()):
        name = chosen[0] if chosen else "all"
        settings = TrainSettings(
            arguments.epochs,
            arguments.epochs,
            32,
            mixup=0.4,
            occlusion=0.5,
            datasets=chosen,
            precision=arguments.precision,
        )
        trained = train(arguments.data, arguments.out / name / "train", settings)
        evaluated = evaluate(trained, arguments.out / name / "evaluate", test=False)
        metrics = steps.read_json(evaluated / "evidence.json")["metrics"]
        rows += [
            {"trained_on": name, "measured_on": films, **{key: figures[key] for key in COLUMNS}}
            for films, figures in metrics.items()
        ]
    (arguments.out / "cross-domain.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (arguments.out / "cross-domain.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
