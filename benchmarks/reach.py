"""A trained ensemble grades at several scales, to find the best side of its frames over that of the joint's box.

    python -m benchmarks.reach --data runs/train --out runs/reach
    python -m benchmarks.reach --data runs/train --protocol oai --reach 0.9 --reach 1 --out runs/reach

A network that learnt from films at random scales grades best at another scale than their mean (Touvron et al., "Fixing
the train-test resolution discrepancy", NeurIPS 2019). For each reach the temperature is fitted, and the validation
films of the readers whom the answers follow are measured; differences of log loss from the best one are paired. No test
film is used. Writes reach.json and reach.md; give the best one to `python -m tuning evaluate --reach`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kneeoa_hub.card.text import table
from tuning.run import console, steps

from .members import Choice, choices

REACHES = 0.85, 0.9, 0.925, 0.95, 0.975, 1.0, 1.05
"""These are tried by default."""


def measured(training: Path, protocol: str, reaches: list[float]) -> list[Choice]:
    """Return what each reach measures on the validation films that the answers are calibrated on, the best first.

    Args:
        training: Output folder of a training.
        protocol: The dataset whose readers the answers follow.
        reaches: The reaches to compare.
    """
    from tuning.data.datasets import load_knees
    from tuning.evaluation.outputs import predict
    from tuning.training.members import load_ensemble

    predicted, knees = {}, None
    for reach in reaches:
        ensemble = load_ensemble(training, protocol, reach)
        knees = load_knees(ensemble.audit, "val", ensemble.config).of_datasets(ensemble.graded_like)
        predicted[f"{reach:g}"] = predict(ensemble.model, knees, f"reach {reach:g}").probabilities
    return choices(knees.grades, knees.groups, predicted, most=1) if knees else []


def report(found: Sequence[Choice]) -> str:
    """Return the rows as Markdown."""
    headings = ("reach", "log loss", "more than the best", "QWK", "accuracy")
    rows = [(one.members[0], one.log_loss, one.log_loss_difference, one.qwk, one.accuracy) for one in found]
    return table(headings, rows) + "\n"


def main() -> None:
    """Measure, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of `python -m tuning train`")
    parser.add_argument("--protocol", default="", help="the dataset whose readers the grades follow")
    parser.add_argument("--reach", type=float, action="append", help="may be repeated; seven values by default")
    parser.add_argument("--out", type=Path, required=True, help="folder for reach.json and reach.md")
    options = parser.parse_args()
    with console.quiet_start():
        found = measured(options.data, options.protocol, options.reach or list(REACHES))
    options.out.mkdir(parents=True, exist_ok=True)
    steps.write_json(options.out / "reach.json", found)
    (options.out / "reach.md").write_text(report(found), "utf-8")
    print(report(found), end="")


if __name__ == "__main__":
    main()
