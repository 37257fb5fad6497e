"""A run on an accelerator trains no job for too short a time, and none twice; the jobs of a search are its points."""

import csv
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kneeoa_hub.errors import DataError
from tuning.run import steps
from tuning.run.arrays import write_arrays

if TYPE_CHECKING:
    from tuning.training.jobs import Job

pytestmark = pytest.mark.keras
ARCHITECTURE = {"size": 96, "backbone": "lite0"}
ROWS = [
    {"name": "teacher", "architecture": ARCHITECTURE},
    {"name": "pupil", "architecture": ARCHITECTURE, "teachers": ["teacher", "kneeoa-cnn"]},
    {"name": "other", "architecture": ARCHITECTURE, "least_epochs": 27},
]


@pytest.fixture
def jobs() -> list["Job"]:
    from tuning.training.jobs import jobs_from

    return jobs_from(ROWS, packed=["kneeoa-cnn"])


def test_a_training_that_would_be_shorter_than_it_has_to_be_is_refused(jobs):
    from tuning.training.run_again import steps_for

    teacher, _, other = jobs
    assert steps_for(teacher, done=28, left=100.0, each=0.97, per_epoch=50) == 128
    with pytest.raises(DataError, match=r"teacher would have 0\.6 epochs in its time, and needs 1 or more"):
        steps_for(teacher, done=28, left=-5.0, each=1.0, per_epoch=50)  # the time is over
    with pytest.raises(DataError, match=r"other would have 2\.6 epochs.* needs 27 or more, which take 22\.5 minutes"):
        steps_for(other, done=28, left=100.0, each=0.97, per_epoch=50)


def kept(out: Path, job: "Job", command: str) -> None:
    """Write what a training leaves."""
    from tuning.training.jobs import Outcome

    outcome = Outcome(job, 30.0, 60.0, (), ("oai",), "of the audit", 0, command)
    write_arrays(out / f"{job.name}.npz", outcome=np.array(steps.as_json(outcome)), kernel=np.zeros((2, 2), np.float16))


def test_a_stopped_run_goes_on_after_the_jobs_that_the_same_command_finished(tmp_path, jobs):
    from tuning.training.pack import Teacher, keep_teacher
    from tuning.training.run_again import command_of, finished

    pack, out = tmp_path / "pack", tmp_path / "out"
    keep_teacher(pack, Teacher("kneeoa-cnn", np.full((3, 1, 5), 0.2)))
    command = command_of(pack, "float32", 9.0, jobs)
    for job in jobs:
        kept(out, job, command)
    assert list(finished(out, jobs, command)) == ["other"]  # the answers of the teacher are not there
    keep_teacher(out, Teacher("teacher", np.full((3, 1, 5), 0.2)))
    assert list(finished(out, jobs, command)) == ["teacher", "pupil", "other"]
    assert list(finished(out, [replace(jobs[0], seed=1), *jobs[1:]], command)) == ["other"]
    assert finished(out, jobs[:2], command_of(pack, "float32", 9.0, jobs[:2])) == {}  # each has more of the time
    (out / "other.npz").write_bytes(b"damaged")
    assert list(finished(out, jobs, command)) == ["teacher", "pupil"]
    keep_teacher(pack, Teacher("kneeoa-cnn", np.full((3, 1, 5), [0.3, 0.1, 0.2, 0.2, 0.2])))
    for later in (command_of(pack, "float32", 9.0, jobs), command_of(pack, "float32", 14.0, jobs)):
        assert finished(out, jobs, later) == {}


def test_a_chosen_trial_of_a_short_rung_is_trained_from_its_choices_and_can_not_join_as_it_is(tmp_path):
    from tuning.networks.architecture import Architecture
    from tuning.networks.search_space import Recipe
    from tuning.training.jobs import chosen_jobs, jobs_from
    from tuning.training.joining import joining_members
    from tuning.training.search_result import Trial, write_result

    search = steps.begin(tmp_path / "search", "search", "", {"accelerated": True, "batch": 64})
    network = Architecture(size=96, backbone="lite0", crop="frame", weight_decay=0.6, augmentation=1.0)
    recipe = Recipe(mixup=0.15, occlusion=0.2, taught=0.3)
    trial = Trial("07", 0.8, 0.01, 0.7, 0.01, 4, 2, 1, None, None, 9.0, 1.0, network, "kneeoa-cnn", recipe=recipe)
    write_result(search, [trial], "hyperband", "log_loss", ["07"])
    (job,) = jobs_from(chosen_jobs(search), packed=["kneeoa-cnn"])
    assert (job.name, job.architecture, job.least_epochs, job.batch) == ("07-0", network, 4, 64)
    assert (job.strength, job.decay, job.mixup, job.erase, job.taught) == (1.0, 0.6, 0.15, 0.2, 0.3)
    assert job.teachers == ("kneeoa-cnn",)
    with pytest.raises(DataError, match=r"full length. `python -m tuning\.training\.accelerated --search .*` trains"):
        joining_members((str(search),), (), tmp_path)
    with (search / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["trial", *asdict(network)], ["07", *asdict(network).values()]])
    with pytest.raises(DataError, match="trial 07 can't be read"):
        chosen_jobs(search)
    steps.write_json(search / "step.json", {**steps.read_record(search), "settings": {"batch": 64}})
    with pytest.raises(DataError, match="no search on a pack"):
        chosen_jobs(search)
