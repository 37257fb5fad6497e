"""A search keeps every trial and counts it once, whatever ends it. Formulas stand for the trainings."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.hub.pull_push import pull
from tuning.run import extensions

from ..support.formula import Formula
from ..support.ports import free_port
from ..support.search_runs import (
    ONLY,
    KillError,
    failing,
    found,
    full_disk,
    killed_at,
    oracle_in,
    search_without_report,
    settings_for,
)
from ..support.waiting import until

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tuner", "first", "step", "error"),
    [
        ("random", 1, 3, KillError),
        ("random", 5, 6, KeyboardInterrupt),
        ("hyperband", 6, 7, KillError),
        ("bayesian", 6, 12, KillError),
    ],
)
def test_a_search_that_is_ended_at_any_write_finds_what_an_unbroken_one_does(
    audited, tmp_path, monkeypatch, tuner, first, step, error
):
    # The reach depends on the crop, as in the whole search space: such choices are read back in their own way.
    settings = settings_for(tuner, only={**ONLY, "crop": ["frame", "fit"], "reach": ["0.85", "1.0"]})
    with killed_at(0, monkeypatch) as writes:
        search_without_report(audited, tmp_path / "unbroken", settings, monkeypatch)
    unbroken = found(tmp_path / "unbroken")
    assert len(unbroken) == (6 if tuner == "hyperband" else 5)
    interrupted = set()
    for write in range(first, writes[0] + 1, step):
        out = tmp_path / str(write)
        with killed_at(write, monkeypatch, error), pytest.raises(error) as caught:
            search_without_report(audited, out, settings, monkeypatch)
        interrupted |= {entry.name for entry in caught.traceback}
        search_without_report(audited, out, settings, monkeypatch)
        assert found(out) == unbroken, write
        assert list(out.rglob(".part-*")) == []
    assert "end_trial" in interrupted  # whose writes are those that a trial could be counted twice by


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [({}, {3: 10, 9: 10}), ({"epochs": 2, "iterations": 1}, {2: 2})],
)
def test_no_rung_of_hyperband_is_shorter_than_the_least_epochs_and_the_plan_is_what_is_trained(
    audited, tmp_path, monkeypatch, epochs, lengths
):
    from tuning.searching.settings import SearchSettings, planned_epochs, planned_trials

    settings = SearchSettings(only=ONLY, named=False, **epochs)
    search_without_report(audited, tmp_path, settings, monkeypatch)
    trained = Counter(values["tuner/epochs"] for values, _, _ in found(tmp_path).values())
    assert trained == lengths
    assert planned_trials(settings) == trained.total()
    assert planned_epochs(settings) == sum(length * count for length, count in trained.items())


def test_the_networks_designed_by_hand_are_the_first_trials_and_stay_so_after_a_kill(audited, tmp_path, monkeypatch):
    settings = settings_for("random", trials=3, only={**ONLY, "fold": ["False", "True"], "size": ["160"]})
    with killed_at(3, monkeypatch), pytest.raises(KillError):
        search_without_report(audited, tmp_path, settings, monkeypatch)
    search_without_report(audited, tmp_path, settings, monkeypatch)
    from tuning.networks.search_space import NAMED
    from tuning.searching.records import read_trials

    trials = {trial.trial: trial.architecture for trial in read_trials(tmp_path / "tuner", settings)}
    assert [trials["0"], trials["1"]] == [NAMED["residual"], NAMED["folded"]]
    assert trials["2"] not in NAMED.values()


def test_a_full_disk_stops_the_search_and_loses_nothing(audited, begun, monkeypatch):
    import tuning.search
    import tuning.searching.durable as durable

    def full(path: Path) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "replacing", full)
        with pytest.raises(OutputError, match=r"No space left on device.*the same command again"):
            tuning.search.search(audited, begun, settings_for("random"))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("place", ["answers", "temporary files"])
def test_a_trial_that_finds_the_disk_full_stops_the_search_and_is_trained_when_there_is_room(
    audited, begun, monkeypatch, place
):
    import tuning.run.arrays
    import tuning.search
    from tuning.networks.architecture import Architecture
    from tuning.searching import cost

    def on_full_disk(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    train = Formula.train
    named = r"answers\.npz can't be written"
    with monkeypatch.context() as patch:
        if place == "answers":
            patch.setattr(tuning.run.arrays, "replacing", full_disk)
        else:
            named = r"temporary files \(TMPDIR\) can't be written"
            patch.setattr(tempfile, "mkdtemp", on_full_disk)
            small = Architecture(size=96, widths="32-64-128-192", blocks=1)
            patch.setattr(Formula, "train", lambda *given: train(*given) | cost.cost_of(small))
        with pytest.raises(OutputError, match=rf"{named} \(No space left on device\); make room, and"):
            tuning.search.search(audited, begun, settings_for("random"))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert [status for _, status, _ in found(begun).values()] == ["COMPLETED"] * 5
    assert not (begun / "failed").exists()


@pytest.mark.parametrize("error", [OSError(122, "Disk quota exceeded"), RuntimeError("write: No space left on device")])
def test_a_full_disk_is_no_failure_of_a_trial_whatever_says_so(audited, begun, monkeypatch, error):
    import tuning.search

    monkeypatch.setattr(Formula, "train", failing(error))
    with pytest.raises(OutputError, match=r"search can't be written \(.*(quota|space).*the same command again"):
        tuning.search.search(audited, begun, settings_for("random"))
    assert json.loads((begun / "tuner" / "oracle.json").read_text("utf-8"))["end_order"] == []


RENEWED = """
import os
from pathlib import Path

