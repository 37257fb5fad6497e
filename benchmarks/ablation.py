"""One small training per variant shows what each idea of the model is worth on validation films, all else equal.

    python -m benchmarks.ablation --data runs/audit --out runs/ablation --epochs 15
    python -m benchmarks.ablation --data runs/audit --out runs/ablation --epochs 15 --films 2000 \\
        --only "all kept" "not folded"

Writes ablation.json and ablation.md: measures of each variant on the validation films of each dataset, the time per
film relative to the first variant, and the difference in kappa from the first variant, with a 95% interval by paired
bootstrap over leakage groups. Other seeds of the first variant show how much is chance. The search's winner is compared
with networks designed by hand, one of which takes the same time. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.decision import severity
from kneeoa_hub.evidence import Estimate
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

from .measuring import seconds

if TYPE_CHECKING:
    from tuning.data.datasets import Knees
    from tuning.networks.architecture import Architecture
    from tuning.training.plan import TrainSettings

BATCH = 32
FOUND = Path(__file__).parent.parent / "docs" / "evidence" / "ablation" / "base.json"
"""The search of release 0.2.0 found this network."""
WINNER = "the search's winner"
FINE = "a residual stage for a stem"
"""The variants of these names are not compared as one change to the first."""
TIMED = 3
"""Answering is timed this many times, and the least time counts."""


def variants(epochs: int) -> dict[str, tuple[Architecture, TrainSettings]]:
    """Return architecture and settings by name, of trainings that keep their best epoch.

    The others are compared with the first, a folded member before it goes on to larger films.
    """
    from tuning.networks.architecture import Architecture
    from tuning.networks.search_space import NAMED
    from tuning.training.plan import TrainSettings

    base = NAMED["folded"]
    long = TrainSettings(epochs=epochs, patience=epochs, batch=BATCH, mixup=0.2, occlusion=0.5)
    return {
        "all kept": (base, long),
        "not folded": (replace(base, fold=False), long),
        "the joint line alone": (replace(base, view="band"), long),
        "no mixing of films": (base, replace(long, mixup=0.0)),
        "no occlusion": (base, replace(long, occlusion=0.0)),
        "taught by the shipped model": (base, replace(long, teacher="kneeoa-cnn")),
        "mirrored only": (replace(base, augmentation=0.0), long),
        "cross-entropy": (replace(base, loss="cross_entropy"), long),
        "CORAL": (replace(base, loss="coral"), long),
        "attention pooling": (replace(base, pooling="attention"), long),
        "plain blocks": (replace(base, block="plain"), long),
        "96 pixels": (replace(base, size=96), long),
        "two blocks a stage": (replace(base, blocks=2), long),
        FINE: (NAMED["folded-fine"], long),
        "the end kept, not the best epoch": (base, replace(long, patience=0)),
        "seed 1": (base, replace(long, seeds=(1,))),
        "seed 2": (base, replace(long, seeds=(2,))),
        WINNER: (Architecture(**json.loads(FOUND.read_text("utf-8"))["architecture"]), long),
        "hand-made, of the winner's cost": (
            Architecture(size=128, widths="16-32-64-128", blocks=2, augmentation=0.7),
            long,
        ),
    }


@dataclass(frozen=True)
class Predictions:
    """A trained variant answers this for the validation knees.

    Attributes:
        knees: The validation knees.
        probabilities: [N,5].
        seconds: Least time that answering for all of them took.
    """

    knees: Knees
    probabilities: np.ndarray
    seconds: float


def train_variant(
    architecture: Architecture, settings: TrainSettings, audit: Path, out: Path, films: int
) -> Predictions:
    """Train a variant, or load it when it is trained already; returns what it answers.

    Args:
        architecture: Its network.
        settings: Settings of its training.
        audit: Output folder of the audit.
        out: Folder of the variant.
        films: Training films, or 0 for all.
    """
    from tuning.data.datasets import load_knees, stratified_subset
    from tuning.networks.architecture import build
    from tuning.networks.ensemble import Member, assemble
    from tuning.training.checkpoint import weights_path
    from tuning.training.member import TrainingFilms, train_member
    from tuning.training.plan import PlannedMember

    training, validation = (load_knees(audit, split, architecture.input) for split in ("train", "val"))
    options = {"architecture": asdict(architecture), "films": films, **asdict(settings)}
    steps.begin(out, "ablation", str(audit), options | {"datasets": [], "architectures": []})
    (seed,) = settings.seeds
    targets = _targets(audit, settings.teacher, films) if settings.teacher else None
    learnt = TrainingFilms(stratified_subset(training, films or len(training)), validation, targets)
    train_member(PlannedMember(str(seed), seed, architecture, settings.epochs), learnt, settings, out)
    network = build(architecture, published=False)
    network.load_weights(weights_path(out, str(seed)))
    model = assemble([Member("", architecture, network)])
    inputs = validation.inputs()
    # The first call also makes the graph, so it is not timed.
    probabilities = np.asarray(model.predict(inputs, batch_size=64, verbose=0)["probabilities"])  # pyright: ignore[reportArgumentType]
    again = partial(model.predict, inputs, batch_size=64, verbose=0)  # pyright: ignore[reportArgumentType]
    return Predictions(validation, probabilities, min(seconds(again) for _ in range(TIMED)))


def _targets(audit: Path, teacher: str, films: int) -> np.ndarray:
    """Return [N,5]: the targets of the training films that a teacher shares."""
    from kneeoa_hub.bundle import read_bundle
    from kneeoa_hub.hub.pull_push import pull
    from tuning.data.datasets import load_knees, stratified_subset
    from tuning.training import distillation

    folder = pull(teacher)
    knees = load_knees(audit, "train", read_bundle(folder).config.input)
    return distillation.blended(folder, stratified_subset(knees, films or len(knees)))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row describes one variant on one set of films.

    Attributes:
        variant: Its name.
        films: DATASET_SPLIT.
        qwk: Kappa of the likeliest grade.
        qwk_expected: Kappa of the expected grade.
        accuracy: Accuracy of the likeliest grade.
        log_loss: Log loss of the probabilities.
        time_ratio: Its time per film over that of the first variant.
        qwk_difference: `qwk` minus that of the first variant.
    """

    variant: str
    films: str
    qwk: Estimate
    qwk_expected: Estimate
    accuracy: Estimate
    log_loss: Estimate
    time_ratio: float = 0.0
    qwk_difference: Estimate


