"""Step 3: train the winner of the search on all training films, once for every seed. A killed training goes on where it stopped."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from kneeoa_hub.bundle import sha256_of
from kneeoa_hub.errors import DataError

from . import steps
from .augment import TrainingBatches, one_hot
from .datasets import Knees, load_knees
from .search import OBJECTIVE, best_architecture
from .space import NAMED, Architecture, build, compiled, falling


@dataclass(frozen=True)
class TrainSettings:
    """epochs: most epochs. patience: epochs without a better validation kappa before it stops. seeds: one member each.

    architecture: a name in space.NAMED; "" takes the winner of the search.
    """

    epochs: int = 40
    patience: int = 15
    batch: int = 64
    seeds: tuple[int, ...] = (0,)
    architecture: str = ""


def train(source: Path, out: Path, settings: TrainSettings = TrainSettings()) -> Path:
    """Write member-SEED.weights.h5, its history, and train.json to `out`; returns it.

    source: a search's folder, or an audit's when an architecture is named.
    """
    architecture, best = _architecture(source, settings)
    audit = steps.find_input(source, "audit")
    steps.begin(out, "train", str(source), {**asdict(settings), "seeds": list(settings.seeds)})
    config = architecture.input
    films, validation = load_knees(audit, "train", config), load_knees(audit, "val", config)
    members = []
    for seed in settings.seeds:
        _train_member(architecture, films, validation, seed, settings, out)
        history = read_history(out, seed)
        members.append({"seed": seed, "epochs": len(history), OBJECTIVE: max(float(row[OBJECTIVE]) for row in history)})
    document = {"architecture": asdict(architecture), "best_json_sha256": best, "members": members, "films": len(films)}
    steps.write_json(out / "train.json", document)
    return out


def load_members(folder: Path) -> tuple[Architecture, list[keras.Model]]:
    """The architecture and the trained members of a train step."""
    record = steps.read_json(folder / "train.json")
    architecture = Architecture(**record["architecture"])
    members = []
    for entry in record["members"]:
        member = build(architecture)
        member.load_weights(folder / f"member-{entry['seed']}.weights.h5")
        members.append(member)
    return architecture, members


def read_history(folder: Path, seed: int) -> list[dict[str, Any]]:
    path = folder / f"member-{seed}.history.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # After a kill the last epoch may be there twice; the later one counts.
        return list({row["epoch"]: row for row in csv.DictReader(file)}.values())


def _architecture(source: Path, settings: TrainSettings) -> tuple[Architecture, str]:
    if not settings.architecture:
        folder = steps.find_input(source, "search")
        return best_architecture(folder), sha256_of(folder / "best.json")
    if settings.architecture not in NAMED:
        raise DataError(f"--architecture {settings.architecture}: choose among {', '.join(NAMED)}.")
    return NAMED[settings.architecture], ""


def _train_member(
    architecture: Architecture, films: Knees, validation: Knees, seed: int, settings: TrainSettings, out: Path
) -> None:
    weights = out / f"member-{seed}.weights.h5"
    if weights.exists():
        return
    keras.utils.set_random_seed(seed)
    batches = TrainingBatches(films, settings.batch, architecture.augmentation, seed)
    model = compiled(architecture, falling(architecture.learning_rate, settings.epochs * len(batches)))
    best = out / f"member-{seed}.best.weights.h5"
    reached = [float(row[OBJECTIVE]) for row in read_history(out, seed)]
    model.fit(
        batches,
        epochs=settings.epochs,
        validation_data=(validation.inputs(), one_hot(validation.grades)),
        validation_batch_size=128,
        verbose=1 if sys.stderr.isatty() else 2,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch)),
            keras.callbacks.CSVLogger(out / f"member-{seed}.history.csv", append=True),
            keras.callbacks.ModelCheckpoint(
                best,
                monitor=OBJECTIVE,
                mode="max",
                save_best_only=True,
                save_weights_only=True,
                # After a kill only a better epoch may replace the best one of before.
                initial_value_threshold=max(reached) if reached else None,
            ),
            keras.callbacks.EarlyStopping(OBJECTIVE, mode="max", patience=settings.patience),
            # Last, so that an epoch counts as done when all else has been written; a kill while it writes costs one epoch.
            keras.callbacks.BackupAndRestore(out / f"member-{seed}.backup", double_checkpoint=True),
        ],
    )
    best.replace(weights)


def seeds_of(text: str) -> tuple[int, ...]:
    """"0,1,2" as numbers. Raises DataError otherwise."""
    parts: Sequence[str] = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise DataError(f"--seeds {text}: give whole numbers with commas between, such as 0,1,2.")
    return tuple(int(part) for part in parts)
