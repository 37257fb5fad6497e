"""Each step has a command line: options, and the call that they become.

A step's module is imported when the step runs, because most of them load TensorFlow, which takes seconds.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .commands_extra import (
    adapt_options,
    gate_options,
    locator_options,
    markers_options,
    run_adapt,
    run_gate,
    run_locator,
    run_markers,
)
from .run import console
from .run.option_types import count, count_or_zero, proportion, seed

FILMS = "folder, .zip, .tar or CSV of labelled films, as PATH or NAME=PATH; may be given several times"
FOLDER = "folder for what the step writes"
PRECISIONS = ("float32", "mixed_bfloat16", "auto")
PRECISION = "mixed_bfloat16 is faster on some hardware; auto times a few steps of each way first (default float32)"


@dataclass(frozen=True)
class Command:
    """A command is a subcommand of `python -m tuning`.

    Attributes:
        name: Name of the step.
        summary: What the step does, in one line.
        example: A command line to copy.
        data: Help for --data.
        add_options: Adds the step's own options to its parser.
        run: Runs the step with the parsed options; return the line that is printed at the end.
        out: Help for --out.
        several: Whether --data may be given several times.
        needs_out: Whether --out must be given.
    """

    name: str
    summary: str
    example: str
    data: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str]
    out: str = FOLDER
    several: bool = False
    needs_out: bool = True


def _audit_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--seed", type=seed, default=0, help="seed of the splits (default 0)")
    step.add_argument(
        "--locator",
        default="",
        metavar="ADDRESS",
        help="output of the step locator, or a bundle, that finds the joint of each film; without it every film is"
        " taken for a crop with the joint in its middle",
    )


def _audit(options: argparse.Namespace) -> str:
    from .audit import audit

    return f"audit: {audit(options.data, Path(options.out), options.seed, options.locator) / 'report.md'}"


def _search_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--tuner", default="hyperband", help="hyperband, bayesian or random (default hyperband)")
    step.add_argument("--trials", type=count, default=12, help="trials of bayesian and random (default 12)")
    step.add_argument("--epochs", type=count, default=9, help="epochs of one trial at most (default 9)")
    least = "epochs of one trial of Hyperband at least (default 3)"
    step.add_argument("--least-epochs", type=count, default=3, help=least)
    step.add_argument("--iterations", type=count, default=2, help="how often Hyperband begins (default 2)")
    step.add_argument("--films", type=count, default=3000, help="training films of a trial at most (default 3000)")
    step.add_argument("--batch", type=count, default=32, help="films of one step of a trial (default 32)")
    step.add_argument("--validation-films", type=count, default=1000, help="validation films at most (default 1000)")
    step.add_argument("--seed", type=seed, default=0, help="seed of the draws and the weights (default 0)")
    narrow = "narrow a choice of the search space, such as size=96,128, or add backbones: backbone=,lite0; repeatable"
    step.add_argument("--only", action="append", default=[], metavar="NAME=V1,V2", help=narrow)
    space = "default, or full: with backbones (extra `backbones`) and every other value (default default)"
    step.add_argument("--space", default="default", metavar="NAME", help=space)
    objective = "log_loss or qwk, of validation films (default log_loss)"
    step.add_argument("--objective", default="log_loss", metavar="NAME", help=objective)
    teacher = "a bundle whose answers are half of the target of trials that draw it; may be given several times"
    step.add_argument("--teacher", action="append", default=[], metavar="ADDRESS", help=teacher)
    named = "do not begin with the networks that were designed by hand"
    step.add_argument("--no-named", dest="named", action="store_false", help=named)
    step.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help=PRECISION)
    folds = "train each trial of full length once more for each of so many folds, and rank these (default 0)"
    step.add_argument("--folds", type=count_or_zero, default=0, help=folds)
    workers = "processes beside this one that train trials and share the cores or GPUs (default 1; 0: in this one)"
    step.add_argument("--workers", type=count_or_zero, help=workers)
    role = "across machines: a chief draws the trials, workers train them; a worker takes its options from --out"
    step.add_argument("--role", choices=("chief", "worker"), default="", help=role)
    address = "where the chief listens, in a private network (default KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT)"
    step.add_argument("--address", default="", metavar="HOST:PORT", help=address)
    failed = "proportion of the trials that may fail (default 0.5)"
    step.add_argument("--most-failed", type=proportion, default=0.5, help=failed)
    step.add_argument("--hours", type=float, default=0.0, help="stop after this time (default 0: never)")
    finish = "train no further trial, and end with those that have finished; so ends every search on a pack"
    step.add_argument("--finish", action="store_true", help=finish)
    step.add_argument("--tensorboard", action="store_true", help="write each trial's course for TensorBoard")


def _search(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from .search import search
        from .searching.settings import RunSettings, SearchSettings
        from .searching.workers import role_of_environment
        from .training.pack import is_pack
        from .training.search_result import RESULT

    only = {name: values.split(",") for name, _, values in (text.partition("=") for text in options.only)}
    settings = SearchSettings(
        tuner=options.tuner,
        trials=options.trials,
        epochs=options.epochs,
        least_epochs=options.least_epochs,
        iterations=options.iterations,
        films=options.films,
        validation_films=options.validation_films,
        batch=options.batch,
        seed=options.seed,
        only=only or None,
        objective=options.objective,
        space=options.space,
        teachers=tuple(options.teacher),
        named=options.named,
        folds=options.folds,
        precision=options.precision,
    )
    role = options.role or role_of_environment()
    run = RunSettings(
        workers=options.workers if options.workers is not None else int(not (role or is_pack(Path(options.data)))),
        role=role,
        address=options.address,
        most_failed=options.most_failed,
        hours=options.hours,
        tensorboard=options.tensorboard,
        finish=options.finish,
    )
    out = search(Path(options.data), Path(options.out), settings, run)
    if run.role == "worker":
        return "search: no trial is left"
    if not (out / RESULT).exists():
        return f"search: no trial is left; end it with --finish, with Keras on TensorFlow, to write {out / RESULT}"
    return f"search: {out / 'report.md'}, {out / RESULT}"


def _report_options(step: argparse.ArgumentParser) -> None:
    pass


def _report(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from .searching.report import write_report

    return f"report: {write_report(Path(options.data), Path(options.out or options.data))}"


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
        " folded; folded@224 goes on with films of 224 pixels; several, with commas between, give several"
        " members (default winner)"
    )
    step.add_argument("--architecture", default="winner", metavar="NAME,...", help=architecture)
    mixup = "how strongly films of neighbouring grades are mixed, 0 to 1 (default 0)"
    step.add_argument("--mixup", type=proportion, default=0.0, help=mixup)
    occlusion = "proportion of the films with a blanked rectangle, 0 to 1 (default 0)"
    step.add_argument("--occlusion", type=proportion, default=0.0, help=occlusion)
    step.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help=PRECISION)
    step.add_argument("--datasets", default="", help="train only on these datasets, such as oai (default all)")
    teacher = "a bundle that was trained on the same films: its probabilities are half of the target"
    step.add_argument("--teacher", default="", metavar="ADDRESS", help=teacher)
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
        from .train import train
        from .training.plan import TrainSettings, parse_seeds

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
        joined=tuple(options.join),
        members=tuple(filter(None, options.members.split(","))),
        start=options.start,
        rate=options.rate,
        protocols=options.protocols,
        variants=options.variants,
    )
    return f"train: {train(Path(options.data), Path(options.out), settings) / 'train.json'}"


def _evaluate_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--validation-only", action="store_true", help="do not measure on the test films")
    copies = (
        "a newer audit of the same films: nothing is fitted on a knee that another training film shows, and measures"
        " are also given without such knees"
    )
    step.add_argument("--copies", metavar="AUDIT", help=copies)
    protocol = "the dataset whose readers the grades follow, of a training with --protocols (default: its largest)"
    step.add_argument("--protocol", default="", metavar="DATASET", help=protocol)
    reach = "side of a frame over that of the joint's box (default: that of the training, or of the adapted bundle)"
    step.add_argument("--reach", type=float, metavar="R", help=reach)
    sheets = "also write sheets of correctly graded, wrongly graded and uncertain validation films to this folder"
    step.add_argument("--gallery", metavar="DIR", help=sheets)


def _evaluate(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from .evaluate import evaluate
        from .evaluation.gallery import gallery

    copies = Path(options.copies) if options.copies else None
    chosen = {"test": not options.validation_only, "protocol": options.protocol, "reach": options.reach}
    out = evaluate(Path(options.data), Path(options.out), copies=copies, **chosen)
    sheets = f"\ngallery: {gallery(out, Path(options.gallery))}" if options.gallery else ""
    return f"evaluate: {out / 'evidence.json'}{sheets}"


def _export_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--name", default="kneeoa-local", help="name of the bundle (default kneeoa-local)")
    step.add_argument("--version", default="0.1.0", help="version of the bundle (default 0.1.0)")
    locator = "output of locator, or a bundle with a locator; without it the bundle finds knees by a rule"
    step.add_argument("--locator", metavar="DIR", help=locator)
    gate = (
        "output of gate, or a bundle with a gate; without it the bundle refuses only by contrast, colour and distance"
    )
    step.add_argument("--gate", metavar="DIR", help=gate)
    cross_domain = "cross-domain.json of `python -m benchmarks.cross_domain`, for the card"
    step.add_argument("--cross-domain", metavar="FILE", help=cross_domain)
    robustness = "output of `python -m benchmarks.robustness`, for the card"
    step.add_argument("--robustness", metavar="DIR", help=robustness)


def _export(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from .export import export

    bundle = export(
        Path(options.data),
        Path(options.out),
        name=options.name,
        version=options.version,
        locator=Path(options.locator) if options.locator else None,
        gate=Path(options.gate) if options.gate else None,
        cross_domain=Path(options.cross_domain) if options.cross_domain else None,
        robustness=Path(options.robustness) if options.robustness else None,
    )
    return f"bundle: {bundle}"


def _publish_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--tag", help="name of this revision, such as v1.0")
    step.add_argument("--private", action="store_true", help="make a new Hub repo private")


def _publish(options: argparse.Namespace) -> str:
    from .publish import publish

    return f"published: {publish(Path(options.data), options.out, tag=options.tag, private=options.private)}"


COMMANDS = (
    Command(
        "audit",
        "decode every film, find copies, make splits",
        "python -m tuning audit --data oai_train.zip --data oai_val.zip --data gornale.csv --out runs/audit",
        FILMS,
        _audit_options,
        _audit,
        several=True,
    ),
    Command(
        "search",
        "search CNN architectures with Keras Tuner",
        "python -m tuning search --data runs/audit --out runs/search --only size=128,160",
        "output of audit, or of tuning.training.pack to train the trials on one accelerator, with Keras on JAX",
        _search_options,
        _search,
    ),
    Command(
        "search-report",
        "report what a search has found, while it runs too",
        "python -m tuning search-report --data runs/search",
        "output of search, finished or not",
        _report_options,
        _report,
        out="folder for the report (default: that of the search)",
        needs_out=False,
    ),
    Command(
        "train",
        "train the best architecture, or several, on all training films",
        "python -m tuning train --data runs/search --out runs/train --epochs 60 --seeds 0,1",
        "output of search, or of audit for named architectures",
        _train_options,
        _train,
    ),
    Command(
        "evaluate",
        "calibrate on validation films, and measure",
        "python -m tuning evaluate --data runs/train --out runs/evaluate",
        "output of train",
        _evaluate_options,
        _evaluate,
    ),
    Command(
        "locator",
        "train and measure the network that finds the joints",
        "python -m tuning locator --data runs/audit --out runs/locator",
        "output of audit",
        locator_options,
        run_locator,
    ),
    Command(
        "markers",
        "train and measure the network that reads burnt-in markers",
        "python -m tuning markers --data runs/audit --out runs/markers",
        "output of audit",
        markers_options,
        run_markers,
    ),
    Command(
        "gate",
        "train and measure the network that accepts only upright frontal knees",
        "python -m tuning gate --data runs/audit --out runs/gate",
        "output of audit",
        gate_options,
        run_gate,
    ),
    Command(
        "export",
        "write the bundle",
        "python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/bundle",
        "output of evaluate",
        _export_options,
        _export,
        out="folder of the bundle, new or empty",
    ),
    Command(
        "publish",
        "push the bundle with its card",
        "python -m tuning publish --data runs/bundle --out ./hub/kneeoa --tag v1.0",
        "a bundle",
        _publish_options,
        _publish,
        out="a versioned folder, or org/name on the Hub",
    ),
    Command(
        "adapt",
        "fine-tune or only recalibrate a published model on your films, as a new bundle",
        "python -m tuning adapt --from org/name@v1.0 --data site=films.csv --out runs/site --recalibrate",
        FILMS,
        adapt_options,
        run_adapt,
        several=True,
    ),
)
"""All subcommands are listed in the order of the loop; those outside the loop come before the step that uses them, or
last."""
