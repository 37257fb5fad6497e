"""A search whose trials take no time: a formula stands for the training, and everything else is the real thing.

`python -m tests.support.formula search ...` is the command for it, that of a worker too.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SLOW = "KERASTUNER_TEST_SLOW"
"""The environment variable that keeps a process in its trial until the file that it names exists."""


class Formula:
    """Answers for a trial by its choices alone, better after more epochs."""

    def __init__(self, audit: Path, settings: Any, out: Path):
        del audit, settings, out

    def train(
        self, values: Mapping[str, Any], epochs: int, callbacks: Sequence[Any], folder: Path | None = None
    ) -> dict[str, float]:
        """Return the measures of a trial, and keep answers for 20 films."""
        for epoch in range(epochs):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {})
        while SLOW in os.environ and not Path(os.environ[SLOW]).exists():
            time.sleep(0.05)
        if folder:
            from tuning.searching.predictions import keep_predictions
            from tuning.searching.space import trial_seed

            truth, drawn = np.arange(20) % 5, np.random.default_rng(trial_seed(0, values)).random((20, 5))
            keep_predictions(folder, (drawn + np.eye(5)[truth]) / (drawn.sum(1, keepdims=True) + 1), truth)
        loss = 0.6 + float(values["dropout"]) + 100 * float(values["learning_rate"]) + 0.1 / epochs
        return {
            "val_log_loss": loss,
            "log_loss_error": 0.02,
            "val_qwk": 1 - loss / 2,
            "qwk_error": 0.03,
            "seconds": 30.0 * epochs,
            "parameters": 1000.0,
            "bytes": 4000.0 * (2 if values.get("block") == "plain" else 1),
            "milliseconds": 2.0 if values.get("block") == "plain" else 3.0,
        }


def main() -> int:
    """Run a search or a worker as the command line does."""
    import tuning.searching.trial

    tuning.searching.trial.TrialTrainer = Formula  # pyright: ignore[reportAttributeAccessIssue]
    from tuning.__main__ import main as command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
