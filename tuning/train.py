"""Step 3: train the winner of the search on all training films, once for every seed. A killed training goes on where it stopped."""

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
from .search import OBJECTIVE, architecture_of
from .space import NAMED, Architecture, build, compiled, falling

PRECISIONS = ("float32", "mixed_bfloat16")
"""The second takes two thirds of the time on processors and GPUs that know bfloat16."""
STATISTICS_FILMS = 3200
"""Films that the running statistics of normalisation remember in a long training."""


@dataclass(frozen=True)
class TrainSettings:
    """epochs: most epochs. patience: epochs without a better validation kappa before it stops. seeds: one member each.

    architecture: a name in space.NAMED; "" takes the winner of the search, or its trial of that number. A search's
    trials are short: one of the best that learns slower or costs less may be better in the end.
    mixup, occlusion: see `augment.Mixing`.
    datasets: train and validate on these alone; () is all of them. precision: of the layers' arithmetic; weights and head
    stay float32.
    """

    epochs: int = 40
    patience: int = 15
    batch: int = 64
    seeds: tuple[int, ...] = (0,)
    architecture: str = ""
    mixup: float = 0.0
    occlusion: float = 0.0
    datasets: tuple[str, ...] = ()
    precision: str = PRECISIONS[0]
    trial: str = ""


def train(source: Path, out: Path, settings: TrainSettings = TrainSettings()) -> Path:
    """Write member-SEED.weights.h5, its history, and train.json to `out`; returns it.

    source: a search's folder, or an audit's when an architecture is named.
    """
    architecture, best = _architecture(source, settings)
    audit = steps.find_input(source, "audit")
    chosen = asdict(settings) | {"seeds": list(settings.seeds), "datasets": list(settings.datasets)}
    steps.begin(out, "train", str(source), chosen)
    if (out / "train.json").exists():
        return out
    config = architecture.input
    films, validation = (load_knees(audit, split, config).of(settings.datasets) for split in ("train", "val"))
    members = []
    for seed in settings.seeds:
        train_member(architecture, films, validation, seed, settings, out)
        history = read_history(out, seed)
        members.append({"seed": seed, "epochs": len(history), OBJECTIVE: max(float(row[OBJECTIVE]) for row in history)})
    document = {"architecture": asdict(architecture), "best_json_sha256": best, "trial": settings.trial, "members": members, "films": len(films)}
    document["datasets"] = sorted(set(films.datasets))
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


def _architecture(source: Path, settings: TrainSettings) -> tuple[Architecture, str]:
    if not settings.architecture:
        folder = steps.find_input(source, "search")
        return architecture_of(folder, settings.trial), sha256_of(folder / "best.json")
    if settings.architecture not in NAMED:
        raise SettingsError(f"--architecture {settings.architecture}: choose among {', '.join(NAMED)}.")
    return NAMED[settings.architecture], ""


def train_member(architecture: Architecture, films: Knees, validation: Knees, seed: int, settings: TrainSettings, out: Path) -> None:
    """Train for one seed and write member-SEED.weights.h5 and its history to `out`; what is there already is taken up."""
    weights = out / f"member-{seed}.weights.h5"
    if weights.exists():
        return
    keras.utils.set_random_seed(seed)
    batches = TrainingBatches(films, settings.batch, architecture.augmentation, seed, Mixing(settings.mixup, settings.occlusion))
    with precision(settings.precision):
        model = compiled(architecture, falling(architecture.learning_rate, settings.epochs * len(batches)))
    _slow_statistics(model, settings.batch)
    checkpoint = Checkpoint(out, seed, settings.epochs, settings.patience, len(batches))
    done = checkpoint.resume(model)
    batches.start_epoch(done)
    if not checkpoint.finished:
        start = f"goes on after epoch {done}" if done else "first epoch"
        with Progress(f"train, seed {seed}", settings.epochs, done, start) as progress:
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
