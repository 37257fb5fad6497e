"""Which trained networks answer best together: every choice among them, on validation films.

    python -m benchmarks.members --data runs/train --data runs/other-train --out runs/members

Each choice is averaged and its temperature fitted, and has its figures on the validation films of each dataset; the best by log loss
come first, then each network alone. No test film is looked at. Writes members.json and members.md.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from tuning import console
from tuning.memory import keep_freed_memory

SHOWN = 8
"""Choices of several networks in the table, by dataset."""
COLUMNS = ("log_loss", "qwk", "accuracy", "auc_oa")


def probabilities(trainings: list[Path]):
    """The validation knees, and of each network of the trainings, by name, its flip-averaged probabilities [N,5]."""
    from tuning import steps
    from tuning.datasets import load_knees
    from tuning.ensemble import assemble
    from tuning.train import load_members

    members = {member.name: member for training in trainings for member in load_members(training)}
    audit = steps.find_input(trainings[0], "audit")
    knees = {size: load_knees(audit, "val", size) for size in {member.architecture.input for member in members.values()}}
    answers = {
        name: np.asarray(assemble([member]).predict(knees[member.architecture.input].inputs(), batch_size=64, verbose=0)["probabilities"])
        for name, member in members.items()
    }
    return next(iter(knees.values())), answers


def rows(truth: np.ndarray, answers: dict[str, np.ndarray]) -> Iterator[dict]:
    """A row for every choice: its log loss, kappa and accuracy of the likeliest grade, and AUC for KL of 2 and more."""
    from sklearn.metrics import log_loss, roc_auc_score

    from kneeoa_hub.agreement import qwk
    from kneeoa_hub.decision import oa_probability
    from kneeoa_hub.grades import NUM_GRADES, OSTEOARTHRITIS_FROM
    from tuning.calibrate import fitted_temperature, softened

    for count in range(1, len(answers) + 1):
        for names in combinations(answers, count):
            mean = np.mean([answers[name] for name in names], axis=0)
            given = softened(mean, fitted_temperature(mean, truth))
            likeliest = given.argmax(1)
            figures = (
                log_loss(truth, given, labels=range(NUM_GRADES)),
                qwk(truth, likeliest),
                (truth == likeliest).mean(),
                roc_auc_score(truth >= OSTEOARTHRITIS_FROM, oa_probability(given)),
            )
            yield {"members": list(names), **{name: float(value) for name, value in zip(COLUMNS, figures, strict=True)}}


def table(found: dict[str, list[dict]]) -> str:
    lines = []
    for name, choices in found.items():
        several = [row for row in choices if len(row["members"]) > 1][:SHOWN]
        lines += [f"| {name} | log loss | QWK | accuracy | AUC, KL >= 2 |", "|---|---|---|---|---|"]
        lines += [f"| {', '.join(row['members'])} | {' | '.join(f'{row[key]:.3f}' for key in COLUMNS)} |" for row in several]
        lines += [f"| {row['members'][0]} alone | {' | '.join(f'{row[key]:.3f}' for key in COLUMNS)} |" for row in choices if len(row["members"]) == 1]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="output of python -m tuning train; may be given several times")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        knees, answers = probabilities(given.data)
    found = {}
    for dataset in sorted(set(knees.datasets)):
        mine = knees.datasets == dataset
        choices = rows(knees.grades[mine], {name: values[mine] for name, values in answers.items()})
        found[f"{dataset}_val"] = sorted(choices, key=lambda row: row["log_loss"])
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "members.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (given.out / "members.md").write_text(table(found), "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
