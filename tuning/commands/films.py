"""The command lines of the steps that begin with labelled films: audit and adapt."""

import argparse
from pathlib import Path

from ..run import console
from ..run.option_types import count, seed
from .command import FILMS, Command


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
    from ..audit import audit

    return f"audit: {audit(options.data, Path(options.out), options.seed, options.locator) / 'report.md'}"


AUDIT = Command(
    "audit",
    "decode every film, find copies, make splits",
    "python -m tuning audit --data oai_train.zip --data oai_val.zip --data gornale.csv --out runs/audit",
    FILMS,
    _audit_options,
    _audit,
    several=True,
)


def _adapt_options(step: argparse.ArgumentParser) -> None:
    address = "the bundle to start from (default: the shipped one)"
    step.add_argument("--from", dest="address", metavar="ADDRESS", help=address)
    recalibrate = "keep the weights; fit only temperature, decision rule, prediction sets and refusal"
    step.add_argument("--recalibrate", action="store_true", help=recalibrate)
    epochs = "epochs of fine-tuning, of which the best is kept (default 15, and more where films are few: 300 steps)"
    step.add_argument("--epochs", type=count, default=0, help=epochs)
    step.add_argument("--seed", type=seed, default=0, help="seed of the splits (default 0)")
    step.add_argument("--name", default="kneeoa-adapted", help="name of the new bundle (default kneeoa-adapted)")
    step.add_argument("--version", default="0.1.0", help="version of the new bundle (default 0.1.0)")


def _adapt(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from kneeoa_hub.bundle import read_bundle
        from kneeoa_hub.hub.pull_push import pull

        from ..adapt import AdaptSettings, adapt
        from ..evaluate import evaluate
        from ..export import export

    out = Path(options.out)
    settings = AdaptSettings(options.recalibrate, options.epochs, seed=options.seed)
    trained = adapt(options.address, options.data, out, settings)
    evaluated = evaluate(trained, out / "evaluate")
    base = pull(options.address)
    config = read_bundle(base).config
    bundle = export(
        evaluated,
        out / "bundle",
        name=options.name,
        version=options.version,
        locator=base if config.locator else None,
        gate=base if config.gate else None,
    )
    return f"bundle: {bundle}"


ADAPT = Command(
    "adapt",
    "fine-tune or only recalibrate a published model on your films, as a new bundle",
    "python -m tuning adapt --from org/name@v1.0 --data site=films.csv --out runs/site --recalibrate",
    FILMS,
    _adapt_options,
    _adapt,
    several=True,
)
