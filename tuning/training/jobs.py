"""An accelerator trains jobs, which are data; the targets that each of them learns are made here."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.files import is_file_name
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.typed_json import FieldError, Range, from_json, to_json

from ..networks.architecture import Architecture
from ..networks.search_space import RECIPES, Recipe
from ..run import steps
from ..run.arrays import read_arrays
from .search_result import (
    CHOSEN,
    TRIALS,
    architecture_of_trial,
    chosen_trials,
    member_name,
    parse_architecture,
    row_of_trial,
)

SPREAD = 0.42
"""A soft label has this deviation, in grades (Diaz & Marathe, "Soft labels for ordinal regression", CVPR 2019)."""

Proportion = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Job:
    """A job is one training on an accelerator.

    Attributes:
        name: Its name, which also names its files.
        architecture: Its network.
        share: Its weight in the division of the time among the jobs. The name is that of published jobs.
        seed: Seed of its weights, batches and random changes.
        batch: Films of one step.
        strength: Strength of the changes of films, see `changes.draw`.
        mixup: How strongly films are mixed, see `changes.draw`.
        erase: Proportion of the films of which a rectangle is erased, see `changes.draw`.
        decay: Decay of the weights (AdamW).
        ema: Proportion of the averaged weights that a step keeps.
        teachers: Names of jobs before this one, or of bundles whose answers are in the pack. They answer for the
            films as they are, and this one sees changed films.
        taught: Proportion of the target that is the teachers' answer.
        unlabelled: Weight of the teachers' answer, by the default protocol, for films that another protocol graded.
        start: Name of a member in the pack whose weights it begins with, in place of a backbone's or random ones.
        least_epochs: In time for fewer epochs it is not trained. A chosen trial needs as many as the trial had.
    """

    name: str
    architecture: Architecture
    share: Annotated[float, Range(0.001, 1000)] = 1.0
    seed: Annotated[int, Range(0, steps.SEEDS - 1)] = 0
    batch: Annotated[int, Range(1, 4096)] = 64
    strength: Proportion = 1.0
    mixup: Proportion = 0.2
    erase: Proportion = 0.3
    decay: Annotated[float, Range(0, 100)] = 0.03
    ema: Proportion = 0.998
    teachers: tuple[str, ...] = ()
    taught: Proportion = 0.5
    unlabelled: Proportion = 0.3
    start: str = ""
    least_epochs: Annotated[float, Range(0, 100_000)] = 1.0

    @property
    def program(self) -> tuple[Architecture, int]:
        """What is compiled: jobs with the same program differ only in arguments of the step, so it is compiled once."""
        return replace(self.architecture, learning_rate=0.0, augmentation=0.0, weight_decay=0.0, reach=1.0), self.batch


@dataclass(frozen=True)
class Measured:
    """These are validation figures of one protocol.

    Attributes:
        protocol: The dataset whose readers graded.
        log_loss: Log loss of the films as they are.
        qwk: Quadratic weighted kappa of the likeliest grade.
        accuracy: Proportion of the films whose likeliest grade is the reader's.
        changed_log_loss: Log loss of the films under changes of full strength.
        changed_qwk: Kappa of the changed films.
        same: Proportion of the films whose likeliest grade the changes leave.
    """

    protocol: str
    log_loss: float
    qwk: float
    accuracy: float
    changed_log_loss: float
    changed_qwk: float
    same: float


@dataclass(frozen=True)
class Outcome:
    """An outcome says what became of a training.

    Attributes:
        job: The job.
        epochs: Passes over the training films.
        seconds: Time of the training.
        history: Figures of every protocol, each time that they were measured.
        protocols: The protocols in the order of the classifiers.
        fingerprint: Fingerprint of the audit whose films were trained on.
        test_evaluations: How often the bundles that taught it were measured on test films.
        command: The command that trained it, see `run_again.command_of`; "" in files of earlier releases.
    """

    job: Job
    epochs: float
    seconds: float
    history: tuple[tuple[Measured, ...], ...]
    protocols: tuple[str, ...] = ()
    fingerprint: str = ""
    test_evaluations: Annotated[int, Range(0)] = 0
    command: str = ""


def read_kept(path: Path) -> tuple[Outcome, list[np.ndarray]]:
    """Return the outcome of a training on an accelerator, and its weights, float32.

    Raises DataError for a file that no such training has left, and for weights that are not numbers.
    """
    arrays = read_arrays(path, ("outcome",))
    try:
        outcome = from_json(Outcome, json.loads(str(arrays.pop("outcome"))))
        parse_architecture(asdict(outcome.job.architecture), path)
        if not is_file_name(outcome.job.name) or not outcome.protocols:
            raise ValueError("a job has a name that can name a file, and learns from a dataset or more")
    except (FieldError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not what `python -m tuning.training.accelerated` of this release writes ({error}); train it"
            " again."
        ) from None
    if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in arrays.values()):
        raise DataError(f"{path} holds weights that are not numbers; train this member again.")
    return outcome, [array.astype(np.float32) for array in arrays.values()]


def jobs_from(rows: Any, packed: Collection[str] = ()) -> list[Job]:
    """Return jobs from JSON.

    Args:
        rows: Parsed JSON, which should be a list of objects with the fields of `Job`.
        packed: Names of the bundles whose answers are in the pack.

    Raises:
        SettingsError: There is no job, a field is unknown or has an impossible value, a name is given twice or can't
            name a file, or a teacher is neither in the pack nor a job before its pupil.
        DataError: An architecture is not known.
    """
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SettingsError("The jobs are not a list of one JSON object or more; see docs/training.md.")
    jobs: list[Job] = []
    for row in rows:
        try:
            read = from_json(Job, row, closed=True)
            job = replace(read, architecture=replace(read.architecture, crop="frame"))
        except FieldError as error:
            raise SettingsError(
                f"The job {str(row.get('name'))[:100]!r} can't be read ({error}); see docs/training.md."
            ) from None
        if not is_file_name(job.name) or job.name in {one.name for one in jobs}:
            raise SettingsError(
                f"The name {job.name[:100]!r} of a job is given twice, or can't name a file; use letters, digits, dots"
                " and dashes."
            )
        parse_architecture(asdict(job.architecture), f"The job {job.name!r}")
        if unknown := set(job.teachers) - {one.name for one in jobs} - set(packed):
            raise SettingsError(
                f"{job.name} names the teachers {', '.join(sorted(unknown))}, which are no jobs before it, nor bundles"
                " of the pack."
            )
        jobs.append(job)
    return jobs


def chosen_jobs(search: Path) -> list[dict[str, Any]]:
    """Return the jobs of the trials that a search on a pack has chosen, each with at least the epochs of its trial.

    Raises DataError when it is another search, has not ended, or its table of trials is damaged.
    """
    settings = steps.settings_of(search)
    if not settings.get("accelerated"):
        raise DataError(
            f"{search} was no search on a pack; train its trials with `python -m tuning train --architecture {CHOSEN}`."
        )
    return [_job_of_trial(search, trial, settings.get("batch", Job.batch)) for trial in chosen_trials(search)]


def _job_of_trial(search: Path, trial: str, batch: int) -> dict[str, Any]:
    """Return the job of a trial from its choices: a trial of a shorter rung leaves no weights."""
    architecture, row = architecture_of_trial(search, trial), row_of_trial(search, trial)
    try:
        recipe = Recipe(**{name: float(row[name]) for name in RECIPES})
        epochs = int(row["epochs"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{search / TRIALS}: trial {trial} can't be read ({error!r}); search again.") from None
    job = Job(
        member_name(trial),
        architecture,
        batch=batch,
        strength=architecture.augmentation,
        mixup=recipe.mixup,
        erase=recipe.occlusion,
        decay=architecture.weight_decay,
        teachers=(row["teacher"],) if row.get("teacher") else (),
        taught=recipe.taught,
        least_epochs=epochs,
    )
    return to_json(job)


def soft_labels(grades: np.ndarray, spread: float = SPREAD) -> np.ndarray:
    """Return grades [N] as [N,5] float32 with a part of each label on the neighbouring grades."""
    distance = (np.arange(NUM_GRADES)[None] - grades[:, None]) / spread
    weight = np.exp(-0.5 * distance**2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def targets(
    job: Job, grades: np.ndarray, heads: np.ndarray, protocols: int, answers: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a job learns of every film.

    Args:
        job: The job.
        grades: [N] the films' grades.
        heads: [N] number of the protocol that each film was graded by; 0 is the default one.
        protocols: How many there are.
        answers: [N,protocols,5] the mean of the teachers' answers, NaN where none answers, or None without teachers.

    Returns:
        Targets [N,protocols,5], and weights [N,protocols] that are 0 where nothing is known.
    """
    wanted = np.zeros((len(grades), protocols, NUM_GRADES), np.float32)
    weight = np.zeros((len(grades), protocols), np.float32)
    own = np.arange(len(grades)), heads
    wanted[own], weight[own] = soft_labels(grades), 1.0
    if answers is not None:
        known = ~np.isnan(answers[own]).any(1)
        taught = own[0][known], heads[known]
        wanted[taught] = (1 - job.taught) * wanted[taught] + job.taught * answers[taught]
        others = np.flatnonzero((heads != 0) & ~np.isnan(answers[:, 0]).any(1))
        wanted[others, 0], weight[others, 0] = answers[others, 0], job.unlabelled
    return wanted, weight
