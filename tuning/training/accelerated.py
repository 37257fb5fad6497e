"""Members trained on one accelerator within a given time: every film stays in its memory, every change is part of the step.

    KERAS_BACKEND=jax python -m tuning.training.accelerated --pack runs/pack --jobs jobs.json --out runs/members --minutes 9

Jobs are trained one after the other, each in its share of the time; while one trains, the next ones are compiled. A job
may name jobs before it as its teachers: they answer for the films as they are, and the pupil sees changed ones.
What is kept is the average of the weights (EMA: Polyak & Juditsky, 1992), which is measured on validation films alone.
"""

import argparse
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import layers

from kneeoa_hub.grades import NUM_GRADES

from ..data import changes
from ..data.pack import Packed, unpack
from ..networks import backbones
from ..networks.architecture import Architecture, build

PROTOCOLS = ("oai", "gornale")
"""Whose reading a head follows; the first is the default of a bundle."""
SPREAD = 0.42
"""Of the soft labels, in grades (Diaz & Marathe, CVPR 2019)."""
WARM_UP = 0.06
STRENGTHS = 0.25, 0.6, 1.0
"""Of the changes, as parts of the job's own; a film is as likely to have one as another."""
TEACHER_DRAWS = 4
CHECK_DRAWS = 3
MEASURED_STEPS = 24


@dataclass(frozen=True)
class Job:
    """One training. share: of the time, beside the others' shares. teachers: names of jobs before it.

    taught: proportion of the target that is the teachers' answer. unlabelled: weight of what the teachers' default protocol
    says of the films of the other collection. shifted: depthwise convolutions as sums of products (`backbones.ShiftedDepthwise`).
    """

    name: str
    architecture: dict[str, Any]
    share: float = 1.0
    seed: int = 0
    batch: int = 64
    strength: float = 1.0
    mixup: float = 0.2
    erase: float = 0.3
    decay: float = 0.03
    ema: float = 0.998
    teachers: tuple[str, ...] = ()
    taught: float = 0.5
    unlabelled: float = 0.3
    shifted: bool = False

    @property
    def network(self) -> Architecture:
        return Architecture(**self.architecture)


class State(NamedTuple):
    """Everything that a step changes; trees of arrays."""

    weights: list[Any]
    fixed: list[Any]
    first: list[Any]
    second: list[Any]
    mean: list[Any]
    mean_fixed: list[Any]
    step: Any


@dataclass(frozen=True)
class Data:
    """The films on the accelerator, and what is known of them here."""

    films: Any
    joints: Any
    content: Any
    bank: Any
    packed: Packed
    heads: np.ndarray = field(repr=False)

    def rows(self, split: str, protocol: str | None = None) -> np.ndarray:
        wanted = self.packed.splits == split
        return np.flatnonzero(wanted if protocol is None else wanted & (self.packed.collections == protocol))


def two_headed(architecture: Architecture, published: bool = False) -> keras.Model:
    """image -> probabilities [N,protocols,5]: the network of an architecture with one more classifier a protocol."""
    base = build(architecture, published=published)
    vector = base.get_layer("embedding").output
    heads = [base.output]
    for protocol in PROTOCOLS[1:]:
        dense = layers.Dense(NUM_GRADES, activation="softmax", dtype="float32", name=f"classifier_{protocol}")
        heads.append(dense(vector))
    return keras.Model(base.input, keras.ops.stack(heads, axis=1), name="two_headed")


