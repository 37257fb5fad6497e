"""Step 3: train the winner of the search, or several architectures, on all training films. A killed training goes on where it stopped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from kneeoa_hub.bundle import sha256_of
from kneeoa_hub.errors import SettingsError

from . import steps
from .augment import Mixing, TrainingBatches, one_hot
from .checkpoint import Checkpoint, read_history
from .console import Progress
from .datasets import Knees, load_knees
from .ensemble import Member
from .search import OBJECTIVE, architecture_of
from .space import NAMED, Architecture, build, compiled, falling

WINNER = "winner"
"""Of the search."""
PRECISIONS = ("float32", "mixed_bfloat16")
"""The second takes two thirds of the time on processors and GPUs that know bfloat16."""
STATISTICS_FILMS = 3200
"""Films that the running statistics of normalisation remember in a long training."""


@dataclass(frozen=True)
class TrainSettings:
    """epochs: most epochs. patience: epochs without a better validation kappa before it stops.

    architectures: each WINNER, another trial of the search by its number, or a name in space.NAMED. Networks that differ
    err on different films, so that together they err less. seeds: one member of each architecture for each.
    mixup, occlusion: see `augment.Mixing`.
    datasets: train and validate on these alone; () is all of them. precision: of the layers' arithmetic; weights and head
    stay float32.
    """

    epochs: int = 40
    patience: int = 15
    batch: int = 64
    seeds: tuple[int, ...] = (0,)
    architectures: tuple[str, ...] = (WINNER,)
    mixup: float = 0.0
    occlusion: float = 0.0
    datasets: tuple[str, ...] = ()
    precision: str = PRECISIONS[0]


def train(source: Path, out: Path, settings: TrainSettings = TrainSettings()) -> Path:
    """Write member-NAME-SEED.weights.h5, its history, and train.json to `out`; returns it.

    source: a search's folder, or an audit's when every architecture is one of space.NAMED.
    """
    architectures = {name: _architecture(source, name) for name in settings.architectures}
    searched = any(name not in NAMED for name in architectures)
    best = sha256_of(steps.find_input(source, "search") / "best.json") if searched else ""
    audit = steps.find_input(source, "audit")
    chosen = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}
    steps.begin(out, "train", str(source), chosen)
    if (out / "train.json").exists():
        return out
    members, films, datasets = [], 0, []
    for name, architecture in architectures.items():
        training, validation = (load_knees(audit, split, architecture.input).of(settings.datasets) for split in ("train", "val"))
        films, datasets = len(training), sorted(set(training.datasets))
        for seed in settings.seeds:
            member = f"{name}-{seed}"
            train_member(architecture, training, validation, member, seed, settings, out)
            history = read_history(out, member)
            kappa = max(float(row[OBJECTIVE]) for row in history)
            members.append({"name": member, "seed": seed, "epochs": len(history), OBJECTIVE: kappa, "architecture": asdict(architecture)})
    steps.write_json(out / "train.json", {"best_json_sha256": best, "members": members, "films": films, "datasets": datasets})
    return out


def load_members(folder: Path) -> list[Member]:
    """The trained members of a train step."""
    members = []
    for entry in steps.read_json(folder / "train.json")["members"]:
        member = Member(entry["name"], Architecture(**entry["architecture"]), build(Architecture(**entry["architecture"])))
        member.network.load_weights(weights_of(folder, member.name))
        members.append(member)
    return members


def weights_of(folder: Path, member: str) -> Path:
    return folder / f"member-{member}.weights.h5"


def _architecture(source: Path, name: str) -> Architecture:
    if name in NAMED:
        return NAMED[name]
    if name != WINNER and not name.isdigit():
        raise SettingsError(f"--architecture {name}: choose {WINNER}, a trial's number, or one of {', '.join(NAMED)}.")
    return architecture_of(steps.find_input(source, "search"), "" if name == WINNER else name)


def train_member(architecture: Architecture, films: Knees, validation: Knees, name: str, seed: int, settings: TrainSettings, out: Path) -> None:
    """Train one member and write member-NAME.weights.h5 and its history to `out`; what is there already is taken up."""
    weights = weights_of(out, name)
    if weights.exists():
        return
    keras.utils.set_random_seed(seed)
    batches = TrainingBatches(films, settings.batch, architecture.augmentation, seed, Mixing(settings.mixup, settings.occlusion))
    with precision(settings.precision):
        model = compiled(architecture, falling(architecture.learning_rate, settings.epochs * len(batches)))
    _slow_statistics(model, settings.batch)
    checkpoint = Checkpoint(out, name, settings.epochs, settings.patience, len(batches))
    done = checkpoint.resume(model)
    batches.start_epoch(done)
    if not checkpoint.finished:
        start = f"goes on after epoch {done}" if done else "first epoch"
        with Progress(f"train {name}", settings.epochs, done, start) as progress:
            model.fit(
                batches,
                initial_epoch=done,
                epochs=settings.epochs,
                validation_data=(validation.inputs(), one_hot(validation.grades)),
                validation_batch_size=128,
                verbose=0,
                callbacks=[
                    checkpoint,
                    keras.callbacks.LambdaCallback(
                        on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch),
                        on_train_batch_end=lambda batch, logs: progress.at(checkpoint.done + (batch + 1) / len(batches)),
                        on_epoch_end=lambda epoch, logs: progress.at(epoch + 1, _told(checkpoint)),
                    ),
                ],
            )
    checkpoint.finish(weights)


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made within compute in it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _slow_statistics(model: keras.Model, batch: int) -> None:
    """Let the running means of normalisation span STATISTICS_FILMS films, whatever the batch: over fewer they are noise."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = max(layer.momentum, 1 - batch / STATISTICS_FILMS)


def _told(checkpoint: Checkpoint) -> str:
    early = ", stopped early" if checkpoint.finished and checkpoint.done < checkpoint.epochs else ""
    return f"epoch {checkpoint.done} of {checkpoint.epochs}, validation kappa {checkpoint.kappas[-1]:.3f}, best {max(checkpoint.kappas):.3f}{early}"


def seeds_of(text: str) -> tuple[int, ...]:
    """ "0,1,2" as numbers. Raises SettingsError otherwise."""
    parts: Sequence[str] = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise SettingsError(f"--seeds {text}: give whole numbers with commas between, such as 0,1,2.")
    return tuple(int(part) for part in parts)
