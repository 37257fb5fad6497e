"""Every choice among trained networks is measured on validation films, to find which grade best together.

    python -m benchmarks.members --data runs/train --data runs/other-train --out runs/members

The probabilities of each choice are averaged, and their temperature is fitted. Measures on the validation films of
each dataset have 95% intervals by bootstrap over leakage groups; differences from the first choice are paired. The best
choices by log loss come first, then each network alone. No test film is used. Writes members.json and members.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kneeoa_hub.agreement import INTERVAL, resamples
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import Estimate
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

if TYPE_CHECKING:
    from tuning.data.datasets import Knees

SHOWN = 8
"""The table of a dataset shows this many choices of several networks."""


def predict(trainings: Sequence[Path]) -> tuple[Knees, dict[str, np.ndarray]]:
    """Return the validation knees and, by name of each network, its probabilities [N,5].

    Raises DataError for two networks of one name, and for a network that was trained on a validation film's knee.
    """
    from tuning.data.datasets import load_knees
    from tuning.networks.ensemble import assemble
    from tuning.training.checkpoint import weights_path
    from tuning.training.joining import joining_members
    from tuning.training.members import load_members

    audit = steps.find_input(trainings[0], "audit")
    members = {}
    for training in trainings:
        for member in load_members(training):
            # raises DataError when these validation films are not new to the member
            joining_members([str(weights_path(training, member.name))], (), audit)
            if member.name in members:
                raise DataError(
                    f"{training} has another member of the name {member.name}; give trainings whose members have names"
                    " of their own."
                )
            members[member.name] = member
    knees = {
        size: load_knees(audit, "val", size) for size in {member.architecture.input for member in members.values()}
    }
    predicted = {}
    for name, member in members.items():
        outputs = assemble([member]).predict(knees[member.architecture.input].inputs(), batch_size=64, verbose=0)  # pyright: ignore[reportArgumentType]
        predicted[name] = np.asarray(outputs["probabilities"])
    return next(iter(knees.values())), predicted


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice is what some networks measure together.

    Attributes:
        members: Their names.
        qwk: Kappa of the likeliest grade.
        accuracy: Accuracy of the likeliest grade.
        auc_oa: Area under the ROC curve for KL 2 or more.
        log_loss: Log loss of the calibrated probabilities.
        log_loss_difference: `log_loss` minus that of the first choice.
    """

    members: tuple[str, ...]
    qwk: Estimate
    accuracy: Estimate
    auc_oa: Estimate | None = None
    log_loss: Estimate
    log_loss_difference: Estimate


def choices(
    truth: np.ndarray, groups: np.ndarray, predicted: dict[str, np.ndarray], most: int | None = None
) -> list[Choice]:
    """Return every choice among networks, the best by log loss first.

    Args:
        truth: [N] int, the readers' grades.
        groups: [N] str, the leakage groups.
        predicted: The probabilities [N,5] of each network, by its name.
        most: Networks of a choice at most; None for all of them.
    """
    from tuning.evaluation.calibration import apply_temperature, fit_temperature
    from tuning.evaluation.metrics import Predictions, measure

    calibrated: dict[tuple[str, ...], np.ndarray] = {}
    for count in range(1, (most or len(predicted)) + 1):
        for names in combinations(predicted, count):
            mean = np.mean([predicted[name] for name in names], axis=0)
            calibrated[names] = apply_temperature(mean, fit_temperature(mean, truth))
    losses = {
        names: -np.log(np.maximum(given[np.arange(len(truth)), truth], 1e-7)) for names, given in calibrated.items()
    }
    order = sorted(losses, key=lambda names: losses[names].mean())
    # One row per bootstrap sample: the weight of each film in it.
    weights = np.stack([np.bincount(sample, minlength=len(truth)) / len(sample) for sample in resamples(groups)])
    found = []
    for names in order:
        given, likeliest = calibrated[names], calibrated[names].argmax(1)
        predictions = Predictions(truth, likeliest, given, likeliest == truth, np.ones_like(truth), groups)
        found.append(
            measure(
                Choice,
                predictions,
                members=names,
                log_loss=_mean(losses[names], weights),
                log_loss_difference=_mean(losses[names] - losses[order[0]], weights),
            )
        )
    return found


def _mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """Return the mean of values [N] with its 95% interval over bootstrap samples [S,N]."""
    from tuning.run.estimates import estimate

    return estimate(values.mean(), *np.percentile(weights @ values, INTERVAL), n=len(values))


def table(found: Mapping[str, Sequence[Choice]]) -> str:
    """Return the choices on each set of films as Markdown."""
    tables = []
    for name, rows in found.items():
        alone = [row for row in rows if len(row.members) == 1]
        lines = []
        for row in [row for row in rows if len(row.members) > 1][:SHOWN] + alone:
            networks = ", ".join(row.members) + (" alone" if row in alone else "")
            estimates = (row.log_loss, row.log_loss_difference, row.qwk, row.accuracy, row.auc_oa)
            cells = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" if one else "-" for one in estimates]
            lines.append((networks, *cells))
        headings = (name, "log loss", "more than the first", "QWK", "accuracy", "AUC, KL >= 2")
        tables.append(markdown_table(headings, lines) + "\n")
    return "\n".join(tables)


def main() -> None:
    """Compare every choice, and write the tables."""
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
            knees, predicted = predict(given.data)
    except DataError as error:
        parser.error(str(error))
    found = {}
    for dataset in sorted(set(knees.datasets)):
        mine = knees.datasets == dataset
        found[f"{dataset}_val"] = choices(
            knees.grades[mine], knees.groups[mine], {name: values[mine] for name, values in predicted.items()}
        )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "members.json").write_text(steps.as_json(found), "utf-8")
    (given.out / "members.md").write_text(table(found), "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