def soft(grades: np.ndarray, spread: float = SPREAD) -> np.ndarray:
    """[N] -> [N,5]: a label with part of it on the neighbouring grades."""
    distance = (np.arange(NUM_GRADES)[None] - grades[:, None]) / spread
    weight = np.exp(-0.5 * distance**2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def targets(data: Data, job: Job, answers: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """[N,protocols,5] targets and [N,protocols] weights for every film of the pack."""
    count = len(data.packed.grades)
    wanted, weight = (
        np.zeros((count, len(PROTOCOLS), NUM_GRADES), np.float32),
        np.zeros((count, len(PROTOCOLS)), np.float32),
    )
    own = np.arange(count), data.heads
    wanted[own], weight[own] = soft(data.packed.grades), 1.0
    if answers is not None:
        wanted[own] = (1 - job.taught) * wanted[own] + job.taught * answers[own]
        others = np.flatnonzero(data.heads != 0)
        wanted[others, 0], weight[others, 0] = answers[others, 0], job.unlabelled
    return wanted, weight


def load(pack: Path) -> Data:
    packed = unpack(pack / "films.npz")
    heads = np.array([PROTOCOLS.index(name) for name in packed.collections])
    bank = changes.noise_bank(np.random.default_rng(0))
    return Data(
        jnp.asarray(packed.films),
        jnp.asarray(packed.joints),
        jnp.asarray(packed.content),
        jnp.asarray(bank),
        packed,
        heads,
    )


def start(model: keras.Model, architecture: Architecture, pack: Path) -> State:
    """The network's first weights, published ones where the pack has them."""
    if architecture.backbone:
        with np.load(pack / f"{architecture.backbone}.npz") as arrays:
            for layer in model.layers:
                if f"{layer.name}/0" in arrays:
                    layer.set_weights(
                        [
                            arrays[f"{layer.name}/{number}"].astype(np.float32)
                            for number in range(len(layer.get_weights()))
                        ]
                    )
    weights = [jnp.array(variable.value) for variable in model.trainable_variables]
    fixed = [jnp.array(variable.value) for variable in model.non_trainable_variables]
    zeros = [jnp.zeros_like(weight) for weight in weights]
    return State(
        weights,
        fixed,
        zeros,
        [jnp.zeros_like(weight) for weight in weights],
        [jnp.array(w) for w in weights],
        [jnp.array(f) for f in fixed],
        jnp.zeros((), jnp.int32),
    )


def write_backbones(names: list[str], folder: Path) -> None:
    """The published weights as float16 beside a pack, for a machine that has no package index."""
    for name in names:
        network = Architecture(size=256, fold=True, backbone=name)
        model = build(network)
        arrays = {
            f"{layer.name}/{number}": array.astype(np.float16 if array.ndim > 1 else np.float32)
            for layer in model.layers
            if layer.name.startswith(f"{name}_")
            for number, array in enumerate(layer.get_weights())
        }
        np.savez(folder / f"{name}.npz", **arrays)


def train_step(
    model: keras.Model,
    job: Job,
    state: State,
    films: Any,
    joints: Any,
    content: Any,
    bank: Any,
    rows: Any,
    draws: Any,
    wanted: Any,
    weight: Any,
    rate: Any,
) -> tuple[State, Any]:
    """One step of AdamW (Loshchilov & Hutter, ICLR 2019) on the films `rows`, changed as drawn."""
    side = job.network.size
    image = changes.framed(
        jnp.take(films, rows, axis=0),
        jnp.take(joints, rows, axis=0),
        jnp.take(content, rows, axis=0),
        draws,
        bank,
        side,
    )

    def loss(weights: list[Any]) -> tuple[Any, Any]:
        answers, fixed = model.stateless_call(weights, state.fixed, image, training=True)
        mixed = draws.mix[:, None, None] * wanted + (1 - draws.mix[:, None, None]) * jnp.take(
            wanted, draws.partner, axis=0
        )
        weighed = draws.mix[:, None] * weight + (1 - draws.mix[:, None]) * jnp.take(weight, draws.partner, axis=0)
        each = -jnp.sum(mixed * jnp.log(jnp.clip(answers, 1e-6, 1.0)), axis=-1)
        return jnp.sum(each * weighed) / jnp.sum(weighed), fixed

    (value, fixed), slopes = jax.value_and_grad(loss, has_aux=True)(state.weights)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(slope)) for slope in slopes))
    slopes = [slope * jnp.minimum(1.0, 2.0 / (norm + 1e-9)) for slope in slopes]
    step = state.step + 1
    count = step.astype(jnp.float32)
    first = [0.9 * old + 0.1 * slope for old, slope in zip(state.first, slopes, strict=True)]
    second = [0.999 * old + 0.001 * jnp.square(slope) for old, slope in zip(state.second, slopes, strict=True)]
    scale = jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    moved = [
        weight_ - rate * (scale * one / (jnp.sqrt(two) + 1e-8) + (job.decay * weight_ if weight_.ndim > 1 else 0.0))
        for weight_, one, two in zip(state.weights, first, second, strict=True)
    ]
    keep = jnp.minimum(job.ema, (1 + count) / (10 + count))
    mean = [keep * old + (1 - keep) * new for old, new in zip(state.mean, moved, strict=True)]
    mean_fixed = [
        keep * old + (1 - keep) * new if jnp.issubdtype(new.dtype, jnp.floating) else new
        for old, new in zip(state.mean_fixed, fixed, strict=True)
    ]
    return State(moved, fixed, first, second, mean, mean_fixed, step), value


def answer_step(
    model: keras.Model,
    side: int,
    weights: Any,
    fixed: Any,
    films: Any,
    joints: Any,
    content: Any,
    bank: Any,
    rows: Any,
    draws: Any,
) -> Any:
    image = changes.framed(
        jnp.take(films, rows, axis=0),
        jnp.take(joints, rows, axis=0),
        jnp.take(content, rows, axis=0),
        draws,
        bank,
        side,
    )
    return model.stateless_call(weights, fixed, image, training=False)[0]


@dataclass
class Compiled:
    model: keras.Model
    state: State
    train: Any
    answer: Any


