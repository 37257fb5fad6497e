"""Jobs and a search are trained on JAX: a teacher, a network that learns from its probabilities, and trials."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.imaging.phantom import write_films
from tuning.training.pack import mean_answers, pack

from ..support.on_accelerator import NARROWED, SEARCH
from ..support.search_runs import found

SMALL = {"size": 32, "fold": True, "widths": "8-16", "learning_rate": 0.002, "reach": 0.85}
BATCHES = 3
"""Batches of 8 of the training films."""
ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "tests" / "support" / "on_accelerator.py"
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""Compiles in half of the time. The few steps of a test need no fast program."""
SAID = ".npz", ": this command has trained it before"
"""The first run of the command says this after the name of each job, the second one that."""
JOBS = [
    {"name": "teacher", "architecture": SMALL, "batch": 8, "share": 0.5},
    {"name": "pupil", "architecture": SMALL, "batch": 8, "seed": 1, "teachers": ["teacher"]},
]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of two datasets of 20 synthetic films each."""
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("two")
    for first, dataset in ((100, "ward"), (300, "clinic")):
        write_films(root / dataset, 20, seed=first)
    return audit([f"{name}={root / name}" for name in ("ward", "clinic")], root / "audit")


@pytest.fixture(scope="module")
def trained(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two jobs on the audit's films leave."""
    jax = pytest.importorskip("jax")
    root = tmp_path_factory.mktemp("accelerated")
    pack(audited, root / ".pack" / "films.npz")
    (root / ".pack" / "jobs.json").write_text(json.dumps(JOBS), "utf-8")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": QUICK,
        "WORK": str(root),
        "PYTHON": sys.executable,
    }
    environment |= {"JAX_COMPILATION_CACHE_DIR": str(root / "compiled"), "PYTHONPATH": str(ROOT)}
    script = ROOT / "tuning" / "searching" / "offline.sh"
    for command in (
        [sys.executable, "-m", "tests.support.on_accelerator", root],
        ["sh", script, root / "results", "9", "--with", EXTENSION, *SEARCH],
    ):
        done = subprocess.run(list(map(str, command)), cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        assert ("warning: JAX finds no accelerator" in done.stdout) == (jax.default_backend() == "cpu")
        if "--with" not in command:
            assert [done.stdout.count(f"{job['name']}{what}") for job in JOBS for what in SAID] == [1, 1] * len(JOBS)
        environment["ON_ACCELERATOR"] = str(root / "after.json")
    return root / "out"


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"])
def test_jobs_are_trained_and_kept_with_their_figures(trained: Path, job: dict) -> None:
    with np.load(trained / f"{job['name']}.npz") as kept:
        outcome = json.loads(str(kept["outcome"]))
        names = [name for name in kept.files if name != "outcome"]
        assert any(name.startswith("classifier_clinic") for name in names)
        assert all(np.isfinite(kept[name].astype(np.float32)).all() for name in names)
    assert outcome["job"]["architecture"]["size"] == 32
    assert outcome["epochs"] > 0
    assert outcome in json.loads((trained / "outcomes.json").read_text("utf-8"))
    assert {figures["protocol"] for figures in outcome["history"][-1]} <= {"ward", "clinic"}
    assert all(0 < figures["log_loss"] < 10 for figures in outcome["history"][-1])


@pytest.mark.slow
@pytest.mark.keras
def test_trained_members_join_an_ensemble_that_grades_by_either_protocol(
    audited: Path, trained: Path, tmp_path: Path
) -> None:
    from tuning.train import train
    from tuning.training.joining import joining_members
    from tuning.training.members import load_ensemble
    from tuning.training.plan import TrainSettings

    joined = tuple(str(trained / f"{job['name']}.npz") for job in JOBS)
    out = train(audited, tmp_path / "train", TrainSettings(architectures=("none",), joined=joined))
    assert load_ensemble(out).config.reach == 0.85
    image = np.random.default_rng(0).standard_normal((2, 32, 32, 1)).astype(np.float32)
    answers = {
        protocol: np.asarray(load_ensemble(out, protocol).model(image)["probabilities"])
        for protocol in ("ward", "clinic")
    }
    assert np.allclose(answers["ward"].sum(1), 1, atol=1e-5)
    assert not np.allclose(answers["ward"], answers["clinic"])
    (member,) = joining_members((_altered(joined[0], tmp_path / "further.npz", start="folded-0"),), (), audited)
    assert member.record.origin == "folded-0 of an earlier bundle, trained further"
    other = Path(shutil.copytree(audited, tmp_path / "other"))
    summary = json.loads((other / "audit.json").read_text("utf-8"))
    (other / "audit.json").write_text(json.dumps({**summary, "fingerprint": "0" * 64}), "utf-8")
    with pytest.raises(DataError, match="another audit"):
        joining_members(joined, (), other)


@pytest.mark.slow
def test_a_search_that_is_killed_trains_no_epoch_twice_and_a_longer_rung_goes_on_from_a_shorter_one(
    trained: Path,
) -> None:
    steps = [json.loads((trained.parent / name).read_text("utf-8")) for name in ("before.json", "after.json")]
    assert min(steps) > 0
    epochs = 5 * 2 + 2 * (6 - 2) + 3 * 6  # five trials of the first rung, of which two go on, and three of full length
    assert sum(steps) == epochs * BATCHES
    assert {status for _, status, _ in found(trained.parent / "results" / "search").values()} == {"COMPLETED"}


@pytest.mark.slow
@pytest.mark.keras
def test_a_search_on_a_pack_ends_with_costs_and_an_ensemble_that_joins_as_it_is(
    audited: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuning.networks.search_space import SEARCH_SPACE
    from tuning.run import extensions
    from tuning.search import search
    from tuning.searching.settings import RunSettings, SearchSettings
    from tuning.train import train
    from tuning.training.jobs import chosen_jobs
    from tuning.training.plan import TrainSettings
    from tuning.training.search_result import read_result

    monkeypatch.setitem(SEARCH_SPACE, "size", (32,))
    monkeypatch.setitem(SEARCH_SPACE, "widths", ("8-16",))
    monkeypatch.setattr(extensions, "LOADED", [EXTENSION])
    only = {name: [value] for name, value in NARROWED.items()}
    settings = SearchSettings(epochs=6, least_epochs=2, iterations=1, batch=8, only=only, teachers=("teacher",))
    with pytest.raises(SettingsError, match="--folds 2: a search on the films of a pack has no such option"):
        search(trained.parent / ".pack", trained.parent / "search", replace(settings, folds=2))
    out = search(trained.parent / ".pack", trained.parent / "results" / "search", settings, RunSettings(finish=True))
    assert not (out / "states").exists()
    with (out / "trials.csv").open(encoding="utf-8") as file:
        full = [row for row in csv.DictReader(file) if row["epochs"] == "6"]
    assert len(full) == 5
    assert all(row["bytes"] and row["milliseconds"] and row["mixup"] and row["taught"] for row in full)
    chosen = read_result(out).chosen
    assert chosen[0] == min(full, key=lambda row: float(row["val_log_loss"]))["trial"]
    assert "## The ensemble" in (out / "report.md").read_text("utf-8")
    joined = train(out, out.parent / "train", TrainSettings(architectures=("none",), joined=(str(out),)))
    record = json.loads((joined / "train.json").read_text("utf-8"))
    assert [member["name"] for member in record["members"]] == [f"{trial}-0" for trial in chosen]
    assert record["best_json_sha256"] == hashlib.sha256((out / "best.json").read_bytes()).hexdigest()
    assert [job["name"] for job in chosen_jobs(out)] == [f"{trial}-0" for trial in chosen]


def _altered(member: str, out: Path, evaluations: int = 0, **changes: object) -> str:
    """Write a trained member as one of another job, and of teachers that were evaluated on test films."""
    with np.load(member) as kept:
        outcome = json.loads(str(kept["outcome"]))
        arrays = {name: kept[name] for name in kept.files if name != "outcome"}
    outcome = {**outcome, "job": {**outcome["job"], **changes}, "test_evaluations": evaluations}
    np.savez(out, outcome=json.dumps(outcome), **arrays)
    return str(out)


@pytest.mark.slow
@pytest.mark.keras
def test_the_evaluations_of_shared_teachers_count_once(audited: Path, trained: Path, tmp_path: Path) -> None:
    from tuning.training.joining import earlier_test_evaluations, joining_members

    member, shared = str(trained / "teacher.npz"), ["kneeoa-cnn", "folded-0"]
    one = _altered(member, tmp_path / "one.npz", 7, name="one", teachers=shared)
    two = _altered(member, tmp_path / "two.npz", 7, name="two", teachers=shared)
    other = _altered(member, tmp_path / "other.npz", 2, name="other", teachers=["folded-1"])
    assert earlier_test_evaluations(joining_members((one, two), (), audited)) == 7
    assert earlier_test_evaluations(joining_members((one, two, other), (), audited)) == 9


@pytest.mark.slow
@pytest.mark.keras
def test_a_pack_holds_what_jobs_start_from_and_what_a_bundle_teaches(audited: Path, tmp_path: Path) -> None:
    import kneeoa_hub
    from tuning.networks.architecture import Architecture, build
    from tuning.training.pack import read_rows, starts, teachers_of, write_answers, write_members

    bundle = kneeoa_hub.from_pretrained().bundle
    write_answers(tmp_path, "kneeoa-cnn", audited)
    (teacher,) = teachers_of(tmp_path).values()
    train = np.array([film.split == "train" for film in read_rows(audited)])
    assert teacher.test_evaluations == bundle.evidence.test_evaluations
    assert np.isnan(teacher.answers[~train]).all()
    np.testing.assert_allclose(np.nansum(teacher.answers[train], axis=(1, 2)), 1.0, atol=1e-5)

    write_members(tmp_path, "kneeoa-cnn", (), audited)
    for member in bundle.config.members:
        network = build(Architecture(**member["architecture"]), published=False, protocols=("ward", "clinic"))
        network.set_weights(starts(tmp_path, member["name"])["weights"])
    with pytest.raises(DataError, match="nobody"):
        starts(tmp_path, "nobody")


def test_teachers_that_answer_for_other_films_are_averaged_where_they_answer() -> None:
    some = np.array([[0.2, 0.8], [np.nan, np.nan], [np.nan, np.nan]], np.float32)
    other = np.array([[0.4, 0.6], [0.5, 0.5], [np.nan, np.nan]], np.float32)
    found = mean_answers([some, other])
    np.testing.assert_allclose(found[:2], [[0.3, 0.7], [0.5, 0.5]], rtol=1e-6)
    assert np.isnan(found[2]).all()


def test_a_teacher_that_is_no_job_before_its_pupil_is_an_error() -> None:
    from tuning.training.jobs import jobs_from

    with pytest.raises(SettingsError, match="no jobs before it"):
        jobs_from([JOBS[1]])
    assert jobs_from([JOBS[1]], packed=("teacher",))[0].teachers == ("teacher",)
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
    answers[1] = np.nan  # the teacher does not answer for the second film
    alone, weight_alone = targets(pupil, grades, heads, 2, answers)
    assert weight_alone[1].tolist() == [0, 1]
    np.testing.assert_allclose(alone[1, 1], targets(teacher, grades, heads, 2, None)[0][1, 1])
    np.testing.assert_allclose(wanted.sum(-1)[weight > 0], 1.0, rtol=1e-5)
