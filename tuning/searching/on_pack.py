"""Trials on one accelerator, with Keras on JAX: the films of a pack stay in its memory.

A trial of a longer rung goes on from the weights that its point had in the shorter one, so that a rung costs only the
epochs that it adds. The learning rate falls over the epochs of a trial of full length; what is measured in between is
the average of the weights over the last steps.
"""

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.files import UNFINISHED

from ..data.datasets import stratified_rows
from ..networks.architecture import Architecture
from ..networks.search_space import RECIPES, Recipe
from ..run.arrays import read_arrays, write_arrays
from ..run.content import fingerprint
from ..run.folder import with_room
from ..training import jax_steps
from ..training.accelerated import Trainer, keep, learning_rate
from ..training.jobs import Job, Outcome
from ..training.search_result import STATES, member_name
from .predictions import finite, keep_predictions, measured
from .settings import SearchSettings
from .space import SCRATCH, TEACHER, Point, Space, drawn_values, point_of, space_of, trial_seed

SAVED_S = 20.0
"""Seconds of training that a kill loses at most."""
ARGUMENTS = {"learning_rate", "augmentation", "weight_decay", "reach", TEACHER, *RECIPES}
"""Choices that are arguments of a compiled step: networks that differ in them alone are compiled once."""
AVERAGED = 0.05
"""Proportion of the steps of a trial of full length over which weights are averaged."""