import tuning.searching.renewal
import tuning.searching.trial
from tests.support.formula import Formula

with Path(__file__).with_name("starts.txt").open("a") as starts:
    print(os.getpid(), file=starts)


class Formulas(Formula):
    def train(self, values, epochs, callbacks, folder):
        if folder.name == "trial_4":
            os.environ["KERASTUNER_TEST_SLOW"] = "/never"
        return super().train(values, epochs, callbacks, folder)


tuning.searching.trial.TrialTrainer = Formulas
tuning.searching.renewal.PROCESS_TRIALS = 2
"""
"""A file for --with: a process trains two trials, and does not come to the end of the fifth one."""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_a_search_without_workers_goes_on_as_a_new_process_and_ctrl_c_loses_nothing(audited, tmp_path, monkeypatch):
    (tmp_path / "renewed.py").write_text(RENEWED, "utf-8")
    out = tmp_path / "search"
    options = {"tuner": "random", "trials": 5, "epochs": 3, "least-epochs": 1, "iterations": 1, "workers": 0}
    command = [sys.executable, "-m", "tuning", "--with", tmp_path / "renewed.py", "search", "--data", audited]
    command += ["--out", out, *(word for name, value in options.items() for word in (f"--{name}", value))]
    command += [word for name, values in ONLY.items() for word in ("--only", f"{name}={','.join(values)}")]
    # JAX is loaded in a third of the time of TensorFlow, and the formula needs neither.
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # which a shell's background job ignores, and its children
    with subprocess.Popen(
        list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=heeding
    ) as process:
        sign = out / "live" / "here.json"
        until(lambda: process.poll() is not None or (sign.exists() and '"trial": "4"' in sign.read_text("utf-8")))
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1].splitlines()
    assert (process.returncode, said[-1]) == (130, "stopped; give the same command again to go on from here")
    assert (tmp_path / "starts.txt").read_text("utf-8").split() == [str(process.pid)] * 3
    monkeypatch.setattr(extensions, "LOADED", [tmp_path / "renewed.py"])
    search_without_report(audited, out, settings_for("random"), monkeypatch)
    search_without_report(audited, tmp_path / "unbroken", settings_for("random"), monkeypatch)
    assert found(out) == found(tmp_path / "unbroken")


def test_the_hours_of_a_search_count_from_the_first_of_its_processes(tmp_path, monkeypatch):
    from tuning.searching.limits import Limits
    from tuning.searching.renewal import BEGAN, renewing

    monkeypatch.setenv(BEGAN, f"{os.getpid()}:{time.monotonic() - 3600}")
    with renewing() as began, pytest.raises(DataError, match=r"The --hours 0\.5 of this run are over"):
        Limits(tmp_path, oracle_in(tmp_path), 0.5, began).check()
    with renewing() as began:  # another search of the same process
        Limits(tmp_path, oracle_in(tmp_path), 0.5, began).check()


def test_a_search_whose_audit_was_made_anew_is_refused_with_what_changed(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.data.table import read_films, write_films

    audit = Path(shutil.copytree(audited, tmp_path / "audit"))
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError()))
        with pytest.raises(KillError):
            tuning.search.search(audit, tmp_path / "search", settings_for("random"))
    write_films(audit / "films.csv", [replace(film, grade=(film.grade + 1) % 5) for film in read_films(audit)])
    with pytest.raises(DataError, match=r"has changed since.*grades.*new --out"):
        tuning.search.search(audit, tmp_path / "search", settings_for("random"))


@pytest.mark.parametrize("kind", ["teacher", "file"])
def test_another_teacher_or_file_of_the_same_name_is_refused_unless_an_earlier_release_began(
    audited, tmp_path, monkeypatch, kind
):
    from tuning.run.steps import hash_of
    from tuning.search import search
    from tuning.searching.records import check_worker

    out, mine = tmp_path / "search", tmp_path / "my_block.py"
    if kind == "teacher":
        teacher = Path(shutil.copytree(pull(), tmp_path / "teacher"))
        settings, changed = settings_for("random", teachers=(str(teacher),)), teacher / "manifest.json"
        name, differs = f"manifest of the teacher {teacher}", r"manifest of the teacher .*teacher '\w{16}', not '"
    else:
        mine.write_text("x = 1\n", "utf-8")
        monkeypatch.setattr(extensions, "LOADED", [mine])
        settings, changed, name = settings_for("random"), mine, "files given by --with"
        differs = r"files given by --with \['my_block\.py \w{16}'\], not \['my_block\.py"
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError()))
        with pytest.raises(KillError):
            search(audited, out, settings)
    changed.write_bytes(changed.read_bytes() + b"\n")
    with pytest.raises(DataError, match=rf"other input or settings \({differs}"):
        search(audited, out, settings)
    with pytest.raises(DataError, match=rf"This worker would not train what .*\({differs}"):
        check_worker(out, settings)
    record = json.loads((out / "step.json").read_text("utf-8"))
    del record["settings"][name]
    record["hash"] = hash_of({name: record[name] for name in ("step", "input", "settings")})
    (out / "step.json").write_text(json.dumps(record), "utf-8")
    search_without_report(audited, out, settings, monkeypatch)
    assert len(found(out)) == 5


def test_half_written_files_of_a_killed_process_go_but_not_what_a_worker_writes_and_an_equal_record_is_kept(
    audited, begun, monkeypatch
):
    trained, seen = Formula.train, []

    def train(self: Formula, *given: Any) -> dict[str, float]:
        seen.extend(path.name for path in begun.rglob(".part-????????-*"))
        return trained(self, *given)

    for file in ("tuner/oracle.json", "tuner/trial_0/answers.npz", "live/here.json"):
        path = begun / file
        path.parent.mkdir(exist_ok=True)
        path = path.with_name(f".part-0123abcd-{path.name}")
        path.write_bytes(b"{")
        os.utime(path, (0, 0))
    written = begun / "tuner" / "trial_0" / ".part-4567abcd-answers.npz"
    written.write_bytes(b"{")
    os.utime(begun / "step.json", (0, 0))
    monkeypatch.setattr(Formula, "train", train)
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert set(seen) == {written.name}
    assert (begun / "step.json").stat().st_mtime == 0


def test_a_damaged_state_is_named_and_a_damaged_trial_is_written_anew(audited, begun, monkeypatch):
    import tuning.search

    state, trial = begun / "tuner" / "oracle.json", begun / "tuner" / "trial_0" / "trial.json"
    whole = state.read_text("utf-8")
    document = json.loads(whole)
    for text, problem in (
        (whole[:100], ""),
        ("[]", "`the document` is a list"),
        (json.dumps(document | {"end_order": ["99"]}), "it names the trial 99"),
        (json.dumps(document | {"display": {}}), "`display.search_start` is missing"),
    ):
        state.write_text(text, "utf-8")
        with pytest.raises(DataError, match=rf"oracle\.json is damaged \({re.escape(problem)}"):
            tuning.search.search(audited, begun, settings_for("random"))
    state.unlink()
    with pytest.raises(DataError, match=r"holds trials, but no oracle\.json"):
        tuning.search.search(audited, begun, settings_for("random"))
    state.write_text(whole, "utf-8")
    for _ in ("of a search that was killed", "of one that has ended"):
        trial.write_text("{", "utf-8")
        search_without_report(audited, begun, settings_for("random"), monkeypatch)
        assert len(found(begun)) == 5
    known, whole = json.loads(trial.read_text("utf-8")), state.read_bytes()
    state.unlink()
    known["hyperparameters"]["values"]["block"] = "mine"
    trial.write_text(json.dumps(known), "utf-8")
    with pytest.raises(DataError, match="this process does not know the block 'mine'"):
        search_without_report(audited, begun, settings_for("random"), monkeypatch)
    state.write_bytes(whole)
    with pytest.raises(DataError, match="this process does not know the block 'mine'"):
        search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert json.loads(trial.read_text("utf-8")) == known


def test_a_chief_that_was_killed_after_its_last_trial_waits_for_no_worker(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.settings import RunSettings

    settings = settings_for("random")
    search_without_report(audited, tmp_path, settings, monkeypatch)
    (tmp_path / "best.json").unlink()
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    alone = RunSettings(role="chief", address=f"127.0.0.1:{free_port()}", hours=1e-9)  # it ends if it waits
    tuning.search.search(audited, tmp_path, settings, alone)
    assert (tmp_path / "best.json").is_file()


@pytest.mark.parametrize("text", ['{"step": "search"}', "[]"])
def test_a_damaged_record_is_named_to_whoever_reads_it(audited, tmp_path, text):
    from tuning.search import search
    from tuning.searching.report import write_report

    (tmp_path / "step.json").write_text(text, "utf-8")
    for reads in (lambda: search(audited, tmp_path, settings_for("random")), lambda: write_report(tmp_path, tmp_path)):
        with pytest.raises(DataError, match=r"step\.json is not what a step of this loop writes"):
            reads()


def test_a_search_that_an_earlier_release_began_goes_on_with_the_options_that_it_had(audited, begun, monkeypatch):
    from tuning.run.steps import hash_of
    from tuning.search import search

    record = json.loads((begun / "step.json").read_text("utf-8"))
    for name in ("accelerated", "folds", "least_epochs", "search space: reach"):
        del record["settings"][name]
    record["hash"] = hash_of({name: record[name] for name in ("step", "input", "settings")})
    (begun / "step.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(DataError, match=r"had least_epochs 1, not 2\. Give that value to go on"):
        search(audited, begun, settings_for("random", least_epochs=2))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5
