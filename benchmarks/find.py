"""Times how the knees in a large film are found: the bundle's locator, the rule without a network, grading, the graph.

    python -m benchmarks.find --locator runs/locator

The film is synthetic, with two knees, 2500x2000 pixels and 16 bits. Networks run on two threads. --locator is the
output of `python -m tuning locator`; without it, the locator of the shipped bundle is measured.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kneeoa_hub import from_pretrained
from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig
from kneeoa_hub.imaging.locate import Locator, find_knees, locator_input
from kneeoa_hub.imaging.phantom import two_knee_film
from kneeoa_hub.runtime import Network

from .measuring import milliseconds, write_json

THREADS = 2


def repeated(call: Callable[[], object], runs: int) -> list[float]:
    """Return the milliseconds of each run of a call, without the first one."""
    return [milliseconds(call) for _ in range(runs + 1)][1:]


def opened(folder: Path | None) -> tuple[Locator, LocatorConfig]:
    """Return the locator of a step's output folder, or of the shipped bundle."""
    if folder:
        settings = json.loads((folder / "locator.json").read_text("utf-8"))["locator"]
        config = LocatorConfig(InputConfig(**settings["input"]), settings["threshold"])
        return Locator(folder / LOCATOR, config, THREADS), config
    bundle = from_pretrained().bundle
    if not bundle.config.locator:
        raise SystemExit("the shipped bundle has no locator; give --locator")
    return Locator(bundle.folder / LOCATOR, bundle.config.locator, THREADS), bundle.config.locator


def main() -> None:
    """Time the calls, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locator", type=Path, metavar="DIR")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    arguments = parser.parse_args()
    locator, config = opened(arguments.locator)
    film = two_knee_film((1, 3), 5, height=2000, width=2500, bits=16).pixels.astype(np.float32)
    grader = from_pretrained(threads=THREADS)
    boxes = locator.find(film)
    if len(boxes) != 2:
        raise SystemExit(f"the film's two knees were found as {boxes}")
    bundle = grader.bundle
    graph = Network(bundle.folder / "model.onnx", bundle.config.input, THREADS)
    knee = np.zeros((1, bundle.config.input.height, bundle.config.input.width, 1), np.float32)
    calls = {
        "the grading graph, one knee": lambda: graph.run(knee),
        "locator, whole": lambda: locator.find(film),
        "of it, shrinking the film": lambda: locator_input(film, config.input),
        "rule": lambda: find_knees(film),
        "grading both, boxes given": lambda: grader.grade(film, boxes=boxes, force=True),
    }
    taken = {name: repeated(call, arguments.runs) for name, call in calls.items()}
    median = {name: statistics.median(values) for name, values in taken.items()}
    for name, values in taken.items():
        print(f"{name:<28}{median[name]:7.1f} ms (median of {arguments.runs}; {min(values):.1f} to {max(values):.1f})")
    if arguments.out:
        figures = {
            "milliseconds": {name: [median[name], min(values), max(values)] for name, values in taken.items()},
            "load_average": os.getloadavg()[0],
        }
        write_json(arguments.out, figures)
    print(f"locator over grading: {median['locator, whole'] / median['grading both, boxes given']:.2f}")


if __name__ == "__main__":
    main()
