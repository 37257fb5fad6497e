"""`kneeoa grade` of a folder with all cores is timed beside the slower of decoding alone and the networks alone."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import write_films
from kneeoa_hub.settings import usable_cores

from ..measuring import BUNDLE, ROOT, in_turns, seconds
from .figure import Figure, compared

FILMS, ROUNDS = 2000, 2
MOST_SECONDS = 120
"""On a machine that needs longer for the first round, no second round begins."""


def measure(films: int = FILMS) -> list[Figure]:
    """Grade a folder of synthetic 224-pixel films, in turns with its decoding alone and its networks alone."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "films"
        write_films(folder, films)
        paths = sorted(folder.rglob("*.png"))
        taken = in_turns(
            {
                "grade": lambda: seconds(lambda: _grade(folder, Path(place) / f"{time.monotonic_ns()}.csv")),
                "decode": lambda: _in_threads(decode, paths),
                "infer": lambda: _in_threads(_networks(), paths),
            },
            ROUNDS,
            MOST_SECONDS,
            warm_up=False,
        )
    slower = [max(pair) for pair in zip(taken["decode"], taken["infer"], strict=True)]
    return [
        compared(
            f"{len(paths):,} films from a folder, all cores: `kneeoa grade`",
            "the slower of decoding alone and the networks alone on the same cores",
            "s",
            taken["grade"],
            slower,
            floor=0.85,
            aim=0.97,
            other_over_value=True,
            larger_is_better=True,
        )
    ]


def _grade(folder: Path, out: Path) -> None:
    command = [sys.executable, "-m", "kneeoa_hub.cli", "grade", str(folder), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def _in_threads(work: Callable[[Any], object], films: Iterable[Path]) -> float:
    def all_of_them() -> None:
        with ThreadPoolExecutor(usable_cores()) as pool:
            for _ in pool.map(work, films):
                pass

    return seconds(all_of_them)


def _networks() -> Callable[[Path], None]:
    """Return what runs each graph of the bundle once, on one thread, for a film that it does not look at."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graphs = []
    for name in ("locator", "gate", "model"):
        graph = onnxruntime.InferenceSession(BUNDLE / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        _, height, width, _ = graph.get_inputs()[0].shape
        graphs.append((graph, np.random.default_rng(0).normal(size=(1, height, width, 1)).astype(np.float32)))

    def run(film: Path) -> None:
        for graph, image in graphs:
            graph.run(None, {"image": image})

    return run
