"""Step 3: train the winner of the search, or several architectures, on all training films.

A killed training goes on where it stopped.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.manifest import sha256_of

from .data.augment import Mixing, TrainingBatches, one_hot
from .data.datasets import Knees, load_knees
from .data.table import read_films
from .networks.architecture import NAMED, SEARCH_SPACE, Architecture, build, compiled
from .run import steps
from .run.console import Progress
from .search import architecture_of
from .training import distillation, members
from .training.checkpoint import Checkpoint, kept_kappa, read_history, weights_of
from .training.schedule import warmup_cosine
from .training.tuners import OBJECTIVE

WINNER = "winner"
"""Of the search."""
NONE = "none"
"""In place of an architecture: members of other trainings alone."""
LARGER = "@"
"""NAME@SIZE: the network of that name goes on from its weights on larger films."""
LARGER_EPOCHS, LARGER_RATE = 0.3, 1 / 3
"""Of the epochs, and of the learning rate, of the training before it."""
PRECISIONS = ("float32", "mixed_bfloat16")
"""The second takes two thirds of the time on processors and GPUs that know bfloat16."""
STATISTICS_FILMS, STATISTICS_SHARE = 3200, 0.1
"""Films that the running statistics of normalisation remember in a long training, and in a short one the share of all
that it sees: what they begin with has to be forgotten by its end."""


@dataclass(frozen=True)
class TrainSettings:
    """epochs: most epochs. patience: epochs without a better validation kappa before it stops and the best is kept; 0
    trains to the end, where the learning rate has fallen to a hundredth, and keeps that: the best of many noisy kappas
    is chance.

    architectures: each WINNER, another trial of the search by its number, or a name in architecture.NAMED; NAME@SIZE
    first trains that network at its own size and then for a shorter time on films of SIZE pixels, which costs less than
    training at that size throughout (after Howard et al., fast.ai, 2018). Networks that differ err on different films,
    so that together they err less. seeds: one member of each architecture for each. mixup, occlusion: see
    `augment.Mixing`. datasets: train and validate on these alone; () is all of them. precision: of the layers'
    arithmetic; weights and head stay float32. teacher: address of a bundle whose answers share the target with the
    labels, see `training.distillation`; "" for none. joined: weights' files of members of other trainings, such as
    runs/before/member-folded-0.weights.h5, or addresses of bundles, whose members go before the new ones. members:
    names of those of them that are taken; () is all. architectures: NONE for no new one.
    """

    epochs: int = 40
    patience: int = 0
    batch: int = 64
    seeds: tuple[int, ...] = (0,)
    architectures: tuple[str, ...] = (WINNER,)
    mixup: float = 0.0
    occlusion: float = 0.0
    datasets: tuple[str, ...] = ()
    precision: str = PRECISIONS[0]
    teacher: str = ""
    joined: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def train(source: Path, out: Path, settings: TrainSettings = TrainSettings()) -> Path:
    """Write member-NAME-SEED.weights.h5, its history, and train.json to `out`; returns it.

    source: a search's folder, or an audit's when every architecture is one of architecture.NAMED.
    """
    named = () if settings.architectures == (NONE,) else settings.architectures
    if not named and not settings.joined:
        raise SettingsError(
            f"--architecture {NONE} trains nothing; give the members that make the ensemble with --join, or name an"
            " architecture."
        )
    architectures = {name: _architecture(source, name) for name in named}
    best = _best_of_search(source, architectures)
    audit = steps.find_input(source, "audit")
    finished = (out / "train.json").exists()
    joined = (
        []
        if finished
        else members.chosen(
            [one for source in settings.joined for one in members.joining(source, audit)], settings.members
        )
    )
    _check_names([one.name for one in joined], settings)
    seen = {one.name: sorted(one.seen) for one in joined}
    there = {film.dataset for film in read_films(audit) if film.trains}
    if missing := set(settings.datasets) - there:
        raise DataError(f"There is no film of {', '.join(sorted(missing))}; choose among {', '.join(sorted(there))}.")
    films = members.trained_on(audit, settings.datasets)
    chosen = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}
    steps.begin(out, "train", str(source), chosen)
    if finished:
        return out
    targets = distillation.targets(audit, settings.teacher, settings.datasets) if settings.teacher else None
    for one in joined:
        one.write(out)
    entries = [one.entry for one in joined]
    for name, architecture in architectures.items():
        smaller, larger, _ = name.partition(LARGER)
        for seed in settings.seeds:
            start = None
            if larger:
                before = _architecture(source, smaller)
                start = train_member(
                    before, *_films(audit, before, settings), f"{smaller}-{seed}", seed, settings, out, targets=targets
                )
            length = replace(settings, epochs=max(1, round(LARGER_EPOCHS * settings.epochs))) if larger else settings
            training, validation = _films(audit, architecture, settings)
            train_member(architecture, training, validation, f"{name}-{seed}", seed, length, out, start, targets)
            history = read_history(out, f"{name}-{seed}")
            kappa = kept_kappa(history, settings.patience)
            seen[f"{name}-{seed}"] = films
            entries.append(
                {
                    "name": f"{name}-{seed}",
                    "seed": seed,
                    "epochs": len(history),
                    OBJECTIVE: kappa,
                    "architecture": asdict(architecture),
                }
            )
    datasets = sorted(there & set(settings.datasets or there))
    record = {"best_json_sha256": best, "members": entries, "films": len(films), "datasets": datasets}
    if joined:
        record["looks_before"] = members.looks_before(joined)
        if origins := [f"{one.name}: of {one.entry['origin']}" for one in joined if one.entry.get("origin")]:
            record["origin"] = "; ".join(origins)
    steps.write_json(out / members.SEEN, seen)
    steps.write_json(out / "train.json", record)
    return out


def _check_names(joined: Sequence[str], settings: TrainSettings) -> None:
    """Raises SettingsError when a member that joins has the name of another."""
    new = [
        f"{part}-{seed}"
        for name in settings.architectures
        for part in {name, name.partition(LARGER)[0]}
        for seed in settings.seeds
    ]
    if double := sorted({name for name in joined if joined.count(name) > 1 or name in new}):
        raise SettingsError(
            f"Two members would be called {', '.join(double)}; give other --seeds, or join one of them."
        )


def _architecture(source: Path, name: str) -> Architecture:
    name, larger, size = name.partition(LARGER)
    if name in NAMED:
        architecture = NAMED[name]
    elif name == WINNER or name.isdigit():
        architecture = architecture_of(steps.find_input(source, "search"), "" if name == WINNER else name)
    else:
        raise SettingsError(f"--architecture {name}: choose {WINNER}, a trial's number, or one of {', '.join(NAMED)}.")
    if not larger:
        return architecture
    sizes = [str(choice) for choice in SEARCH_SPACE["size"] if choice > architecture.size]
    if size not in sizes or architecture.pooling == "flatten":
        able = (
            f"it has {architecture.size} pixels; choose among {', '.join(sizes)}"
            if architecture.pooling != "flatten" and sizes
            else "it can't be enlarged"
        )
        raise SettingsError(f"--architecture {name}{LARGER}{size}: {able}.")
    return replace(architecture, size=int(size), learning_rate=LARGER_RATE * architecture.learning_rate)


def _best_of_search(source: Path, architectures: Collection[str]) -> str:
    """SHA-256 of the best.json of the search behind `source`; "" when there was none and none was needed."""
    try:
        return sha256_of(steps.find_input(source, "search") / "best.json")
    except DataError:
        if any(name.partition(LARGER)[0] not in NAMED for name in architectures):
            raise
        return ""


def _films(audit: Path, architecture: Architecture, settings: TrainSettings) -> tuple[Knees, Knees]:
    """For training and for validation."""
    training, validation = (
        load_knees(audit, split, architecture.input).of(settings.datasets) for split in ("train", "val")
    )
    return training, validation


def train_member(
    architecture: Architecture,
    films: Knees,
    validation: Knees,
    name: str,
    seed: int,
    settings: TrainSettings,
    out: Path,
    start: Path | None = None,
    targets: np.ndarray | None = None,
) -> Path:
    """Train one member and write member-NAME.weights.h5 and its history to `out`; what is there already is taken up.

    start: weights of the same layers to begin with. targets: [N,5] in place of the films' grades. Returns the weights'
    file.
    """
    weights = weights_of(out, name)
    if weights.exists():
        return weights
    keras.utils.set_random_seed(seed)
    batches = TrainingBatches(
        films, settings.batch, architecture.augmentation, seed, Mixing(settings.mixup, settings.occlusion), targets
    )
    with precision(settings.precision):
        model = compiled(architecture, warmup_cosine(architecture.learning_rate, settings.epochs * len(batches)))
    if start:
        smaller = build(architecture)
        smaller.load_weights(start)
        model.set_weights(smaller.get_weights())  # not the optimizer's state, which counts its steps
    _slow_statistics(model, settings.batch, settings.epochs * len(films))
    checkpoint = Checkpoint(out, name, settings.epochs, settings.patience, len(batches))
    done = checkpoint.resume(model)
    batches.start_epoch(done)
    if not checkpoint.finished:
        note = f"goes on after epoch {done}" if done else "first epoch"
        with Progress(f"train {name}", settings.epochs, done, note) as progress:
            model.fit(
                batches,
                initial_epoch=done,
                epochs=settings.epochs,
                shuffle=False,  # by Python's generator, which does not know the epoch; the batches have their own order
                validation_data=(validation.inputs(), one_hot(validation.grades)),
                validation_batch_size=128,
                verbose=0,
                callbacks=[
                    checkpoint,
                    keras.callbacks.LambdaCallback(
                        on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch),
                        on_train_batch_end=lambda batch, logs: progress.at(
                            checkpoint.done + (batch + 1) / len(batches)
                        ),
                        on_epoch_end=lambda epoch, logs: progress.at(epoch + 1, _told(checkpoint)),
                    ),
                ],
            )
    checkpoint.finish(weights)
    return weights


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made within compute in it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _slow_statistics(model: keras.Model, batch: int, seen: int) -> None:
    """Let the running means of normalisation span many films, whatever the batch: over fewer they are noise.

    seen: films of the whole training.
    """
    span = min(STATISTICS_FILMS, STATISTICS_SHARE * seen)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = max(layer.momentum, 1 - batch / span)


def _told(checkpoint: Checkpoint) -> str:
    early = ", stopped early" if checkpoint.finished and checkpoint.done < checkpoint.epochs else ""
    return (
        f"epoch {checkpoint.done} of {checkpoint.epochs}, validation kappa {checkpoint.kappas[-1]:.3f}, best"
        f" {max(checkpoint.kappas):.3f}{early}"
    )


def seeds_of(text: str) -> tuple[int, ...]:
    """ "0,1,2" as numbers.

    Raises SettingsError for what is no seed, and for one given twice, which would be the same member again.
    """
    try:
        seeds = tuple(steps.seed_of(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--seeds {text}: {error}; give whole numbers with commas between, such as 0,1,2."
        ) from None
    if double := sorted({str(seed) for seed in seeds if seeds.count(seed) > 1}):
        raise SettingsError(
            f"--seeds {text}: {', '.join(double)} is there twice and would give the same member again; give each seed"
            " once."
        )
    return seeds
