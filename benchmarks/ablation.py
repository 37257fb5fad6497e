"""What each idea of the model is worth: one small training a variant, all else equal, compared on validation films.

    python -m benchmarks.ablation --data runs/audit --out runs/ablation --epochs 15
    python -m benchmarks.ablation --data runs/audit --out runs/ablation --epochs 15 --films 2000 \\
        --only "all kept" "not folded"

Writes ablation.json and ablation.md: figures of each variant on the validation films of each dataset, the time that a
film takes against the first variant's, and the difference in kappa from the first variant, with a 95% interval by
paired bootstrap over patients or clusters. Other seeds of the first show how much is chance; the search's winner stands
beside hand-made nets, one of them of its cost. Takes up where it was stopped.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from kneeoa_hub.decision import severity
from kneeoa_hub.evidence import Estimate
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

BATCH = 32
FOUND = Path(__file__).parent.parent / "docs" / "evidence" / "search" / "best.json"
"""What the search found."""
WINNER = "the search's winner"
FINE = "a residual stage for a stem"
TIMED = 3


def variants(epochs: int) -> dict:
    """Name -> (architecture, settings) of trainings whose best epoch is kept.

    The first, a folded member as it is before its larger films, is what the others are compared with.
    """
    from tuning.networks.architecture import NAMED, Architecture
    from tuning.train import TrainSettings

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


def probabilities(architecture, settings, audit: Path, out: Path, films: int):
    """Trains, or takes up what is there; the validation knees, their probabilities [N,5], and the seconds that
    answering takes.
    """
    from kneeoa_hub.bundle import read_bundle
    from kneeoa_hub.hub.pull_push import pull
    from tuning.data.datasets import load_knees, stratified_subset
    from tuning.networks.architecture import build
    from tuning.networks.ensemble import Member, assemble
    from tuning.run import steps
    from tuning.train import train_member
    from tuning.training import distillation

    training, validation = (load_knees(audit, split, architecture.input) for split in ("train", "val"))
    steps.begin(
        out,
        "ablation",
        str(audit),
        {"architecture": asdict(architecture), "films": films, **asdict(settings), "datasets": [], "architectures": []},
    )
    (seed,) = settings.seeds
    targets = None
    if settings.teacher:
        folder = pull(settings.teacher)
        seen = load_knees(audit, "train", read_bundle(folder).config.input)
        targets = distillation.blended(folder, stratified_subset(seen, films or len(seen)))
    train_member(
        architecture,
        stratified_subset(training, films or len(training)),
        validation,
        str(seed),
        seed,
        settings,
        out,
        targets=targets,
    )
    member = build(architecture)
    member.load_weights(out / f"member-{seed}.weights.h5")
    model = assemble([Member("", architecture, member)])
    # in which the graph is made
    answers = np.asarray(model.predict(validation.inputs(), batch_size=64, verbose=0)["probabilities"])
    taken = []
    for _ in range(TIMED):
        start = time.perf_counter()
        model.predict(validation.inputs(), batch_size=64, verbose=0)
        taken.append(time.perf_counter() - start)
    return validation, answers, min(taken)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant on one set of films; `time_ratio` is its cost over that of the fastest."""

    variant: str
    films: str
    qwk: Estimate
    qwk_expected: Estimate
    accuracy: Estimate
    log_loss: Estimate
    time_ratio: float = 0.0
    qwk_difference: Estimate


def compared(name: str, validation, answered: np.ndarray, first: np.ndarray, cost: float) -> list[Row]:
    """A row a dataset: kappa and accuracy of the likeliest grade, kappa of the expected one, log loss, the difference
    in kappa, and the cost.
    """
    from kneeoa_hub.agreement import qwk, resamples
    from tuning.run.figures import number

    rows = []
    for dataset in sorted(set(validation.datasets)):
        mine = validation.datasets == dataset
        truth, given, other = validation.grades[mine], answered[mine], first[mine]
        drawn = [
            qwk(truth[r], given[r].argmax(1)) - qwk(truth[r], other[r].argmax(1))
            for r in resamples(validation.groups[mine])
        ]
        kappa = qwk(truth, given.argmax(1))
        rows.append(
            Row(
                variant=name,
                films=f"{dataset}_val",
                qwk=number(kappa, n=len(truth)),
                qwk_expected=number(qwk(truth, np.rint(severity(given)).astype(int)), n=len(truth)),
                accuracy=number((truth == given.argmax(1)).mean(), n=len(truth)),
                log_loss=number(-np.log(np.maximum(given[np.arange(len(truth)), truth], 1e-7)).mean(), n=len(truth)),
                time_ratio=cost,
                qwk_difference=number(
                    kappa - qwk(truth, other.argmax(1)), *np.percentile(drawn, (2.5, 97.5)), n=len(truth)
                ),
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| variant | films | QWK | by expected grade | accuracy | log loss | QWK against the first | time against it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        difference = row.qwk_difference
        cells = [f"{one.value:.3f}" for one in (row.qwk, row.qwk_expected, row.accuracy, row.log_loss)]
        against = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        lines.append(f"| {row.variant} | {row.films} | {' | '.join(cells)} | {against} | {row.time_ratio:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--films", type=int, default=0, help="of training, a fixed stratified subset (default all)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="these alone; the first is compared with")
    arguments = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        chosen = variants(arguments.epochs)
    if unknown := set(arguments.only or ()) - set(chosen):
        parser.error(f"no variant {', '.join(sorted(unknown))}; choose among {', '.join(chosen)}")
    rows, first, least = [], None, 0.0
    for name in arguments.only or chosen:
        architecture, settings = chosen[name]
        settings = replace(settings, precision=arguments.precision)
        folder = arguments.out / name.replace(" ", "-")
        validation, answered, taken = probabilities(architecture, settings, arguments.data, folder, arguments.films)
        if first is None:
            first, least = answered, taken
        rows += compared(name, validation, answered, first, round(taken / least, 2))
        (arguments.out / "ablation.json").write_text(steps.as_json(rows), "utf-8")
        (arguments.out / "ablation.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
