"""The command lines of the steps that train a network beside the grader: locator, markers and gate."""

import argparse
from pathlib import Path

from ..run import console
from ..run.option_types import count, seed
from .command import Command


def _locator_options(step: argparse.ArgumentParser) -> None:
    films = "films composed from training knees (default 4500)"
    step.add_argument("--films", type=count, default=4500, help=films)
    step.add_argument("--epochs", type=count, default=12, help="passes over these, crops and phantoms (default 12)")
    test = "films composed from validation knees, to measure on (default 1500)"
    step.add_argument("--test-films", type=count, default=1500, help=test)
    grader = "the bundle that grades what was found (default: the shipped one)"
    step.add_argument("--grader", metavar="ADDRESS", help=grader)
    step.add_argument("--seed", type=seed, default=0, help="seed of the draws and the weights (default 0)")


def _locator(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..locator import LocatorSettings, locator

    settings = LocatorSettings(
        films=options.films,
        epochs=options.epochs,
        test_films=options.test_films,
        seed=options.seed,
        grader=options.grader,
    )
    return f"locator: {locator(Path(options.data), Path(options.out), settings) / 'locator.json'}"


LOCATOR = Command(
    "locator",
    "train and measure the network that finds the joints",
    "python -m tuning locator --data runs/audit --out runs/locator",
    "output of audit",
    _locator_options,
    _locator,
)


def _markers_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--films", type=count, default=150, help="films composed from training knees (default 150)")
    step.add_argument("--parts", type=count, default=5000, help="parts of these, with markers (default 5000)")
    step.add_argument("--test-films", type=count, default=80, help="films to measure on (default 80)")
    step.add_argument("--seed", type=seed, default=0, help="seed of the draws and the weights (default 0)")


def _markers(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..markers import MarkerSettings, markers

    settings = MarkerSettings(
        films=options.films, parts=options.parts, test_films=options.test_films, seed=options.seed
    )
    return f"markers: {markers(Path(options.data), Path(options.out), settings) / 'markers.json'}"


MARKERS = Command(
    "markers",
    "train and measure the network that reads burnt-in markers",
    "python -m tuning markers --data runs/audit --out runs/markers",
    "output of audit",
    _markers_options,
    _markers,
)


def _gate_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--pictures", type=count, default=40000, help="training pictures (default 40000)")
    step.add_argument("--epochs", type=count, default=16, help="passes over them (default 16)")


def _gate(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..gate import GateSettings, gate

    settings = GateSettings(options.pictures, options.epochs)
    return f"gate: {gate(Path(options.data), Path(options.out), settings) / 'gate.md'}"


GATE = Command(
    "gate",
    "train and measure the network that accepts only upright frontal knees",
    "python -m tuning gate --data runs/audit --out runs/gate",
    "output of audit",
    _gate_options,
    _gate,
)
