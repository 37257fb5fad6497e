"""One accelerator trains members within a given time: films stay in its memory, their changes are part of the step.

    python -m tuning.training.pack --audit runs/audit --out runs/pack
    KERAS_BACKEND=jax python -m tuning.training.accelerated --pack runs/pack --jobs jobs.json --out runs/members

Jobs are trained one after the other, each in its share of the time; while one trains, the next is compiled. Jobs that
differ in numbers alone are compiled once. What is kept is measured on validation films alone. docs/training.md has an
example of jobs.json. With `--search` in place of `--jobs`, the jobs are the trials that a search on the same pack has
chosen, each trained anew, and for no fewer epochs. A command that was stopped goes on after the jobs that it finished.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from kneeoa_hub.agreement import qwk
from kneeoa_hub.decision import severity
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.grades import NUM_GRADES

from ..data import changes
from ..networks.architecture import build
from ..run import console, steps
from ..run.arrays import write_arrays
from ..run.folder import only_run
from ..run.option_types import minutes
from . import jax_steps
from .jobs import Job, Measured, Outcome, chosen_jobs, jobs_from, targets
from .pack import ANSWERS, FILMS, Packed, Teacher, is_pack, keep_teacher, mean_answers, starts, teachers_of, unpack
from .run_again import command_of, finished, steps_for

STRENGTHS = 0.25, 0.6, 1.0
"""The changes have these strengths, as parts of the job's own; a film is as likely to have one as another."""
TEACHERS_STRENGTH, TEACHERS_DRAWS = 0.25, 4
"""A teacher answers for films that are changed at TEACHERS_STRENGTH, and for each of them TEACHERS_DRAWS times."""
WARM_UP, WARM_UP_STEPS = 0.06, 400
"""The learning rate rises over the proportion WARM_UP of the steps, and over WARM_UP_STEPS at most."""
FIRST_STEPS, MEASURED_STEPS = 4, 24
"""FIRST_STEPS are done before a step is timed and MEASURED_STEPS while it is, which tells how many steps there is time
for."""
OUTCOMES = "outcomes.json"
"""This file, beside the weights of a run, holds the outcomes of all its jobs."""
NO_ACCELERATOR = (
    "warning: JAX finds no accelerator and computes on the processor, which takes days for what a GPU does in an hour."
    " For an NVIDIA GPU, install 'jax[cuda13]' (docs/training.md)"
)
MEASURED_AT = 0.25, 0.5, 0.75, 0.9, 1.0
"""Validation films are graded at these proportions of a training."""


@dataclass(frozen=True)
class Program:
    """A program holds the compiled steps of an architecture and a batch size."""

    train: Any
    answer: Any


def learning_rate(step: int, total: int) -> float:
    """Return the factor of the learning rate: a linear rise, then a cosine to 0.01 (Loshchilov & Hutter, 2017)."""
    warm = min(WARM_UP_STEPS, WARM_UP * total)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(1.0, (step - warm) / max(1.0, total - warm))))