class Trainer:
    """Compiles and trains the jobs of one run."""

    def __init__(self, data: Data, pack: Path, out: Path):
        self.data, self.pack, self.out = data, pack, out
        self.pool = ThreadPoolExecutor(8)
        self.answers: dict[str, np.ndarray] = {}
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def prepare(self, job: Job) -> Future[Compiled]:
        keras.utils.set_random_seed(job.seed)
        backbones.DEPTHWISE = backbones.ShiftedDepthwise if job.shifted else layers.DepthwiseConv2D
        model = two_headed(job.network)
        state = start(model, job.network, self.pack)
        data = self.data
        draws = self._draw(np.random.default_rng(0), np.zeros(job.batch, np.int64), job)
        rows = jnp.zeros(job.batch, jnp.int32)
        wanted, weight = jnp.zeros((job.batch, len(PROTOCOLS), NUM_GRADES)), jnp.zeros((job.batch, len(PROTOCOLS)))
        shared = (data.films, data.joints, data.content, data.bank, rows, draws)
        train = jax.jit(partial(train_step, model, job), donate_argnums=0).lower(
            state, *shared, wanted, weight, jnp.float32(0)
        )
        answer = jax.jit(partial(answer_step, model, job.network.size)).lower(state.mean, state.mean_fixed, *shared)
        self.say(f"{job.name}: traced, {model.count_params():,} parameters")

        def finish() -> Compiled:
            begun = time.monotonic()
            done = Compiled(model, state, train.compile(), answer.compile())
            self.say(f"{job.name}: compiled in {time.monotonic() - begun:.0f} s")
            return done

        return self.pool.submit(finish)

    def _draw(
        self, rng: np.random.Generator, grades: np.ndarray, job: Job, strength: float | None = None
    ) -> changes.Draws:
        if strength is not None:
            return changes.draw(rng, grades, strength)
        return changes.draw(rng, grades, job.strength * rng.choice(STRENGTHS, len(grades)), job.mixup, job.erase)

    def ask(
        self, job: Job, compiled: Compiled, rows: np.ndarray, strength: float, draws: int, seed: int = 5
    ) -> np.ndarray:
        """[N,protocols,5]: mean of what the averaged weights answer for films changed `draws` times."""
        rng, data = np.random.default_rng(seed), self.data
        parts = []
        for first in range(0, len(rows), job.batch):
            some = rows[first : first + job.batch]
            padded = np.resize(some, job.batch)
            total = 0
            for _ in range(draws):
                drawn = self._draw(rng, data.packed.grades[padded], job, strength)
                state = compiled.state
                total = total + compiled.answer(
                    state.mean,
                    state.mean_fixed,
                    data.films,
                    data.joints,
                    data.content,
                    data.bank,
                    jnp.asarray(padded, jnp.int32),
                    drawn,
                )
            parts.append((total, len(some)))
        return np.concatenate([np.asarray(total)[:count] / draws for total, count in parts])

    def train(self, job: Job, compiled: Compiled, seconds: float) -> dict[str, Any]:
        rng, data = np.random.default_rng([job.seed, 7]), self.data
        rows = data.rows("train")
        told = None
        if job.teachers:
            told = np.mean([self.answers[name] for name in job.teachers], axis=0)
        wanted, weight = targets(data, job, told)
        per_epoch = len(rows) // job.batch
        begun, total, done, order, losses = time.monotonic(), None, 0, rng.permutation(rows), []
        history: list[dict[str, Any]] = []
        while total is None or done < total:
            place = done % per_epoch
            if place == 0:
                order = rng.permutation(rows)
            some = order[place * job.batch : (place + 1) * job.batch]
            rate = job.network.learning_rate * _rate(done, total or 10**6)
            draws = self._draw(rng, data.packed.grades[some], job)
            compiled.state, value = compiled.train(
                compiled.state,
                data.films,
                data.joints,
                data.content,
                data.bank,
                jnp.asarray(some, jnp.int32),
                draws,
                wanted[some],
                weight[some],
                jnp.float32(rate),
            )
            done += 1
            losses.append(value)
            if done == 4:
                value.block_until_ready()
                clock = time.monotonic()
            if done == 4 + MEASURED_STEPS:
                value.block_until_ready()
                each = (time.monotonic() - clock) / MEASURED_STEPS
                total = max(2 * MEASURED_STEPS, int((seconds - (time.monotonic() - begun)) * 0.97 / each) + done)
                self.say(
                    f"{job.name}: {each * 1e3:.1f} ms a step, {job.batch / each:.0f} films/s, {total} steps, {total / per_epoch:.1f} epochs"
                )
            if total and done in {int(total * part) for part in (0.25, 0.5, 0.75, 0.9)} | {total}:
                loss = float(np.mean([float(one) for one in losses[-200:]]))
                losses.clear()
                history.append({"step": done, "epoch": done / per_epoch, "loss": loss, **self.measure(job, compiled)})
                self.say(f"{job.name}: " + ", ".join(f"{key} {value:.3f}" for key, value in history[-1].items()))
            if total and time.monotonic() - begun > seconds * 1.25 and done < total:
                self.say(f"{job.name}: slower than measured, stopped at {done} of {total}")
                break
        return {"epochs": done / per_epoch, "seconds": time.monotonic() - begun, "history": history}

    def measure(self, job: Job, compiled: Compiled) -> dict[str, float]:
        values: dict[str, float] = {}
        for head, protocol in enumerate(PROTOCOLS):
            rows = self.data.rows("val", protocol)
            if not len(rows):
                continue
            grades = self.data.packed.grades[rows]
            plain = self.ask(job, compiled, rows, 0.0, 1)[:, head]
            changed = self.ask(job, compiled, rows, 1.0, 1)[:, head]
            values |= {f"{protocol}_{key}": value for key, value in figures(plain, grades).items()}
            values |= {f"{protocol}_changed_{key}": value for key, value in figures(changed, grades).items()}
            values[f"{protocol}_same"] = float((expected(plain) == expected(changed)).mean())
        return values

    def keep(self, job: Job, compiled: Compiled, outcome: dict[str, Any]) -> None:
        """Write the averaged weights, matrices as float16, with what became of the training."""
        state, model = compiled.state, compiled.model
        arrays = {}
        for variables, values in (
            (model.trainable_variables, state.mean),
            (model.non_trainable_variables, state.mean_fixed),
        ):
            for variable, value in zip(variables, values, strict=True):
                array = np.asarray(value, np.float32)
                arrays[variable.path] = array.astype(np.float16) if array.ndim > 1 else array
        self.out.mkdir(parents=True, exist_ok=True)
        np.savez(self.out / f"{job.name}.npz", job=json.dumps(job.__dict__), outcome=json.dumps(outcome), **arrays)


