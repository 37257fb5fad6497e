"""Outside the loop: a site adapts a published model, by fine-tuning or new calibration on its own labelled films.

    python -m tuning adapt --from org/name@v1.0 --data site=films.csv --out runs/site --recalibrate

Writes what `train` writes, so that `evaluate` and `export` go on from it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import TrainedMember, TrainingEvidence
from kneeoa_hub.hub.pull_push import pull, revision_of
from kneeoa_hub.typed_json import to_json

from .audit import audit
from .data.augment import Mixing, TrainingBatches, one_hot
from .data.datasets import Knees, check_grades, load_knees, usable_rows
from .data.summary import read_summary
from .networks.ensemble import Member
from .networks.losses import QuadraticKappa, loss_for
from .run import steps
from .run.console import Progress
from .run.weights import save_weights
from .training.checkpoint import OBJECTIVE, weights_path
from .training.distillation import shared_datasets
from .training.members import RECORD, members_of
from .training.schedule import warmup_cosine

LEAST_FILMS = 50
"""Adapting needs at least 50 usable films of a site."""
EPOCHS, LEAST_STEPS = 15, 300
"""A fine-tuning has 15 epochs, or 300 steps where that is more. A few dozen films would otherwise hardly move a
network, whose learning rate first has to rise."""
SHIPPED = "kneeoa-cnn"
"""This bundle is adapted when no address is given."""


@dataclass(frozen=True)
class AdaptSettings:
    """These are the options of an adaptation.

    Attributes:
        recalibrate: Keep the weights; fit only temperature, decision rule, prediction sets and refusal.
        epochs: Epochs of the fine-tuning; the best one is kept. 0 takes `epochs_of`.
        learning_rate: The highest learning rate of the fine-tuning.
        batch: Films of one step.
        mixup: See `augment.Mixing`.
        seed: Seed of the splits.
    """

    recalibrate: bool = False
    epochs: int = 0
    learning_rate: float = 6e-4
    batch: int = 16
    mixup: float = 0.4
    seed: int = 0


def adapt(address: str | None, data: Sequence[str], out: Path, settings: AdaptSettings = AdaptSettings()) -> Path:
    """Audit the films to out/audit and adapt a bundle to them in out/train; return the latter.

    Args:
        address: Address of the bundle to start from; None is the shipped one.
        data: See `audit`.
        out: A new folder, or one in which the same adaptation was stopped.
        settings: The options of the adaptation.

    Raises:
        DataError: There are fewer than LEAST_FILMS usable films, a split has none or one grade, or the bundle was
            adapted, or may have been trained on films that are held out.
    """
    folder = pull(address)
    bundle = read_bundle(folder)
    if base := bundle.evidence.base:
        raise DataError(
            f"{address} was adapted from {base.name} ({base.address}), and does not say which films that one was"
            " trained on; adapt that one to all films."
        )
    framed = bundle.config.input.crop == "frame" and bundle.config.locator is not None
    audited = audit(data, out / "audit", settings.seed, str(folder) if framed else "")
    _check_films(audited)
    shared, others = shared_datasets(bundle, audited)
    if others:
        raise DataError(
            f"{address or SHIPPED} was trained on other films of {', '.join(others)} than the training films of"
            f" {audited}, maybe on its validation or test films; adapt the bundle that it came from to all films, or"
            " give the films that it never saw alone, under another name."
        )
    reach = bundle.config.input.reach
    base = {"address": address or SHIPPED, "revision": revision_of(folder), "reach": reach}
    trained = steps.begin(out / "train", "train", str(audited), {**asdict(settings), "base": base})
    if (trained / RECORD).exists():
        return trained
    members = []
    for number, member in enumerate(members_of(bundle)):
        epochs = 0 if settings.recalibrate else _fine_tune(member, reach, audited, settings, number)
        save_weights(member.network, weights_path(trained, member.name))
        architecture = asdict(member.architecture)
        members.append(TrainedMember(name=member.name, seed=number, epochs=epochs, architecture=architecture))
    search = bundle.evidence.search
    record = TrainingEvidence(
        best_json_sha256=search.best_json_sha256,
        members=tuple(members),
        films=0 if settings.recalibrate else len(usable_rows(audited, "train")),
        base=base
        | {"name": bundle.config.name, "search": to_json(search), "recalibrated_only": settings.recalibrate}
        | {"seen": bool(shared)},
    )
    steps.write_json(trained / RECORD, record)
    return trained


def _check_films(audited: Path) -> None:
    """Raise DataError for films that can't be adapted to, or not be measured on after an hour of training."""
    summary = read_summary(audited)
    usable = sum(sum(grades) for splits in summary.splits.values() for grades in splits.values())
    if usable < LEAST_FILMS:
        why = "".join(f"; {count} were left out, {reason}" for reason, count in sorted(summary.left_out.items()))
        raise DataError(f"{usable} usable films are too few to adapt to{why}; give {LEAST_FILMS} or more.")
    training, validation, _ = (
        np.array([film.grade for film in usable_rows(audited, split)]) for split in ("train", "val", "test")
    )
    check_grades(training, validation)


def epochs_of(batches: int) -> int:
    """Return the epochs of a fine-tuning whose epoch has so many batches."""
    return max(EPOCHS, math.ceil(LEAST_STEPS / batches))


def _fine_tune(member: Member, reach: float, audited: Path, settings: AdaptSettings, seed: int) -> int:
    """Train a member further and leave it with the weights of its best epoch; return the number of that epoch.

    Its running statistics of normalisation stay: a few films are too few for better ones.
    """
    keras.utils.set_random_seed(seed)
    config = replace(member.architecture.input, reach=reach)
    training, validation = (load_knees(audited, split, config) for split in ("train", "val"))
    network = member.network
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    batches = TrainingBatches(training, settings.batch, member.architecture.augmentation, seed, Mixing(settings.mixup))
    epochs = settings.epochs or epochs_of(len(batches))
    rate = warmup_cosine(settings.learning_rate, epochs * len(batches))
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=5.0),  # pyright: ignore[reportArgumentType]
        loss_for(member.architecture.loss),
        metrics=[QuadraticKappa()],
    )
    return _fit(network, batches, validation, epochs, member.name)


def _fit(network: keras.Model, batches: TrainingBatches, validation: Knees, epochs: int, name: str) -> int:
    """Train for all epochs, restore the best one by validation loss, and return its number, from 1."""
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True, start_from_epoch=0)
    with Progress(f"adapt {name}", epochs) as progress:
        shown = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: progress.at(epoch + 1, f"validation kappa {logs[OBJECTIVE]:.3f}")
        )
        network.fit(
            batches,
            epochs=epochs,
            shuffle=False,
            validation_data=(validation.inputs(), one_hot(validation.grades)),
            validation_batch_size=128,
            verbose=0,  # pyright: ignore[reportArgumentType]
            callbacks=[best, shown],
        )
    return best.best_epoch + 1