class PackTrainer:
    """Trains and measures the trials of a search in one process, on the films of a pack."""

    def __init__(self, pack: Path, out: Path, settings: SearchSettings):
        """Load the films.

        Args:
            pack: Output folder of `python -m tuning.training.pack`.
            out: Output folder of the search.
            settings: The options of the search.

        Raises:
            SettingsError: Keras does not run on JAX, or a teacher's answers are not in the pack.
            DataError: The pack is one of an earlier release, or lacks films that a search needs.
        """
        if keras.backend.backend() != "jax":
            raise SettingsError(
                f"KERAS_BACKEND is {keras.backend.backend()!r}; set it to jax for a search on the films of a pack."
            )
        if jax.default_backend() != "cpu":
            keras.config.set_dtype_policy("mixed_bfloat16")  # processors are no faster with it
        self.settings, self.states = settings, out / STATES
        for left in self.states.glob(f"{UNFINISHED}*"):  # a kill left it
            left.unlink(missing_ok=True)
        self.trainer = Trainer(pack, out)
        if unknown := sorted(set(settings.teachers) - set(self.trainer.teachers)):
            raise SettingsError(
                f"--teacher {unknown[0]}: the pack has the answers of {', '.join(self.trainer.teachers) or 'none'}."
            )
        packed = self.trainer.packed
        training = np.flatnonzero(packed.splits == "train")
        validation = np.flatnonzero((packed.splits == "val") & (self.trainer.heads == 0))
        self.training = training[stratified_rows(packed.grades[training], settings.films, settings.seed)]
        self.validation = validation[stratified_rows(packed.grades[validation], settings.validation_films, 0)]
        measured_on = f"validation films of {self.trainer.protocols[0]}, its first dataset,"
        for rows, kind in ((self.training, "training films"), (self.validation, measured_on)):
            if len(grades := set(packed.grades[rows].tolist())) < 2:
                raise DataError(
                    f"{pack} has {len(rows)} {kind} of {len(grades)} grades, and a search needs films of two grades at"
                    " least; give a pack of an audit that has them."
                )
        for network in _compiled_ahead(space_of(settings)):
            self.trainer.compile(Job(network.backbone or "network", network, batch=settings.batch))

    def train(
        self, values: Mapping[str, Any], epochs: int, callbacks: Sequence[keras.callbacks.Callback], folder: Path
    ) -> dict[str, float]:
        """Return the measures of a trial on the validation films of the default protocol.

        Its answers for them stay in its folder, and with a trial of full length its weights, as a member.

        Args:
            values: What Keras Tuner drew.
            epochs: Epochs of the trial, with those of its point's shorter rungs.
            callbacks: The first one is called after every epoch, and after those of shorter rungs at once.
            folder: The folder of the trial.

        Raises:
            FloatingPointError: The loss is no longer a number, or an answer is none.
        """
        per_epoch = max(1, len(self.training) // self.settings.batch)
        total = per_epoch * self.settings.epochs
        seed = trial_seed(self.settings.seed, values)
        name = member_name(folder.name.removeprefix("trial_"))
        job = _job_of(name, point_of(values), seed, self.settings.batch, total)
        self.trainer.compile(job)
        self.trainer.wait(job)
        model = self.trainer.model(job)
        began, learnt = time.monotonic(), self.trainer.learnt(job)
        kept = self.states / f"{fingerprint(drawn_values(values))}.npz"
        state, done = _taken_up(kept, jax_steps.begin(model), epochs)
        saved = time.monotonic()
        for epoch in range(epochs):
            if epoch >= done:
                state = self.train_epoch(job, state, epoch, learnt, total)
                if epoch + 1 == epochs or time.monotonic() > saved + SAVED_S:
                    _keep_state(kept, state, epoch + 1)
                    saved = time.monotonic()
            for callback in callbacks[:1]:
                callback.on_epoch_end(epoch, {})
        seconds = time.monotonic() - began
        packed = self.trainer.packed
        answers = finite(self.trainer.ask(job, self.trainer.wait(job), state, self.validation, 0.0, 1)[:, 0])
        truth, groups = packed.grades[self.validation], packed.groups[self.validation]
        keep_predictions(folder, answers, truth)
        if epochs == self.settings.epochs:
            figures = self.trainer.measure(job, self.trainer.wait(job), state)
            looks = self.trainer.test_evaluations(job)
            keep(
                folder,
                model,
                state,
                Outcome(job, epochs, seconds, (figures,), self.trainer.protocols, packed.fingerprint, looks),
            )
        return measured(answers, truth, groups) | {"parameters": float(model.count_params()), "seconds": seconds}

    def train_epoch(
        self, job: Job, state: jax_steps.State, epoch: int, learnt: tuple[np.ndarray, np.ndarray], total: int
    ) -> jax_steps.State:
        """Train one epoch, which depends on the seed and its number alone.

        Args:
            job: The training.
            state: The weights.
            epoch: Number of the epoch, from 0.
            learnt: What it learns of every film.
            total: Steps of a trial of full length.
        """
        rng = np.random.default_rng([job.seed, epoch])
        per_epoch, loss = max(1, len(self.training) // job.batch), jnp.zeros(())
        order = np.resize(rng.permutation(self.training), per_epoch * job.batch)
        for number, rows in enumerate(order.reshape(per_epoch, job.batch)):
            rate = learning_rate(epoch * per_epoch + number, total)
            state, loss = self.trainer.step(job, state, rows, rng, learnt, rate)
        if not np.isfinite(float(loss)):
            raise FloatingPointError(
                f"the loss was not a number in epoch {epoch + 1}, with the learning rate"
                f" {job.architecture.learning_rate:g}"
            )
        return state


def _compiled_ahead(space: Space) -> list[Architecture]:
    """Return the networks that are compiled before a trial draws them: all, where a search space has one or two."""
    from_scratch = "" in space["backbone"]
    apart = {
        name: values
        for name, values in space.items()
        if name not in ARGUMENTS and (from_scratch or name not in SCRATCH)
    }
    if math.prod(map(len, apart.values())) > 2:
        return []
    return [Architecture(**dict(zip(apart, values, strict=True))) for values in itertools.product(*apart.values())]


def _job_of(name: str, point: Point, seed: int, batch: int, total: int) -> Job:
    """Return the training of a point.

    Args:
        name: Its name as a member.
        point: The point.
        seed: The seed of the trial.
        batch: Films of one step.
        total: Steps of a trial of full length.
    """
    recipe = point.recipe or Recipe()
    return Job(
        name,
        point.architecture,
        seed=seed,
        batch=batch,
        strength=point.architecture.augmentation,
        mixup=recipe.mixup,
        erase=recipe.occlusion,
        decay=point.architecture.weight_decay,
        ema=1 - 1 / max(2.0, AVERAGED * total),
        teachers=(point.teacher,) if point.teacher else (),
        taught=recipe.taught,
    )


def _keep_state(path: Path, state: jax_steps.State, epochs: int) -> None:
    leaves = {f"arr_{number}": np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves(state))}
    with with_room(path):
        write_arrays(path, epochs=np.array(epochs), **leaves)


def _taken_up(path: Path, new: jax_steps.State, most: int) -> tuple[jax_steps.State, int]:
    """Return the state that was kept after `most` epochs at most, and its epochs; otherwise the new one and 0.

    What is kept is damaged where it does not have the shapes of the new one, or is not finite.
    """
    leaves, form = jax.tree.flatten(new)
    try:
        kept = read_arrays(path, ["epochs", *(f"arr_{number}" for number in range(len(leaves)))])
    except DataError:
        return new, 0
    arrays = [kept[f"arr_{number}"] for number in range(len(leaves))]
    epochs = int(kept["epochs"]) if not kept["epochs"].shape and kept["epochs"].dtype.kind in "iu" else 0
    alike = all(
        (array.shape, array.dtype) == (leaf.shape, leaf.dtype) and np.isfinite(array).all()
        for array, leaf in zip(arrays, leaves, strict=True)
    )
    if not alike or not 0 < epochs <= most:
        return new, 0
    return jax.tree.unflatten(form, [jnp.asarray(array) for array in arrays]), epochs
