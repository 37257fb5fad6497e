"""A list of jobs is trained on JAX within its time: a teacher, and a pupil that it answers for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.imaging.phantom import knee_film
from tuning.training.pack import write

SMALL = {"size": 32, "fold": True, "widths": "8-16", "learning_rate": 0.002}
JOBS = [
    {"name": "teacher", "architecture": SMALL, "batch": 8, "share": 0.5},
    {"name": "pupil", "architecture": SMALL, "batch": 8, "seed": 1, "teachers": ["teacher"]},
]


@pytest.mark.slow
def test_jobs_are_trained_and_kept_with_their_figures(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    grades = np.arange(40) % 5
    pictures = [
        knee_film(int(grade), seed, height=128, width=128).pixels.astype(np.uint8) for seed, grade in enumerate(grades)
    ]
    rows = [
        (int(grade), ("ward", "clinic")[number % 4 == 3], ("train", "val")[number % 5 == 4], f"{number}.png")
        for number, grade in enumerate(grades)
    ]
    write(tmp_path / "films.npz", pictures, np.array([[64.0, 64.0, 128.0]] * len(rows)), rows)
    (tmp_path / "jobs.json").write_text(json.dumps(JOBS), "utf-8")
    command = [
        sys.executable,
        "-m",
        "tuning.training.accelerated",
        "--pack",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    command += ["--jobs", str(tmp_path / "jobs.json"), "--minutes", "0.02", "--precision", "float32"]
    done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for job in JOBS:
        with np.load(tmp_path / "out" / f"{job['name']}.npz") as kept:
            outcome = json.loads(str(kept["outcome"]))
            names = [name for name in kept.files if name != "outcome"]
            assert any(name.startswith("classifier_clinic") for name in names)
            assert all(np.isfinite(kept[name].astype(np.float32)).all() for name in names)
        assert outcome["job"]["architecture"]["size"] == 32
        assert outcome["epochs"] > 0
        assert {figures["protocol"] for figures in outcome["history"][-1]} <= {"ward", "clinic"}
        assert all(0 < figures["log_loss"] < 10 for figures in outcome["history"][-1])


def test_a_teacher_that_is_no_job_before_its_pupil_is_an_error() -> None:
    from tuning.training.jobs import jobs_from

    with pytest.raises(SettingsError, match="no jobs before it"):
        jobs_from([JOBS[1]])
    with pytest.raises(SettingsError, match="teacher"):
        jobs_from([{**JOBS[0], "speed": 3}])


def test_films_of_another_protocol_learn_what_teachers_say_by_the_default_one() -> None:
    from tuning.training.jobs import jobs_from, targets

    teacher, pupil = jobs_from(JOBS)
    grades, heads = np.array([0, 4]), np.array([0, 1])
    wanted, weight = targets(teacher, grades, heads, 2, None)
    assert weight.tolist() == [[1, 0], [0, 1]]
    assert wanted[1, 1].argmax() == 4
    answers = np.full((2, 2, 5), 0.2, np.float32)
    wanted, weight = targets(pupil, grades, heads, 2, answers)
    assert weight[1].tolist() == [pytest.approx(pupil.unlabelled), 1.0]
    np.testing.assert_allclose(wanted[1, 0], 0.2)
    np.testing.assert_allclose(wanted.sum(-1)[weight > 0], 1.0, rtol=1e-5)