def compare(name: str, variant: Predictions, first: Predictions) -> list[Row]:
    """Return a row for each dataset: a variant's measures, and its difference from the first variant.

    Args:
        name: Name of the variant.
        variant: Its answers.
        first: The answers of the first variant.
    """
    from kneeoa_hub.agreement import qwk, resamples
    from tuning.run.estimates import bootstrapped, exact

    rows, knees = [], variant.knees
    for dataset in sorted(set(knees.datasets)):
        mine = knees.datasets == dataset
        truth, given = knees.grades[mine], variant.probabilities[mine]
        likeliest, likeliest_of_first = given.argmax(1), first.probabilities[mine].argmax(1)
        losses = -np.log(np.maximum(given[np.arange(len(truth)), truth], 1e-7))

        def difference(
            rows: np.ndarray | slice, truth=truth, likeliest=likeliest, likeliest_of_first=likeliest_of_first
        ) -> float:
            return qwk(truth[rows], likeliest[rows]) - qwk(truth[rows], likeliest_of_first[rows])

        rows.append(
            Row(
                variant=name,
                films=f"{dataset}_val",
                qwk=exact(qwk(truth, likeliest), n=len(truth)),
                qwk_expected=exact(qwk(truth, np.rint(severity(given)).astype(int)), n=len(truth)),
                accuracy=exact((truth == likeliest).mean(), n=len(truth)),
                log_loss=exact(losses.mean(), n=len(truth)),
                time_ratio=round(variant.seconds / first.seconds, 2),
                qwk_difference=bootstrapped(difference, resamples(knees.groups[mine]), len(truth)),
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    headings = ("variant", "films", "QWK", "by expected grade", "accuracy", "log loss")
    lines = []
    for row in rows:
        difference = row.qwk_difference
        cells = [f"{one.value:.3f}" for one in (row.qwk, row.qwk_expected, row.accuracy, row.log_loss)]
        against = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        lines.append((row.variant, row.films, *cells, against, f"{row.time_ratio:.1f}"))
    return markdown_table((*headings, "QWK against the first", "time against it"), lines) + "\n"


def main() -> None:
    """Train and compare the variants, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--films", type=int, default=0, help="training films, a fixed stratified subset (default all)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument(
        "--only", nargs="+", metavar="VARIANT", help="train only these variants; the others are compared with the first"
    )
    arguments = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        chosen = variants(arguments.epochs)
    if unknown := set(arguments.only or ()) - set(chosen):
        parser.error(f"no variant {', '.join(sorted(unknown))}; choose among {', '.join(chosen)}")
    rows, first = [], None
    for name in arguments.only or chosen:
        architecture, settings = chosen[name]
        settings = replace(settings, precision=arguments.precision)
        folder = arguments.out / name.replace(" ", "-")
        variant = train_variant(architecture, settings, arguments.data, folder, arguments.films)
        first = first or variant
        rows += compare(name, variant, first)
        (arguments.out / "ablation.json").write_text(steps.as_json(rows), "utf-8")
        (arguments.out / "ablation.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
