"""Beside the loop: a published model, fine-tuned or only recalibrated on a site's own labelled films, as a new
bundle.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.hub.pull_push import pull, revision_of

from .audit import audit
from .data.augment import Mixing, TrainingBatches, one_hot
from .data.datasets import Knees, load_knees
from .networks.ensemble import Member
from .networks.losses import QuadraticKappa, loss_for
from .run import steps
from .run.console import Progress
from .training.checkpoint import weights_of
from .training.members import members_of
from .training.schedule import warmup_cosine
from .training.tuners import OBJECTIVE

LEAST_FILMS = 50


@dataclass(frozen=True)
class AdaptSettings:
    """recalibrate: leave the weights as they are, and fit temperature, decision rule, grade sets and refusal alone.

    epochs, learning_rate, batch, mixup: of the fine-tuning. seed: of the splits.
    """

    recalibrate: bool = False
    epochs: int = 15
    learning_rate: float = 2e-4
    batch: int = 16
    mixup: float = 0.4
    seed: int = 0


def adapt(address: str | None, data: Sequence[str], out: Path, settings: AdaptSettings = AdaptSettings()) -> Path:
    """Write what `train` writes, made from the bundle at `address`, to out/train; returns that folder.

    `evaluate` and `export` go on from it. data: as of `audit`. Raises DataError for fewer than LEAST_FILMS films.
    """
    audited = audit(data, out / "audit", settings.seed)
    films = int(
        sum(
            sum(grades)
            for splits in steps.read_json(audited / "audit.json")["splits"].values()
            for grades in splits.values()
        )
    )
    if films < LEAST_FILMS:
        raise DataError(f"{films} films that can be used are too few to adapt to; give {LEAST_FILMS} or more.")
    folder = pull(address)
    base = {"address": address or "kneeoa-cnn", "revision": revision_of(folder)}
    trained = steps.begin(out / "train", "train", str(audited), {**asdict(settings), "base": base})
    if (trained / "train.json").exists():
        return trained
    bundle = read_bundle(folder)
    entries, films = [], 0
    for number, member in enumerate(members_of(bundle)):
        epochs = 0
        if not settings.recalibrate:
            training, validation = (load_knees(audited, split, member.architecture.input) for split in ("train", "val"))
            epochs, films = _fine_tune(member, training, validation, settings, number), len(training)
        member.network.save_weights(weights_of(trained, member.name))
        entries.append(
            {"name": member.name, "seed": number, "epochs": epochs, "architecture": asdict(member.architecture)}
        )
    document = {
        "best_json_sha256": bundle.evidence.search.best_json_sha256,
        "members": entries,
        "films": films,
        "base": {
            **base,
            "name": bundle.config.name,
            "search": bundle.evidence.search,
            "recalibrated_only": settings.recalibrate,
        },
    }
    steps.write_json(trained / "train.json", document)
    return trained


def _fine_tune(member: Member, films: Knees, validation: Knees, settings: AdaptSettings, seed: int) -> int:
    """Train a member further, and leave it with the weights of its best epoch; returns how many epochs that took.

    Its running statistics of normalisation stay: a few films are too few for better ones.
    """
    keras.utils.set_random_seed(seed)
    network = member.network
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    batches = TrainingBatches(films, settings.batch, member.architecture.augmentation, seed, Mixing(settings.mixup))
    rate = warmup_cosine(settings.learning_rate, settings.epochs * len(batches))
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=5.0),
        loss_for(member.architecture.loss),
        metrics=[QuadraticKappa()],
    )
    targets = (validation.inputs(), one_hot(validation.grades))
    with Progress(f"adapt {member.name}", settings.epochs) as progress:
        best = keras.callbacks.EarlyStopping(
            "val_loss", patience=settings.epochs, restore_best_weights=True, start_from_epoch=0
        )
        told = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: progress.at(epoch + 1, f"validation kappa {logs[OBJECTIVE]:.3f}")
        )
        network.fit(
            batches,
            epochs=settings.epochs,
            shuffle=False,
            validation_data=targets,
            validation_batch_size=128,
            verbose=0,
            callbacks=[best, told],
        )
    return best.best_epoch + 1
