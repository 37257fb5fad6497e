"""The state of a training is kept after every epoch: a kill at any moment costs the epoch in progress, and no more.

The history is written first, then weights and optimizer in one file, which is what counts: the optimizer's steps say
how many epochs are done, and later rows of the history are dropped. With patience, the best weights are a copy that is
made last. Without it, the newest weights are kept, since the learning rate falls until the end.
"""

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import keras

from kneeoa_hub.errors import DataError
from kneeoa_hub.files import replacing
from kneeoa_hub.keras_files import load_weights

from ..run.folder import check_disk_space
from ..run.weights import save_weights

OBJECTIVE = "val_qwk"
"""A training with patience keeps its best epoch by this validation measure."""


class Checkpoint(keras.callbacks.Callback):
    """A checkpoint keeps the history and the newest weights of one member, and says when it has trained enough."""

    def __init__(self, folder: Path, member: str, epochs: int, patience: int, steps: int):
        """Read the history of a training that was stopped.

        Args:
            folder: Output folder of the training.
            member: Its name.
            epochs: Number of epochs at most.
            patience: Epochs without a better validation kappa after which it stops and keeps its best weights; 0 trains
                to the end and keeps the last ones.
            steps: Batches of one epoch.
        """
        super().__init__()
        self.member, self.epochs, self.patience, self.steps = member, epochs, patience, steps
        self.history = history_path(folder, member)
        self.newest = folder / f"member-{member}.backup" / "latest.weights.h5"
        self.best = folder / f"member-{member}.best.weights.h5"
        self.rows = read_history(folder, member)
        self.done = 0

    @property
    def kappas(self) -> list[float]:
        """Validation kappa of every epoch that is done."""
        return [float(row[OBJECTIVE]) for row in self.rows]

    @property
    def finished(self) -> bool:
        """Whether no further epoch is to be trained."""
        waited = len(self.rows) - 1 - self.kappas.index(max(self.kappas)) if self.rows else 0
        return self.done >= self.epochs or 0 < self.patience <= waited

    @property
    def progress(self) -> str:
        """One line for the console, after an epoch."""
        early = ", stopped early" if self.finished and self.done < self.epochs else ""
        return (
            f"epoch {self.done} of {self.epochs}, validation kappa {self.kappas[-1]:.3f}, best"
            f" {max(self.kappas):.3f}{early}"
        )

    def resume(self, model: keras.Model) -> int:
        """Load the weights of the last epoch that was kept; returns the number of epochs that are done.

        Raises DataError when these weights can't be read.
        """
        if not self.newest.exists():
            self.rows = []
            return 0
        try:
            load_weights(model, self.newest)
        except ValueError as error:
            raise DataError(
                f"{self.newest} can't be read ({error}); remove its folder to train this member anew."
            ) from None
        self.done = int(model.optimizer.iterations) // self.steps
        self.rows = self.rows[: self.done]
        self._keep_best()
        return self.done

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the epoch, and stop the training when it has trained enough.

        Raises DataError for an epoch whose loss is no number; the weights of the one before it stay.
        """
        assert self.model is not None
        values = {name: float(value) for name, value in sorted((logs or {}).items())}
        if not all(map(math.isfinite, values.values())):
            rate = float(self.model.optimizer.learning_rate)
            raise DataError(
                f"{self.member} learns nothing any more: in epoch {epoch + 1}, at the learning rate {rate:.2g}, its"
                f" loss became {values.get('loss')}. Train in a new --out with a lower rate: that of another trial or"
                " architecture, or --rate with --start."
            )
        self.rows.append({"epoch": epoch, **values})
        _write_history(self.history, self.rows)
        self.newest.parent.mkdir(exist_ok=True)
        check_disk_space(self.newest.parent, self.model.count_params())
        with replacing(self.newest) as part:
            save_weights(self.model, part)
        self.done = epoch + 1
        self._keep_best()
        self.model.stop_training = self.finished

    def finish(self, weights: Path) -> None:
        """Move the weights to their final path and remove everything else but the history."""
        (self.best if self.patience else self.newest).replace(weights)
        shutil.rmtree(self.newest.parent, ignore_errors=True)

    def _keep_best(self) -> None:
        if not self.rows or not self.patience:
            return
        if self.kappas[-1] > max(self.kappas[:-1], default=float("-inf")) or not self.best.exists():
            with replacing(self.best) as part:
                shutil.copyfile(self.newest, part)


def read_history(folder: Path, member: str) -> list[dict[str, Any]]:
    """Return one row per epoch, from the first; empty where there is no history."""
    path = history_path(folder, member)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # Should an epoch occur twice, the later row counts.
        return list({row["epoch"]: row for row in csv.DictReader(file)}.values())


def weights_path(folder: Path, member: str) -> Path:
    """Return the file of a trained member's weights."""
    return folder / f"member-{member}.weights.h5"


def history_path(folder: Path, member: str) -> Path:
    """Return the file of a member's history, one row per epoch."""
    return folder / f"member-{member}.history.csv"


def kept_kappa(history: list[dict[str, Any]], patience: int) -> float:
    """Return the validation kappa of the epoch whose weights are kept."""
    kappas = [float(row[OBJECTIVE]) for row in history]
    return max(kappas) if patience else kappas[-1]


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
