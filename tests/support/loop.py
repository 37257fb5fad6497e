"""Tests run the steps of the loop as a user types them, and the whole loop on synthetic films."""

import contextlib
import io
import json
import time
from pathlib import Path

from benchmarks.search_overhead import FILES, Clock, timing
from kneeoa_hub.imaging.phantom import write_films
from tuning.__main__ import main

from .eager import eagerly

ROOT = Path(__file__).parents[2]
CROSS_DOMAIN = ROOT / "docs" / "evidence" / "cross-domain" / "cross-domain.json"
LOCATOR_SETTINGS = {"films": 30, "epochs": 1, "batch": 8, "side": 96, "test_films": 8, "made_films": 1}
"""The locator of the loop has these settings, which take seconds and find little."""


def step(*arguments: object) -> str:
    """Run a step that succeeds, in this process, which has imported TensorFlow already; return what it said."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main([*map(str, arguments)])
    assert code == 0, errors.getvalue()
    return errors.getvalue()


def refusal(*arguments: object) -> str:
    """Return the error of a step that refuses its input."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        assert main([*map(str, arguments)]) == 1
    return errors.getvalue()


def run_loop(root: Path) -> None:
    """Write the output of every step to a new folder. Trials and trainings are too short for a graph to pay.

    The bundle "located" has a locator and measures of benchmarks, "bundle" has neither.
    """
    from tuning.locator import LocatorSettings, locator

    write_films(root / "films", 60)
    small = [
        f"--only={choice}"
        for choice in (
            *("size=96", "crop=frame", "stem=conv5", "widths=16-32-64-128", "block=plain", "blocks=1", "fold=True"),
            *("normalisation=True", "dense="),
        )
    ]
    search = ("search", "--data", root / "audit", "--out", root / "search", "--tuner", "random", "--trials", 2)
    train = ("train", "--data", root / "search", "--out", root / "train")
    step("audit", "--data", f"synthetic={root / 'films'}", "--out", root / "audit")
    with eagerly():
        clock = Clock(FILES)
        began = time.perf_counter()
        with timing(clock):
            said = step(*search, "--epochs", 1, "--films", 40, "--workers", 0, "--tensorboard", *small)
        clock.count()
        parts = {part: float(spent[0]) for part, spent in clock.spent.items()}
        overhead = {"whole": time.perf_counter() - began, "parts": parts}
        (root / "search-overhead.json").write_text(json.dumps(overhead), "utf-8")
        assert "failed" not in said, said  # a trial whose layers do not fit
        step(*train, "--epochs", 2, "--batch", 16, "--seeds", "0,1")
    step("evaluate", "--data", root / "train", "--out", root / "evaluate")
    step("export", "--data", root / "evaluate", "--out", root / "bundle", "--name", "kneeoa-synthetic")
    with eagerly():
        locator(root / "audit", root / "locator", LocatorSettings(**LOCATOR_SETTINGS, grader=str(root / "bundle")))
    located = ("--locator", root / "locator", "--out", root / "located", "--name", "kneeoa-synthetic")
    step("export", "--data", root / "evaluate", *located, "--cross-domain", CROSS_DOMAIN)
    step("publish", "--data", root / "bundle", "--out", root / "hub", "--tag", "v0.1")
