"""Several workers train the trials of one search, and any of them may die."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kneeoa_hub.errors import KneeOAError

from ..support.formula import SLOW
from ..support.ports import free_port
from ..support.search_runs import ONLY, found, oracle_in, search_without_report, settings_for
from ..support.waiting import until

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]

ROOT = Path(__file__).parents[2]
GREEDY = """
import os
import signal

import tuning.searching.trial
from tests.support.formula import Formula


class Greedy(Formula):
    def train(self, values, epochs, callbacks, folder):
        if values["learning_rate"] == "0.001":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train(values, epochs, callbacks, folder)


tuning.searching.trial.TrialTrainer = Greedy
"""
"""A worker's file with a trial in which the system kills it, as it kills a process that takes too much memory."""


def test_a_worker_that_dies_twice_in_one_trial_fails_it_and_a_late_answer_counts_once(tmp_path):
    oracle = oracle_in(tmp_path)
    first = oracle.create_trial("one").trial_id
    assert oracle.release("one", "one was ended by signal 9")
    assert oracle.create_trial("two").trial_id == first
    assert not oracle.release("one", "")
    assert oracle.create_trial("two").trial_id != first  # two was started anew, and the trial has had two deaths
    assert [trial.message for trial in oracle.ended()] == ["two was started anew 2 times in this trial"]
    second = next(iter(oracle.ongoing_trials.values()))
    oracle.release("two", "")
    again = oracle.create_trial("three")
    assert again.trial_id == second.trial_id
    for _ in ("of the one that was given up", "of the one that took its place"):
        oracle.update_trial(second.trial_id, {"val_log_loss": 0.5})
        second.status = "COMPLETED"
        oracle.end_trial(second)
    assert [trial.trial_id for trial in oracle.ended()] == [first, second.trial_id]
    assert oracle.ongoing_trials == {}


def test_no_worker_leaves_while_another_one_trains_and_may_die(tmp_path):
    oracle = oracle_in(tmp_path)
    names = [f"worker {number}" for number in range(5)]
    running = [oracle.create_trial(name) for name in names]
    assert oracle.create_trial("sixth").status == "IDLE"
    assert not oracle.stopped
    oracle.release("worker 0", "worker 0 was ended by signal 9")
    assert oracle.create_trial("sixth").trial_id == running[0].trial_id
    for trial in running:
        oracle.update_trial(trial.trial_id, {"val_log_loss": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert {oracle.create_trial(name).status for name in (*names[1:], "sixth")} == {"STOPPED"}
    assert oracle.stopped
    assert oracle.askers() == set()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals end the workers")
def test_a_trial_whose_process_the_system_kills_twice_has_failed_and_the_others_go_on(audited, tmp_path, monkeypatch):
    import tuning.search
    import tuning.searching.workers as workers
    from tuning.searching.settings import RunSettings

    (tmp_path / "greedy.py").write_text(GREEDY, "utf-8")
    monkeypatch.setattr(workers, "LOADED", [tmp_path / "greedy.py"])
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # loaded faster than TensorFlow; the formula needs neither
    monkeypatch.chdir(ROOT)
    only = {
        **ONLY,
        "learning_rate": ["0.0003", "0.001", "0.002"],
        "dropout": ["0.2"],
        "size": ["96"],
        "block": ["plain"],
    }
    settings = settings_for("random", trials=3, only=only)
    out = tuning.search.search(audited, tmp_path / "search", settings, RunSettings(workers=1))
    ended = {values["learning_rate"]: status for values, status, _ in found(out).values()}
    assert ended == {"0.0003": "COMPLETED", "0.001": "FAILED", "0.002": "COMPLETED"}
    (trial,) = (state for state in (out / "tuner").glob("trial_*/trial.json") if "FAILED" in state.read_text("utf-8"))
    assert "worker-0 was ended by signal 9 in this trial, which may need more memory" in trial.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals end the workers")
def test_a_chief_and_three_workers_find_what_one_process_does_though_one_of_them_is_killed(
    audited, tmp_path, monkeypatch
):
    import tuning.search
    import tuning.searching.live as live
    from tuning.searching.settings import RunSettings

    monkeypatch.setattr(live, "LOST_S", 3.0)  # the worker that is killed does not come back
    address = f"127.0.0.1:{free_port()}"
    settings, out = settings_for("random", trials=8), tmp_path / "search"
    search_without_report(audited, tmp_path / "alone", settings, monkeypatch)
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    ended: list[object] = []

    def chief() -> None:
        try:
            run = RunSettings(role="chief", address=address, hours=0.2)  # it ends though no worker comes
            ended.append(tuning.search.search(audited, out, settings, run))
        except KneeOAError as error:
            ended.append(error)

    thread = threading.Thread(target=chief, daemon=True)
    thread.start()
    names = ["first", "second", "third"]
    # JAX is loaded in a third of the time of TensorFlow, and the formula needs neither.
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.formula", "worker", str(out), address],
            env=environment | {"KERASTUNER_TUNER_ID": name} | ({SLOW: "1"} if name == "first" else {}),
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in names
    ]
    sign = out / "live" / "first.json"
    until(lambda: sign.exists() and json.loads(sign.read_text("utf-8"))["trial"], seconds=600)
    processes[0].send_signal(signal.SIGKILL)
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0], errors
    thread.join()
    assert ended == [out]
    assert found(out) == found(tmp_path / "alone")
