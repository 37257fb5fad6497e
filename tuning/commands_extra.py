"""The steps outside the loop have these command lines: locator, markers, gate and adapt."""

import argparse
from pathlib import Path

from .run import console
from .run.option_types import count, seed


def locator_options(step: argparse.ArgumentParser) -> None:
    """Add the options of the step locator."""
    films = "films composed from training knees (default 4500)"
    step.add_argument("--films", type=count, default=4500, help=films)
    step.add_argument("--epochs", type=count, default=12, help="passes over these, crops and phantoms (default 12)")
    test = "films composed from validation knees, to measure on (default 1500)"
    step.add_argument("--test-films", type=count, default=1500, help=test)
    grader = "the bundle that grades what was found (default: the shipped one)"
    step.add_argument("--grader", metavar="ADDRESS", help=grader)
    step.add_argument("--seed", type=seed, default=0, help="seed of the draws and the weights (default 0)")


def run_locator(options: argparse.Namespace) -> str:
    """Run the step locator; return the line that is printed at the end."""
    with console.quiet_start():
        from .locator import LocatorSettings, locator

    settings = LocatorSettings(
        films=options.films,
        epochs=options.epochs,
        test_films=options.test_films,
        seed=options.seed,
        grader=options.grader,
    )
    return f"locator: {locator(Path(options.data), Path(options.out), settings) / 'locator.json'}"


def markers_options(step: argparse.ArgumentParser) -> None:
    """Add the options of the step markers."""
    step.add_argument("--films", type=count, default=150, help="films composed from training knees (default 150)")
    step.add_argument("--parts", type=count, default=5000, help="parts of these, with markers (default 5000)")
    step.add_argument("--test-films", type=count, default=80, help="films to measure on (default 80)")
    step.add_argument("--seed", type=seed, default=0, help="seed of the draws and the weights (default 0)")


def run_markers(options: argparse.Namespace) -> str:
    """Run the step markers; return the line that is printed at the end."""
    with console.quiet_start():
        from .markers import MarkerSettings, markers

    settings = MarkerSettings(
        films=options.films, parts=options.parts, test_films=options.test_films, seed=options.seed
    )
    return f"markers: {markers(Path(options.data), Path(options.out), settings) / 'markers.json'}"


def gate_options(step: argparse.ArgumentParser) -> None:
    """Add the options of the step gate."""
    step.add_argument("--pictures", type=count, default=40000, help="training pictures (default 40000)")
    step.add_argument("--epochs", type=count, default=16, help="passes over them (default 16)")


def run_gate(options: argparse.Namespace) -> str:
    """Run the step gate; return the line that is printed at the end."""
    with console.quiet_start():
        from .gate import GateSettings, gate

    settings = GateSettings(options.pictures, options.epochs)
    return f"gate: {gate(Path(options.data), Path(options.out), settings) / 'gate.md'}"


def adapt_options(step: argparse.ArgumentParser) -> None:
    """Add the options of adapt."""
    address = "the bundle to start from (default: the shipped one)"
    step.add_argument("--from", dest="address", metavar="ADDRESS", help=address)
    recalibrate = "keep the weights; fit only temperature, decision rule, prediction sets and refusal"
    step.add_argument("--recalibrate", action="store_true", help=recalibrate)
    epochs = "epochs of fine-tuning, of which the best is kept (default 15)"
    step.add_argument("--epochs", type=count, default=15, help=epochs)
    step.add_argument("--seed", type=seed, default=0, help="seed of the splits (default 0)")
    step.add_argument("--name", default="kneeoa-adapted", help="name of the new bundle (default kneeoa-adapted)")
    step.add_argument("--version", default="0.1.0", help="version of the new bundle (default 0.1.0)")


def run_adapt(options: argparse.Namespace) -> str:
    """Run adapt, and evaluate and export what it made; return the line that is printed at the end."""
    with console.quiet_start():
        from kneeoa_hub.bundle import read_bundle
        from kneeoa_hub.hub.pull_push import pull

        from .adapt import AdaptSettings, adapt
        from .evaluate import evaluate
        from .export import export

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
