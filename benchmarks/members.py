"""Which trained networks answer best together: every choice among them, on validation films.

    python -m benchmarks.members --data runs/train --data runs/other-train --out runs/members

Each choice is averaged and its temperature fitted, and has its figures on the validation films of each dataset, with
95% intervals by bootstrap over patients or clusters; the best by log loss come first, then each network alone. How far
a choice is from the first is paired. No test film is looked at. Writes members.json and members.md.
"""

import argparse
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from kneeoa_hub.agreement import INTERVAL
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import Estimate
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

SHOWN = 8
"""Choices of several networks in the table, by dataset."""
COLUMNS = ("qwk", "accuracy", "auc_oa")


def probabilities(trainings: list[Path]):
    """The validation knees, and of each network of the trainings, by name, its flip-averaged probabilities [N,5].

    Raises DataError for networks of one name, and for one that has seen a validation film's knee.
    """
    from tuning.data.datasets import load_knees
    from tuning.networks.ensemble import assemble
    from tuning.training.checkpoint import weights_of
    from tuning.training.members import joining, load_members

    audit = steps.find_input(trainings[0], "audit")
    members = {}
    for training in trainings:
        for member in load_members(training):
            # raises where these validation films are not new to it
            joining(str(weights_of(training, member.name)), audit)
            if member.name in members:
                raise DataError(
                    f"{training} has another member of the name {member.name}; give trainings whose members have names"
                    " of their own."
                )
            members[member.name] = member
    knees = {
        size: load_knees(audit, "val", size) for size in {member.architecture.input for member in members.values()}
    }
    answers = {
        name: np.asarray(
            assemble([member]).predict(knees[member.architecture.input].inputs(), batch_size=64, verbose=0)[
                "probabilities"
            ]
        )
        for name, member in members.items()
    }
    return next(iter(knees.values())), answers


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the networks of one choice measure together. log_loss_difference: from the first choice."""

    members: tuple[str, ...]
    qwk: Estimate
    accuracy: Estimate
    auc_oa: Estimate | None = None
    log_loss: Estimate
    log_loss_difference: Estimate


def rows(truth: np.ndarray, groups: np.ndarray, answers: dict[str, np.ndarray]) -> list[Choice]:
    """A row for every choice, the best by log loss first: its figures, of the likeliest grade, and how far its log loss
    is from the first row's.
    """
    from kneeoa_hub.agreement import resamples
    from tuning.evaluation.calibration import apply_temperature, fitted_temperature
    from tuning.evaluation.metrics import Predictions, measure
    from tuning.run.figures import number

    drawn = np.stack([np.bincount(sample, minlength=len(truth)) / len(sample) for sample in resamples(groups)])
    choices = []
    for names in (names for count in range(1, len(answers) + 1) for names in combinations(answers, count)):
        mean = np.mean([answers[name] for name in names], axis=0)
        given = apply_temperature(mean, fitted_temperature(mean, truth))
        likeliest = given.argmax(1)
        figures = measure(
            Predictions(truth, likeliest, given, likeliest == truth, np.ones_like(truth), groups), names=COLUMNS
        )
        choices.append((names, figures, -np.log(np.maximum(given[np.arange(len(truth)), truth], 1e-7))))
    choices.sort(key=lambda choice: choice[2].mean())
    best = choices[0][2]

    def estimate(values: np.ndarray) -> Estimate:
        return number(values.mean(), *np.percentile(drawn @ values, INTERVAL), n=len(truth))

    return [
        Choice(members=names, **figures, log_loss=estimate(losses), log_loss_difference=estimate(losses - best))
        for names, figures, losses in choices
    ]


def table(found: dict[str, list[Choice]]) -> str:
    lines = []
    for name, choices in found.items():
        alone = [row for row in choices if len(row.members) == 1]
        lines += [
            f"| {name} | log loss | more than the first | QWK | accuracy | AUC, KL >= 2 |",
            "|---|---|---|---|---|---|",
        ]
        for row in [row for row in choices if len(row.members) > 1][:SHOWN] + alone:
            who = ", ".join(row.members) + (" alone" if row in alone else "")
            estimates = (row.log_loss, row.log_loss_difference, row.qwk, row.accuracy, row.auc_oa)
            cells = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" if one else "-" for one in estimates]
            lines.append(f"| {who} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="output of python -m tuning train; may be given several times",
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    try:
        with console.quiet_start():
            knees, answers = probabilities(given.data)
    except DataError as error:
        parser.error(str(error))
    found = {}
    for dataset in sorted(set(knees.datasets)):
        mine = knees.datasets == dataset
        found[f"{dataset}_val"] = rows(
            knees.grades[mine], knees.groups[mine], {name: values[mine] for name, values in answers.items()}
        )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "members.json").write_text(steps.as_json(found), "utf-8")
    (given.out / "members.md").write_text(table(found), "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
