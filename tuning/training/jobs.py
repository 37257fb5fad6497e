"""What is trained on an accelerator: jobs as data, and the targets that each of them learns."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.grades import NUM_GRADES

from ..networks.architecture import Architecture
from .search_result import chosen_trials, kept_member

SPREAD = 0.42
"""Deviation of a soft label, in grades (Diaz & Marathe, "Soft labels for ordinal regression", CVPR 2019)."""


@dataclass(frozen=True)
class Job:
    """One training.

    share: of the time, beside the shares of the other jobs. strength, mixup, erase: of the changes of films, see
    `changes.draw`. decay: of the weights (AdamW). ema: proportion of the averaged weights that a step keeps. teachers:
    names of jobs before this one, or of bundles whose answers are in the pack; they answer for the films as they are,
    and this one sees changed films. taught: proportion of the target that is the teachers' answer. unlabelled: weight
    of what the teachers say, by the default protocol, of films that another protocol has graded. start: name of a
    member in the pack whose weights it begins with, in place of a backbone's or random ones.
    """

    name: str
    architecture: Architecture
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
    start: str = ""

    @property
    def program(self) -> tuple[Architecture, int]:
        """Jobs of one program are compiled once: what differs between them is an argument of the step."""
        return replace(self.architecture, learning_rate=0.0, augmentation=0.0, weight_decay=0.0, reach=1.0), self.batch


def jobs_from(rows: list[dict[str, Any]], packed: Collection[str] = ()) -> list[Job]:
    """Return jobs from JSON.

    packed: names of the bundles whose answers are in the pack. Raises SettingsError for an unknown field, or a teacher
    that is neither of them nor a job before its pupil.
    """
    jobs: list[Job] = []
    for row in rows:
        try:
            job = Job(
                **{
                    **row,
                    "architecture": Architecture(**{**row["architecture"], "crop": "frame"}),
                    "teachers": tuple(row.get("teachers", ())),
                }
            )
        except (TypeError, KeyError) as error:
            raise SettingsError(
                f"The job {row.get('name', row)!r} can't be read ({error}); see tuning.training.jobs."
            ) from None
        if unknown := set(job.teachers) - {one.name for one in jobs} - set(packed):
            raise SettingsError(
                f"{job.name} names the teachers {', '.join(sorted(unknown))}, which are no jobs before it, nor bundles"
                " of the pack."
            )
        jobs.append(job)
    return jobs


def chosen_jobs(search: Path) -> list[dict[str, Any]]:
    """Return the jobs of the trials that a search on an accelerator has chosen.

    Raises DataError when the search has not ended, or a trial left no weights.
    """
    rows = []
    for trial in chosen_trials(search):
        with np.load(kept_member(search, trial)) as kept:
            rows.append(json.loads(str(kept["outcome"]))["job"] | {"ema": Job.ema})
    return rows


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
