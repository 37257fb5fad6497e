"""The state of a training after every epoch: a kill at any moment costs the epoch that it met, and nothing else.

The history is written first, then weights and optimizer in one file, which is what counts: the optimizer's steps say
how many epochs are done, and rows of the history beyond them are dropped. With patience, the best weights are a copy
made last; without, the newest ones are what the training is for, since the learning rate falls to its end.
"""

import csv
import shutil
from pathlib import Path
from typing import Any

import keras

from kneeoa_hub.errors import DataError
from kneeoa_hub.files import replacing

from .tuners import OBJECTIVE


class Checkpoint(keras.callbacks.Callback):
    """Of one member in `folder`: its history, the newest weights, and whether it has trained enough.

    patience: epochs without a better validation kappa before it stops, of which the best is kept; 0 trains to the end
    and keeps that.
    """

    def __init__(self, folder: Path, member: str, epochs: int, patience: int, steps: int):
        super().__init__()
        self.epochs, self.patience, self.steps = epochs, patience, steps
        self.history = _history_path(folder, member)
        self.newest = folder / f"member-{member}.backup" / "latest.weights.h5"
        self.best = folder / f"member-{member}.best.weights.h5"
        self.rows = read_history(folder, member)
        self.done = 0

    @property
    def kappas(self) -> list[float]:
        """Validation kappa of every epoch."""
        return [float(row[OBJECTIVE]) for row in self.rows]

    @property
    def finished(self) -> bool:
        waited = len(self.rows) - 1 - self.kappas.index(max(self.kappas)) if self.rows else 0
        return self.done >= self.epochs or 0 < self.patience <= waited

    def resume(self, model: keras.Model) -> int:
        """Put the model where the training was left; returns the number of epochs done.

        Raises DataError when the weights that were kept can't be read.
        """
        if not self.newest.exists():
            self.rows = []
            return 0
        try:
            model.load_weights(self.newest)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.newest} can't be read ({error}); remove its folder to train this member anew."
            ) from None
        self.done = int(model.optimizer.iterations) // self.steps
        self.rows = self.rows[: self.done]
        self._keep_best()
        return self.done

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in sorted((logs or {}).items())}
        self.rows.append({"epoch": epoch, **values})
        _write_history(self.history, self.rows)
        self.newest.parent.mkdir(exist_ok=True)
        with replacing(self.newest) as part:
            self.model.save_weights(part)
        self.done = epoch + 1
        self._keep_best()
        self.model.stop_training = self.finished

    def finish(self, weights: Path) -> None:
        """Leave the weights that are kept under their final name, and nothing else but the history."""
        (self.best if self.patience else self.newest).replace(weights)
        shutil.rmtree(self.newest.parent, ignore_errors=True)

    def _keep_best(self) -> None:
        if not self.rows or not self.patience:
            return
        if self.kappas[-1] > max(self.kappas[:-1], default=float("-inf")) or not self.best.exists():
            with replacing(self.best) as part:
                shutil.copyfile(self.newest, part)


def read_history(folder: Path, member: str) -> list[dict[str, Any]]:
    """One row an epoch, from the first."""
    path = _history_path(folder, member)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # Should an epoch be there twice, the later one counts.
        return list({row["epoch"]: row for row in csv.DictReader(file)}.values())


def weights_of(folder: Path, member: str) -> Path:
    """Where a trained member's weights are kept."""
    return folder / f"member-{member}.weights.h5"


def kept_kappa(history: list[dict[str, Any]], patience: int) -> float:
    """Validation kappa of the epoch whose weights are left."""
    kappas = [float(row[OBJECTIVE]) for row in history]
    return max(kappas) if patience else kappas[-1]


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _history_path(folder: Path, member: str) -> Path:
    return folder / f"member-{member}.history.csv"
