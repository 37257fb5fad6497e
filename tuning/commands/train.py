"""The command line of the step train."""

import argparse
from pathlib import Path

from ..run import console
from ..run.option_types import count, count_or_zero, proportion
from .command import PRECISION_CHOICES, PRECISION_HELP, Command


def _train_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--epochs", type=count, default=40, help="epochs at most (default 40)")
    patience = (
        "stop after this many epochs without a better validation kappa, and keep the best weights (default 0: train"
        " to the end, and keep the last weights)"
    )
    step.add_argument("--patience", type=count_or_zero, default=0, help=patience)
    step.add_argument("--batch", type=count, default=64, help="films of one step (default 64)")
    step.add_argument("--seeds", default="0", help="one member for each seed, such as 0,1,2 (default 0)")
    architecture = (
        "winner (of the search), chosen (the trials that make its ensemble), a trial's number, or a name such as"
        " folded; folded@224 goes on with films of 224 pixels, and a smaller size is trained alone; several, with"
        " commas between, give several members (default winner)"
    )
    step.add_argument("--architecture", default="winner", metavar="NAME,...", help=architecture)
    mixup = "how strongly films of neighbouring grades are mixed, 0 to 1 (default 0)"
    step.add_argument("--mixup", type=proportion, default=0.0, help=mixup)
    occlusion = "proportion of the films with a blanked rectangle, 0 to 1 (default 0)"
    step.add_argument("--occlusion", type=proportion, default=0.0, help=occlusion)
    step.add_argument("--precision", choices=PRECISION_CHOICES, default=PRECISION_CHOICES[0], help=PRECISION_HELP)
    step.add_argument("--datasets", default="", help="train only on these datasets, such as oai (default all)")
    teacher = (
        "a bundle that was trained on the same films: its probabilities are a part of the target; trials of a search"
        " that drew teachers have their own"
    )
    step.add_argument("--teacher", default="", metavar="ADDRESS", help=teacher)
    taught = "proportion of the target that is the teacher's answer, 0 to 1; the label is the rest (default 0.5)"
    step.add_argument("--taught", type=proportion, default=0.5, help=taught)
    join = (
        "add trained members: a member-NAME.weights.h5 of another training, a NAME.npz of an accelerator, a bundle, or"
        " a search on an accelerator, whose chosen trials join; may be given several times; with --architecture none no"
        " new member is trained"
    )
    step.add_argument("--join", action="append", default=[], metavar="FILE|ADDRESS", help=join)
    members = "take only these of the members that join (default all)"
    step.add_argument("--members", default="", metavar="NAME,...", help=members)
    start = "train the members of this bundle further, on framed films, in place of new ones"
    step.add_argument("--start", default="", metavar="ADDRESS", help=start)
    rate = "highest learning rate of members that are trained further (default 3e-4)"
    step.add_argument("--rate", type=float, default=3e-4, help=rate)
    protocols = "one classifier for the readers of each dataset; the largest dataset's is the default"
    step.add_argument("--protocols", action="store_true", help=protocols)
    variants = "changed copies of each film that are made before the training, such as 6 (default 0: none)"
    step.add_argument("--variants", type=count_or_zero, default=0, help=variants)


def _train(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..train import train
        from ..training.plan import TrainSettings, parse_seeds

    settings = TrainSettings(
        epochs=options.epochs,
        patience=options.patience,
        batch=options.batch,
        seeds=parse_seeds(options.seeds),
        architectures=tuple(options.architecture.split(",")),
        mixup=options.mixup,
        occlusion=options.occlusion,
        datasets=tuple(filter(None, options.datasets.split(","))),
        precision=options.precision,
        teacher=options.teacher,
        taught=options.taught,
        joined=tuple(options.join),
        members=tuple(filter(None, options.members.split(","))),
        start=options.start,
        rate=options.rate,
        protocols=options.protocols,
        variants=options.variants,
    )
    return f"train: {train(Path(options.data), Path(options.out), settings) / 'train.json'}"


TRAIN = Command(
    "train",
    "train the best architecture, or several, on all training films",
    "python -m tuning train --data runs/search --out runs/train --epochs 60 --seeds 0,1",
    "output of search, or of audit for named architectures",
    _train_options,
    _train,
)