class Trainer:
    """A trainer compiles and trains the jobs of one run on the films of one pack."""

    def __init__(self, pack: Path, out: Path):
        self.packed: Packed = unpack(pack / FILMS)
        self.protocols = tuple(dict.fromkeys(self.packed.collections.tolist()))
        self.heads = np.array([self.protocols.index(name) for name in self.packed.collections])
        bank = changes.noise_bank(np.random.default_rng(0))
        arrays = (self.packed.films, self.packed.joints, self.packed.content, bank)
        self.films = jax_steps.Films(*(jnp.asarray(array) for array in arrays))
        self.teachers = teachers_of(pack)
        answered = len(self.heads), len(self.protocols), NUM_GRADES
        if strange := [name for name, one in self.teachers.items() if one.answers.shape != answered]:
            raise DataError(f"{pack} has answers of {strange[0]} for other films than its own; pack the audit again.")
        self._pack, self._out = pack, out
        self._compiler = ThreadPoolExecutor(1)  # compiling tries kernels on the accelerator, one program at a time
        self._programs: dict[Any, Future[Program]] = {}
        self._started = time.monotonic()
        if jax.default_backend() == "cpu":
            self.say(NO_ACCELERATOR)

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)

    def model(self, job: Job) -> keras.Model:
        """Return the job's network with the weights that it begins with."""
        keras.utils.set_random_seed(job.seed)
        model = build(job.architecture, published=False, protocols=self.protocols)
        start = job.start or job.architecture.backbone
        if not start:
            return model
        first = starts(self._pack, start)
        try:
            if job.start:
                model.set_weights(first.get("weights", []))
            else:
                for layer in model.layers:
                    if layer.name in first:
                        layer.set_weights(first[layer.name])
        except ValueError:
            raise DataError(
                f"{job.name}: the weights of {start} in {self._pack} are those of another network; pack them again."
            ) from None
        return model

    def compile(self, job: Job) -> None:
        """Have the job's program compiled, behind what is already waiting."""
        if job.program in self._programs:
            return
        model, batch, side = self.model(job), job.batch, job.architecture.size
        state = jax_steps.begin(model)
        draws = changes.draw(np.random.default_rng(0), np.zeros(batch, np.int64), 1.0)
        films = (self.films, jnp.zeros(batch, jnp.int32), draws)
        wanted = jnp.zeros((batch, len(self.protocols), NUM_GRADES)), jnp.zeros((batch, len(self.protocols)))
        train = jax.jit(partial(jax_steps.train, model, side), donate_argnums=0)
        answer = jax.jit(partial(jax_steps.answer, model, side))
        lowered = train.lower(state, *films, *wanted, _rates(job, 0.0)), answer.lower(state, *films)
        self.say(f"{job.name}: traced, {model.count_params():,} parameters")

        def finish() -> Program:
            begun = time.monotonic()
            program = Program(*(one.compile() for one in lowered))
            self.say(f"{job.name}: compiled in {time.monotonic() - begun:.0f} s")
            return program

        self._programs[job.program] = self._compiler.submit(finish)

    def wait(self, job: Job) -> Program:
        """Return the job's program, once it is compiled."""
        return self._programs[job.program].result()

    def train(self, job: Job, seconds: float) -> tuple[keras.Model, jax_steps.State, Outcome]:
        """Train a job for so many seconds, counted from when its program is there.

        Raises DataError when they are too few for its least epochs.
        """
        program, model = self.wait(job), self.model(job)
        state = jax_steps.begin(model)
        rng, rows = np.random.default_rng([job.seed, 7]), np.flatnonzero(self.packed.splits == "train")
        learnt = self.learnt(job)
        per_epoch, total, done, order = max(1, len(rows) // job.batch), 0, 0, rows
        history: list[tuple[Measured, ...]] = []
        begun = clock = time.monotonic()
        while not total or done < total:
            if done % per_epoch == 0:
                order = np.resize(rng.permutation(rows), per_epoch * job.batch)
            some = order[done % per_epoch * job.batch :][: job.batch]
            state, loss = self.step(job, state, some, rng, learnt, learning_rate(done, total or 10**6))
            done += 1
            if done in (FIRST_STEPS, FIRST_STEPS + MEASURED_STEPS):
                loss.block_until_ready()
                each, clock = (time.monotonic() - clock) / MEASURED_STEPS, time.monotonic()
                if done > FIRST_STEPS:
                    total = steps_for(job, done, seconds - (clock - begun), each, per_epoch)
                    self.say(f"{job.name}: {job.batch / each:.0f} films/s, {total / per_epoch:.1f} epochs")
            if total and done in {max(1, int(total * part)) for part in MEASURED_AT}:
                history.append(self.measure(job, program, state))
                self.say(f"{job.name}: epoch {done / per_epoch:.1f}, loss {float(loss):.3f}; {_described(history[-1])}")
        seconds, audit, looks = time.monotonic() - begun, self.packed.fingerprint, self.test_evaluations(job)
        return model, state, Outcome(job, done / per_epoch, seconds, tuple(history), self.protocols, audit, looks)

    def learnt(self, job: Job) -> tuple[np.ndarray, np.ndarray]:
        """Return what a job learns of every film, and with which weight: see `jobs.targets`."""
        taught = mean_answers([self.teachers[name].answers for name in job.teachers]) if job.teachers else None
        return targets(job, self.packed.grades, self.heads, len(self.protocols), taught)

    def step(
        self,
        job: Job,
        state: jax_steps.State,
        rows: np.ndarray,
        rng: np.random.Generator,
        learnt: tuple[np.ndarray, np.ndarray],
        rate: float,
    ) -> tuple[jax_steps.State, Any]:
        """Take one step, and return the new state and the loss.

        Args:
            job: The training, whose program has been compiled.
            state: The weights; they can't be used afterwards.
            rows: The films of the batch [B].
            rng: Random generator of their changes.
            learnt: The targets of all films, and their weights.
            rate: The learning rate, as a part of the job's highest one.
        """
        strength = job.strength * rng.choice(STRENGTHS, job.batch)
        draws = self.draw(job, rng, rows, strength, job.mixup, job.erase)
        rates = _rates(job, job.architecture.learning_rate * rate)
        wanted, weight = (one[rows] for one in learnt)
        return self.wait(job).train(state, self.films, jnp.asarray(rows, jnp.int32), draws, wanted, weight, rates)

    def draw(self, job: Job, rng: np.random.Generator, rows: np.ndarray, *strength: Any) -> changes.Draws:
        """Return the changes of some films in the job's frames.

        Args:
            job: The job.
            rng: Random generator of the draws.
            rows: Rows of the films in the pack.
            strength: Strength of the changes, as `changes.draw` takes it.
        """
        draws = changes.draw(rng, self.packed.grades[rows], *strength)
        return draws._replace(scale=draws.scale * np.float32(job.architecture.reach))

    def test_evaluations(self, job: Job) -> int:
        """Return how often what taught this job was measured on test films."""
        return max((self.teachers[name].test_evaluations for name in job.teachers), default=0)

    def ask(
        self, job: Job, program: Program, state: jax_steps.State, rows: np.ndarray, strength: float, draws: int
    ) -> np.ndarray:
        """Return the mean probabilities of the averaged weights for some films: [N,protocols,5].

        Args:
            job: The training, which has the size of a batch.
            program: The job's compiled functions.
            state: The weights.
            rows: The films [N].
            strength: The strength of the changes.
            draws: The number of changed copies of each film.
        """
        rng, parts = np.random.default_rng(5), []
        for first in range(0, len(rows), job.batch):
            some = np.resize(rows[first : first + job.batch], job.batch)
            drawn = (self.draw(job, rng, some, strength) for _ in range(draws))
            parts.append(sum(program.answer(state, self.films, jnp.asarray(some, jnp.int32), one) for one in drawn))
        return np.concatenate([np.asarray(part) for part in parts])[: len(rows)] / draws

    def measure(self, job: Job, program: Program, state: jax_steps.State) -> tuple[Measured, ...]:
        """Return validation figures of every protocol that has validation films.

        Args:
            job: The training, which has the size of a batch.
            program: The job's compiled functions.
            state: The weights.
        """
        measured = []
        for head, protocol in enumerate(self.protocols):
            rows = np.flatnonzero((self.packed.splits == "val") & (self.heads == head))
            if len(rows):
                plain, changed = (self.ask(job, program, state, rows, strength, 1)[:, head] for strength in (0.0, 1.0))
                measured.append(_figures(protocol, self.packed.grades[rows], plain, changed))
        return tuple(measured)

    def teach(self, job: Job, state: jax_steps.State) -> None:
        """Keep what a job says of every film for its pupils; those of another run find it in `out`."""
        program, rows = self.wait(job), np.arange(len(self.heads))
        answers = self.ask(job, program, state, rows, TEACHERS_STRENGTH, TEACHERS_DRAWS)
        self.teachers[job.name] = Teacher(job.name, answers, self.test_evaluations(job))
        keep_teacher(self._out, self.teachers[job.name])


def keep(folder: Path, model: keras.Model, state: jax_steps.State, outcome: Outcome) -> Path:
    """Write the averaged weights, kernels as float16, with the outcome of the training; return the file.

    Args:
        folder: Where the file goes.
        model: The network, which names the weights.
        state: The weights.
        outcome: The job and its figures.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    arrays = {}
    for variable, value in zip(variables, [*state.mean, *state.mean_fixed], strict=True):
        array = np.asarray(value, np.float32)
        arrays[variable.path] = array.astype(np.float16) if array.ndim > 1 else array
    path = folder / f"{outcome.job.name}.npz"
    write_arrays(path, outcome=np.array(steps.as_json(outcome)), **arrays)
    return path


def run(pack: Path, jobs: Sequence[Job], out: Path, minutes: float) -> list[Outcome]:
    """Train every job in its share of the time; each is written when it has ended.

    Jobs that an earlier run of the same command finished are not trained again, and the time is for the others.

    Args:
        pack: The folder with the films.
        jobs: The trainings, teachers before their pupils.
        out: The folder for the weights and the outcomes.
        minutes: The time for all jobs together.

    Raises:
        DataError: A job has time for fewer than its least epochs. It is not written; the jobs before it are.
    """
    ends = time.monotonic() + 60 * minutes
    command = command_of(pack, keras.config.dtype_policy().name, minutes, jobs)
    trainer, outcomes = Trainer(pack, out), finished(out, jobs, command)
    trainer.say(f"{jax.devices()[0]}, {len(trainer.heads)} films, protocols {', '.join(trainer.protocols)}")
    for name, outcome in outcomes.items():
        trainer.say(f"{name}: this command has trained it before, for {outcome.epochs:.1f} epochs")
    trainer.teachers |= {name: one for name, one in teachers_of(out).items() if name in outcomes} if outcomes else {}
    new = [job for job in jobs if job.name not in outcomes]
    _list_outcomes(out, outcomes, jobs)
    for job in new:
        trainer.compile(job)
    for number, job in enumerate(new):
        trainer.wait(job)
        left = ends - time.monotonic()
        model, state, outcome = trainer.train(job, left * job.share / sum(one.share for one in new[number:]))
        (out / f"{ANSWERS}{job.name}.npz").unlink(missing_ok=True)
        if any(job.name in pupil.teachers for pupil in new[number + 1 :]):
            trainer.teach(job, state)
        outcomes[job.name] = replace(outcome, command=command)
        trainer.say(f"{job.name}: {keep(out, model, state, outcomes[job.name])}")
        _list_outcomes(out, outcomes, jobs)
    return [outcomes[job.name] for job in jobs]


def _list_outcomes(out: Path, outcomes: Mapping[str, Outcome], jobs: Sequence[Job]) -> None:
    steps.write_json(out / OUTCOMES, [outcomes[job.name] for job in jobs if job.name in outcomes])


def _rates(job: Job, learning: float) -> jax_steps.Rates:
    return jax_steps.Rates(jnp.float32(learning), jnp.float32(job.decay), jnp.float32(job.ema))


def _figures(protocol: str, grades: np.ndarray, plain: np.ndarray, changed: np.ndarray) -> Measured:
    """Measure the likeliest grade, since the decision rule is fitted later."""

    def log_loss(probabilities: np.ndarray) -> float:
        return float(-np.log(np.maximum(probabilities[np.arange(len(grades)), grades], 1e-6)).mean())

    one, two = plain.argmax(1), changed.argmax(1)
    return Measured(
        protocol,
        log_loss(plain),
        qwk(grades, one),
        float((grades == one).mean()),
        log_loss(changed),
        qwk(grades, two),
        float((np.rint(severity(plain)) == np.rint(severity(changed))).mean()),
    )


def _described(measured: Sequence[Measured]) -> str:
    return "; ".join(
        f"{one.protocol}: log loss {one.log_loss:.3f}, QWK {one.qwk:.3f}, accuracy {one.accuracy:.3f}, changed"
        f" {one.changed_log_loss:.3f}, {one.changed_qwk:.3f}, same grade {one.same:.3f}"
        for one in measured
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 1 when it fails for a reason that the message gives, or 2 for an option."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True, help="output of `python -m tuning.training.pack`")
    jobs_of = parser.add_mutually_exclusive_group(required=True)
    jobs_of.add_argument("--jobs", type=Path, help="JSON: a list of jobs, see tuning.training.jobs.Job")
    jobs_of.add_argument("--search", type=Path, help="a search on the pack: its chosen trials are the jobs")
    parser.add_argument("--out", type=Path, required=True, help="folder for one NAME.npz a job")
    parser.add_argument("--minutes", type=minutes, default=9.0, help="for everything, compiling included; default: 9")
    parser.add_argument("--precision", default="mixed_bfloat16", help="of the layers' arithmetic")
    return console.exit_code(lambda: _train(parser.parse_args(given)))


def _train(options: argparse.Namespace) -> None:
    if keras.backend.backend() != "jax":
        raise SettingsError(f"KERAS_BACKEND is {keras.backend.backend()!r}; set it to jax for this command.")
    if not is_pack(options.pack) or is_pack(options.out):
        raise SettingsError(
            f"--pack {options.pack}, --out {options.out}: give the pack of films first, and another folder to write to."
        )
    try:
        keras.config.set_dtype_policy(options.precision)
    except (ValueError, AttributeError):
        raise SettingsError(f"--precision {options.precision}: choose float32 or mixed_bfloat16.") from None
    rows = chosen_jobs(options.search) if options.search else steps.read_json(options.jobs)
    jobs = jobs_from(rows, teachers_of(options.pack))
    options.out.mkdir(parents=True, exist_ok=True)
    with only_run(options.out):
        run(options.pack, jobs, options.out, options.minutes)


if __name__ == "__main__":
    sys.exit(main())
