"""The command lines of the step search, and of the report on what a search has found."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from kneeoa_hub.errors import SettingsError

from ..run import console
from ..run.option_types import count, count_or_zero, proportion, seed
from .command import PRECISION_CHOICES, PRECISION_HELP, Command


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
    step.add_argument("--precision", choices=PRECISION_CHOICES, default=PRECISION_CHOICES[0], help=PRECISION_HELP)
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


def _narrowed_to(given: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each choice that --only names. Raises SettingsError for one without =, or given twice."""
    only: dict[str, list[str]] = {}
    for text in given:
        name, separator, values = text.partition("=")
        if not separator:
            raise SettingsError(f"--only {text}: give the values after =, such as --only size=96,128.")
        if name in only:
            raise SettingsError(f"--only {text}: {name} is given twice; give all of its values at once, with commas.")
        only[name] = values.split(",")
    return only


def _search(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..search import search
        from ..searching.settings import RunSettings, SearchSettings
        from ..searching.workers import role_of_environment
        from ..training.pack import is_pack
        from ..training.search_result import RESULT

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
        only=_narrowed_to(options.only) or None,
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


SEARCH = Command(
    "search",
    "search CNN architectures with Keras Tuner",
    "python -m tuning search --data runs/audit --out runs/search --only size=128,160",
    "output of audit, or of tuning.training.pack to train the trials on one accelerator, with Keras on JAX",
    _search_options,
    _search,
)


def _report_options(step: argparse.ArgumentParser) -> None:
    pass


def _report(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..searching.report import write_report

    return f"report: {write_report(Path(options.data), Path(options.out or options.data))}"


SEARCH_REPORT = Command(
    "search-report",
    "report what a search has found, while it runs too",
    "python -m tuning search-report --data runs/search",
    "output of search, finished or not",
    _report_options,
    _report,
    out="folder for the report (default: that of the search)",
    needs_out=False,
)
