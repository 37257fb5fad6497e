"""The steps of the loop as a user types them, and the whole loop on synthetic films."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from kneeoa_hub.imaging.phantom import write_films
from tuning.__main__ import main

ROOT = Path(__file__).parents[2]
OTHER_KERAS = {"floatx": "float16", "epsilon": 1e-3, "backend": "torch", "image_data_format": "channels_first"}
"""What other software may leave in ~/.keras/keras.json; layers would take rows for channels."""

LOCATOR_SETTINGS = {"films": 30, "epochs": 1, "batch": 8, "side": 96, "test_films": 8, "made_films": 1}
"""Of the locator of the loop, which takes seconds and finds little."""


def step(*arguments: object) -> None:
    """Run a step that succeeds, in this process, which has imported TensorFlow already."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main([*map(str, arguments)])
    assert code == 0, errors.getvalue()


def refusal(*arguments: object) -> str:
    """Return the error of a step that refuses its input."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        assert main([*map(str, arguments)]) == 1
    return errors.getvalue()


def process(
    *arguments: object, backend: str = "tensorflow", home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a step as a user does, in a process of its own."""
    command = [sys.executable, "-m", "tuning", *map(str, arguments)]
    environment = os.environ | {"KERAS_BACKEND": backend} | ({"HOME": str(home)} if home else {})
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def run_loop(root: Path) -> None:
    """Write the output of every step to a new folder. The search runs where Keras is set up for something else."""
    from tuning.locator import LocatorSettings, locator

    (root / "home" / ".keras").mkdir(parents=True)
    (root / "home" / ".keras" / "keras.json").write_text(json.dumps(OTHER_KERAS), "utf-8")
    write_films(root / "films", 100)
    small = [
        f"--only={choice}"
        for choice in ("size=96", "stem=conv5", "widths=16-32-64-128", "block=residual,plain", "blocks=1", "dense=")
    ]
    search = ("search", "--data", root / "audit", "--out", root / "search", "--tuner", "random", "--trials", 2)
    train = ("train", "--data", root / "search", "--out", root / "train")
    step("audit", "--data", f"synthetic={root / 'films'}", "--out", root / "audit")
    done = process(*search, "--epochs", 1, "--films", 40, "--workers", 0, "--tensorboard", *small, home=root / "home")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "failed" not in done.stderr, done.stderr[-3000:]  # a trial whose layers do not fit
    step(*train, "--epochs", 2, "--batch", 16, "--seeds", "0,1")
    step("evaluate", "--data", root / "train", "--out", root / "evaluate")
    step("export", "--data", root / "evaluate", "--out", root / "bundle", "--name", "kneeoa-synthetic")
    locator(root / "audit", root / "locator", LocatorSettings(**LOCATOR_SETTINGS, grader=str(root / "bundle")))
    step("publish", "--data", root / "bundle", "--out", root / "hub", "--tag", "v0.1")
