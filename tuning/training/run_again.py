"""What a run on an accelerator trains: no job for less than its least epochs, and none that it finished before."""

from collections.abc import Sequence
from pathlib import Path

from kneeoa_hub.errors import DataError

from ..run import steps
from .jobs import Job, Outcome, read_kept
from .pack import content_of, teachers_of

USED = 0.97
"""Proportion of a job's time that its steps take; the rest is for measuring."""


def steps_for(job: Job, done: int, left: float, each: float, per_epoch: int) -> int:
    """Return how many steps a job has in its time.

    Args:
        job: The job.
        done: The steps that are done.
        left: The seconds that are left.
        each: The seconds of a step.
        per_epoch: The steps of an epoch.

    Raises:
        DataError: They are fewer than the job's least epochs.
    """
    total = max(done + 1, done + int(USED * left / each))
    if total < job.least_epochs * per_epoch:
        needed = job.least_epochs * per_epoch * each / USED / 60
        raise DataError(
            f"{job.name} would have {total / per_epoch:.1f} epochs in its time, and needs {job.least_epochs:g} or more,"
            f" which take {needed:.1f} minutes without those for compiling. It is not written. Give more --minutes; or"
            " give the same command again where it has finished other jobs: the time is then for the rest."
        )
    return total


def command_of(pack: Path, precision: str, minutes: float, jobs: Sequence[Job]) -> str:
    """Return the fingerprint of everything but a job itself on which its result depends.

    Args:
        pack: The folder with the films, the answers of teachers and the weights to begin with.
        precision: Of the layers' arithmetic.
        minutes: The time for all jobs.
        jobs: All jobs, among which the time is divided.
    """
    return steps.hash_of([content_of(pack), precision, minutes, [(job.name, job.share) for job in jobs]])


def finished(out: Path, jobs: Sequence[Job], command: str) -> dict[str, Outcome]:
    """Return the outcomes of the jobs that the same command has finished, by name.

    A job whose teacher has to be trained anew is not one of them, nor is a teacher whose answers its pupils lack.

    Args:
        out: The folder of the run.
        jobs: All jobs, teachers before their pupils.
        command: What `command_of` returned.
    """
    found: dict[str, Outcome] = {}
    names = {job.name for job in jobs}
    for job in jobs:
        try:
            outcome = read_kept(out / f"{job.name}.npz")[0]
            answered = job.name in teachers_of(out) or not any(job.name in pupil.teachers for pupil in jobs)
        except DataError:  # it is not there, or damaged
            continue
        if (outcome.job, outcome.command) == (job, command) and answered and names & {*job.teachers} <= found.keys():
            found[job.name] = outcome
    return found