def _rate(step: int, total: int) -> float:
    """The learning rate's share: a linear rise, then a cosine to a hundredth (Loshchilov & Hutter, ICLR 2017)."""
    warm = min(400.0, WARM_UP * total)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(1.0, (step - warm) / max(1.0, total - warm))))


def expected(probabilities: np.ndarray) -> np.ndarray:
    return np.rint(probabilities @ np.arange(NUM_GRADES)).astype(int)


def figures(probabilities: np.ndarray, grades: np.ndarray) -> dict[str, float]:
    """Log loss, quadratic kappa and accuracy of the rounded expected grade, and accuracy of the likeliest."""
    given, likeliest = expected(probabilities), probabilities.argmax(1)
    return {
        "log_loss": float(-np.log(np.maximum(probabilities[np.arange(len(grades)), grades], 1e-6)).mean()),
        "qwk": kappa(given, grades),
        "accuracy": float((given == grades).mean()),
        "likeliest": float((likeliest == grades).mean()),
    }


def kappa(given: np.ndarray, grades: np.ndarray) -> float:
    observed = ((given - grades) ** 2).mean()
    by_chance = ((given[:, None] - grades[None]) ** 2).mean()
    return float(1 - observed / max(by_chance, 1e-9))


def run(pack: Path, jobs: list[Job], out: Path, minutes: float) -> None:
    """Train every job in its share of the time that is left; what has finished is written at once."""
    ends = time.monotonic() + minutes * 60
    data = load(pack)
    trainer = Trainer(data, pack, out)
    trainer.say(f"{jax.devices()[0]}, {len(data.packed.grades)} films")
    waiting = [trainer.prepare(job) for job in jobs]
    for number, (job, future) in enumerate(zip(jobs, waiting, strict=True)):
        compiled = future.result()
        left = ends - time.monotonic()
        seconds = left * job.share / sum(one.share for one in jobs[number:])
        outcome = trainer.train(job, compiled, seconds)
        if any(job.name in later.teachers for later in jobs[number + 1 :]):
            trainer.answers[job.name] = trainer.ask(
                job, compiled, np.arange(len(data.packed.grades)), 0.25, TEACHER_DRAWS
            )
        trainer.keep(job, compiled, outcome)
        compiled.state = None  # type: ignore[assignment]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument(
        "--jobs", type=Path, help="JSON: a list of jobs; without it the backbones' weights are written into the pack"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--precision", default="mixed_bfloat16")
    arguments = parser.parse_args()
    if not arguments.jobs:
        write_backbones(["lite0", "lite1"], arguments.pack)
        return
    keras.config.set_dtype_policy(arguments.precision)
    jobs = [
        Job(**{**row, "teachers": tuple(row.get("teachers", ()))}) for row in json.loads(arguments.jobs.read_text())
    ]
    run(arguments.pack, jobs, arguments.out, arguments.minutes)


if __name__ == "__main__":
    main()
