"""Processors do what a machine with an accelerator does: they train jobs, then a search, which is killed and goes on.

`python -m tests.support.on_accelerator FOLDER`, where FOLDER/.pack holds a pack and its jobs.json, trains the jobs to
FOLDER/out, and begins a search in FOLDER/search, which it kills. `python -m tuning --with` this file goes on.
"""

import atexit
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

NARROWED = {
    "size": "32",
    "view": "whole",
    "fold": "True",
    "stem": "conv5",
    "block": "residual",
    "widths": "8-16",
    "blocks": "1",
    "normalisation": "True",
    "pooling": "average",
    "dense": "",
    "dropout": "0.2",
}
OPTIONS = {"epochs": "6", "least-epochs": "2", "iterations": "1", "batch": "8", "teacher": "teacher"}
SEARCH = ["search"]
SEARCH += [word for name, value in OPTIONS.items() for word in (f"--{name}", value)]
SEARCH += [word for name, value in NARROWED.items() for word in ("--only", f"{name}={value}")]
"""A search with ten trials, none of which needs to be compiled anew."""
KILLED_AFTER = 13
"""The search is killed after this many epochs: in a rung that goes on from a shorter one."""
ABSENT = "tensorflow", "matplotlib", "sklearn", "onnx", "onnxruntime", "huggingface_hub", "pandas", "defusedxml"
"""Such a machine may lack these packages."""


def prepare(steps_file: Path, most_epochs: float = float("inf")) -> None:
    """Make the search space smaller than a search should be, and count the steps that are taken.

    Args:
        steps_file: Gets the number of steps when the process ends.
        most_epochs: Epochs after which the process is killed.
    """
    from tuning.networks.search_space import SEARCH_SPACE
    from tuning.searching import on_pack
    from tuning.training import accelerated

    SEARCH_SPACE["size"] += (32,)
    SEARCH_SPACE["widths"] += ("8-16",)
    on_pack.SAVED_S = 0.0
    trained, stepped = on_pack.PackTrainer.train_epoch, accelerated.Trainer.step
    epochs = steps = 0

    def counted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        return stepped(*arguments)

    def killed(*arguments: Any) -> Any:
        nonlocal epochs
        if epochs == most_epochs:
            raise SystemExit  # nothing of the search catches it
        epochs += 1
        return trained(*arguments)

    accelerated.Trainer.step = counted  # pyright: ignore[reportAttributeAccessIssue]
    on_pack.PackTrainer.train_epoch = killed  # pyright: ignore[reportAttributeAccessIssue]
    atexit.register(lambda: steps_file.write_text(json.dumps(steps), "utf-8"))


def main() -> None:
    """Train the jobs, and begin the search."""
    for name in ABSENT:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]
    from tuning.__main__ import main as tuning
    from tuning.training import accelerated

    root = Path(sys.argv[1])
    pack = root / ".pack"
    sys.argv[1:] = ["--pack", str(pack), "--jobs", str(pack / "jobs.json"), "--out", str(root / "out")]
    sys.argv += ["--minutes", "0.02", "--precision", "float32"]
    for _ in range(2):
        accelerated.main()
    (pack / "answers-teacher.npz").write_bytes((root / "out" / "answers-teacher.npz").read_bytes())
    prepare(root / "before.json", KILLED_AFTER)
    with contextlib.suppress(SystemExit):
        tuning(["--with", __file__, *SEARCH, "--data", str(pack), "--out", str(root / "search")])


if __name__ == "__main__":
    main()
elif "ON_ACCELERATOR" in os.environ:  # loaded by --with
    prepare(Path(os.environ["ON_ACCELERATOR"]))
