"""Several workers train the trials of one search, and any of them may die."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from kneeoa_hub.errors import DataError, KneeOAError, OutputError

from ..support.formula import SLOW, Formula
from ..support.ports import free_port
from ..support.search_runs import ONLY, found, oracle_in, search_without_report, settings_for
from ..support.waiting import until

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.support.formula", "search"]
FAILING = """
import os
import signal
import socket
from pathlib import Path

import tuning.searching.renewal
import tuning.searching.trial
import tuning.searching.tuner
from tests.support.formula import Formula

with Path(__file__).with_name("starts.txt").open("a") as starts:
    print(os.getpid(), file=starts)


class Failing(Formula):
    def train(self, values, epochs, callbacks, folder):
        number = int(folder.name.removeprefix("trial_"))
        if number == 0:
            try:
                socket.create_connection(("127.0.0.2", int(os.environ["KERASTUNER_ORACLE_PORT"])), 5).close()
            except OSError as error:
                Path(__file__).with_name("elsewhere.txt").write_text(str(error))
        if number == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        if number > 4:
            raise ValueError("a layer does not fit")
        return super().train(values, epochs, callbacks, folder)


tuning.searching.trial.TrialTrainer = Failing
tuning.searching.tuner.IDLE_S = 0.0
tuning.searching.renewal.PROCESS_TRIALS = 5
"""
"""A worker's file: in the fifth trial the system kills it, as it kills a process that takes too much memory, and each
trial after it raises. The first one asks for the chief at another address of this machine. A process trains five."""


def test_a_trial_that_goes_on_is_of_its_own_bracket_though_the_next_one_has_begun(tmp_path):
    from tuning.searching.records import read_trials

    oracle = oracle_in(tmp_path, "hyperband")
    for _ in range(2):
        for trial in [oracle.create_trial(f"worker {number}") for number in range(4)]:
            if trial.status == "RUNNING":
                oracle.update_trial(trial.trial_id, {"val_log_loss": 0.5, "val_qwk": 0.5})
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
    trials = read_trials(tmp_path / "tuner", settings_for("hyperband"))
    assert sorted((trial.epochs, trial.bracket) for trial in trials) == [(1, 1)] * 3 + [(3, 0)] * 2 + [(3, 1)]


def test_a_trial_fails_by_its_second_death_though_its_chief_began_anew_and_a_late_answer_counts_once(tmp_path):
    from tuning.searching.failures import reason_of

    oracle = oracle_in(tmp_path)
    first = oracle.create_trial("one").trial_id
    assert oracle.release("one", "one was ended by signal 9", killed=True)
    oracle = oracle_in(tmp_path)
    assert oracle.create_trial("two").trial_id == first
    assert not oracle.release("one", "", killed=True)
    oracle.release("two", "two was ended by signal 9", killed=True)
    assert oracle.create_trial("two").trial_id != first
    why = reason_of(tmp_path, first)
    assert [trial.message for trial in oracle.ended()] == [why]
    assert why.startswith("its process died 2 times in this trial, which may need more memory")
    assert why.endswith("two was ended by signal 9")
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


def test_workers_may_come_and_go_in_a_trial_but_not_for_ever_and_an_orderly_stop_does_not_count(tmp_path):
    from tuning.searching.failures import reason_of

    oracle = oracle_in(tmp_path)
    first = oracle.create_trial("one").trial_id
    for _ in range(9):
        with pytest.raises(DataError), oracle.stopping_in_order():
            raise DataError("The --hours 1 of this run are over.")
        oracle = oracle_in(tmp_path)
        assert oracle.create_trial("one").trial_id == first
    for _ in range(2):  # preempted: its trial is the next one's, then its own again under the same name
        oracle.release("one", "one gave no sign of life any more")
        assert [oracle.create_trial("one").trial_id for _ in range(2)] == [first] * 2
    assert oracle.ended() == []
    oracle = oracle_in(tmp_path)  # its memory took the chief with it
    assert [trial.trial_id for trial in oracle.ended()] == [first]
    assert reason_of(tmp_path, first).endswith(
        "may need more memory than there is; the last time, the whole search was killed"
    )


def test_a_chief_may_be_killed_at_will_while_another_machine_trains_but_not_by_a_trial_of_its_own(tmp_path):
    from tuning.searching.asker import Asker

    oracle = oracle_in(tmp_path)
    far = oracle.create_trial(str(Asker("far", "another machine", "first")))
    near = oracle.create_trial(str(Asker("near", socket.gethostname(), "only")))
    for life in range(5):
        oracle = oracle_in(tmp_path)
        if life < 4:
            assert oracle.create_trial("near").trial_id == near.trial_id
        assert oracle.create_trial(str(Asker("far", "another machine", f"{life}"))).trial_id == far.trial_id
    assert [trial.trial_id for trial in oracle.ended()] == [near.trial_id]
    oracle = oracle_in(tmp_path)
    oracle.update_trial(far.trial_id, {"val_log_loss": 0.5})
    far.status = "COMPLETED"
    oracle.end_trial(far)  # its worker has trained it all the time
    assert [trial.status for trial in oracle.ended()] == ["FAILED", "COMPLETED"]
    assert oracle.create_trial("next").trial_id not in (far.trial_id, near.trial_id)


def test_an_error_of_the_chief_itself_is_said_and_not_that_it_has_ended(tmp_path, capsys):
    from keras_tuner.src import protos

    from tuning.searching.asking import say_unanswered
    from tuning.searching.workers import LOOPBACK, serving

    with serving(oracle_in(tmp_path), LOOPBACK) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        service: Any = protos.get_service()
        chief = protos.get_service_grpc().OracleStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            chief.UpdateTrial(service.UpdateTrialRequest(trial_id="99"), timeout=60)
    say_unanswered(tmp_path, caught.value)
    assert re.search(r"answers with an error, UNKNOWN: .*99", said := capsys.readouterr().err)
    assert "ended" not in said
    say_unanswered(tmp_path, DroppedError())
    assert "has ended; start it again" in capsys.readouterr().err


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


def test_a_result_of_another_search_is_refused_and_the_chief_goes_on(tmp_path):
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("one")
    trial.trial_id, trial.status = "99", "COMPLETED"
    with ThreadPoolExecutor(1) as service:
        for call in (partial(oracle.update_trial, "99", {"val_log_loss": 0.5}), partial(oracle.end_trial, trial)):
            with pytest.raises(KeyError):
                service.submit(call).result()
    assert oracle.askers() == {"one"}  # for ever, if an error kept the lock


def test_a_worker_whose_search_was_removed_reports_nothing_to_the_next_one(audited, tmp_path):
    import keras_tuner as kt

    from tuning.searching.live import Doing, Sign
    from tuning.searching.tuner import SearchTuner

    oracle, sign, settings = oracle_in(tmp_path), Sign(tmp_path, "old"), settings_for("random")

    def begin_anew(*doing: object) -> None:
        shutil.rmtree(tmp_path / "live")
        Sign(tmp_path, "chief")

    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), begin_anew)
    tuner.check = sign.check
    with pytest.raises(kt.errors.FatalError, match="was removed while old trained a trial of its search"):
        tuner.search(verbose=0)
    assert oracle.ended() == []
    assert [trial.metrics.metrics for trial in oracle.trials.values()] == [{}]
    assert list((tmp_path / "tuner").rglob("answers.npz")) == []
    sign.show(Doing("old"))
    assert not sign.path.exists()


class DroppedError(grpc.RpcError):
    """The connection to the chief is gone."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class Connection:
    """Stands for the network between a worker and its chief: it drops a question of each kind, or six answers."""

    def __init__(self, oracle: Any, fault: str):
        self.oracle, self.fault, self.dropped = oracle, fault, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        one = getattr(self.oracle, name)

        def ask(*given: Any, **named: Any) -> Any:
            if self.dropped[name] == (6 if self.fault == "answers" else 1):
                return one(*given, **named)
            self.dropped[name] += 1
            if self.fault == "answers":
                one(*given, **named)
            if self.fault == "killed" and name == "end_trial":
                self.oracle.reload()
            raise DroppedError

        return ask if callable(one) else one


@pytest.mark.parametrize("fault", ["questions", "killed", "answers"])
def test_a_trial_does_not_fail_by_the_network_though_its_chief_was_killed_and_is_back(
    audited, tmp_path, monkeypatch, fault
):
    import tuning.searching.asking as asking
    from tuning.searching.live import CHIEF, Sign
    from tuning.searching.tuner import SearchTuner

    monkeypatch.setattr(asking, "AGAIN_S", 0.0)
    oracle, settings = oracle_in(tmp_path), settings_for("random")
    Sign(tmp_path, CHIEF)
    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), lambda *_: None)
    connection = Connection(oracle, fault)
    tuner.oracle = asking.PatientOracle(connection, tmp_path)
    tuner.search(verbose=0)
    assert connection.dropped.keys() == {"create_trial", "get_trial", "update_trial", "end_trial"}
    assert [(trial.trial_id, trial.status) for trial in oracle.ended()] == [(str(n), "COMPLETED") for n in range(5)]
    assert all(trial.score for trial in oracle.ended())


def test_a_worker_ends_and_its_trial_does_not_where_the_chief_has_ended_by_itself(audited, tmp_path):
    import keras_tuner as kt

    from tuning.searching.asking import PatientOracle
    from tuning.searching.tuner import SearchTuner

    oracle, settings = oracle_in(tmp_path), settings_for("random")
    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), lambda *_: None)
    connection = Connection(oracle, "questions")
    connection.dropped["create_trial"] = 1
    tuner.oracle = PatientOracle(connection, tmp_path)
    with pytest.raises(kt.errors.FatalError, match="the chief does not answer"):
        tuner.search(verbose=0)
    assert oracle.ended() == []
    assert not (tmp_path / "failed").exists()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"search space: block": ["plain", "residual", "dilated"]}, r"search space: block \[.*'dilated'\], not \["),
        ({"only": {**ONLY, "block": ["dilated"]}}, "--only block=dilated: choose among"),
        ({"warmth": 3}, "warmth 3, not None"),  # of a later release
    ],
)
def test_a_worker_with_another_search_space_is_refused_at_its_start_and_the_chief_goes_on(
    begun, monkeypatch, change, difference
):
    from tuning.search import search
    from tuning.searching.live import check_faults
    from tuning.searching.settings import RunSettings

    for name, value in {"TUNER_ID": "one", "ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "9"}.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    record = json.loads((begun / "step.json").read_text("utf-8"))
    record["settings"] |= change
    (begun / "step.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(DataError, match=rf"would not train what the search.*{difference}.*the same --with"):
        search(begun, begun, run=RunSettings(role="worker"))
    check_faults(begun)


@pytest.mark.parametrize(
    ("environment", "role"),
    [
        ({}, ""),
        ({"KERASTUNER_TUNER_ID": "chief"}, ""),
        ({"KERASTUNER_TUNER_ID": "the-chief-0", "KERASTUNER_ORACLE_IP": "10.0.0.5"}, "chief"),
        ({"KERASTUNER_TUNER_ID": "tuner1", "KERASTUNER_ORACLE_IP": "10.0.0.5"}, "worker"),
    ],
)
def test_the_role_of_a_process_follows_from_the_environment_as_keras_tuner_describes(monkeypatch, environment, role):
    from tuning.searching.workers import role_of_environment

    for name in ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert role_of_environment() == role


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, r"worker-host-7-{pid}"),
        ({"SLURM_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": "2", "SLURM_PROCID": "0"}, r"worker-host-7-41\.{pid}"),
        ({"SLURM_JOB_ID": "41", "SLURM_STEP_ID": "1", "SLURM_PROCID": "3"}, r"worker-host-7-41\.1\.3"),
        ({"JOB_COMPLETION_INDEX": "5"}, "worker-host-7-5"),
        ({"KERASTUNER_TUNER_ID": "gpu-0"}, "gpu-0"),
        ({"KERASTUNER_TUNER_ID": "chief"}, "host"),
    ],
)
def test_a_worker_has_a_name_of_its_own_that_is_no_chiefs(monkeypatch, environment, named):
    from tuning.searching.workers import worker_name

    for name in ("KERASTUNER_TUNER_ID", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "gethostname", lambda: "chief-7")
    assert re.fullmatch(named.replace("{pid}", str(os.getpid())), worker_name())


def test_the_chief_ends_by_the_error_of_a_worker_on_another_machine_and_forgets_it_in_the_next_run(tmp_path):
    from tuning.searching.live import Sign, check_faults, doing_now, forget_faults

    Sign(tmp_path, "works")
    Sign(tmp_path, "node-7").end_by(OutputError("/tmp can't be written"))
    assert [doing.process for doing in doing_now(tmp_path)] == ["works"]
    with pytest.raises(OutputError, match=r"/tmp can't be written \(said by node-7\)"):
        check_faults(tmp_path)
    forget_faults(tmp_path)
    check_faults(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals end the workers")
def test_a_trial_that_ends_its_process_or_raises_has_failed_and_the_others_go_on_until_too_many_have(
    audited, tmp_path, monkeypatch
):
    import tuning.search
    import tuning.searching.workers as workers
    from tuning.searching.settings import RunSettings

    (tmp_path / "failing.py").write_text(FAILING, "utf-8")
    monkeypatch.setattr(workers, "LOADED", [tmp_path / "failing.py"])
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # loaded faster than TensorFlow; the formula needs neither
    monkeypatch.chdir(ROOT)
    out, settings = tmp_path / "search", settings_for("random", trials=10)
    with pytest.raises(DataError, match=r"6 of 10 trials failed, more than --most-failed 0\.58.*a layer does not fit"):
        tuning.search.search(audited, out, settings, RunSettings(workers=1, most_failed=0.58, hours=0.1))
    ended = [status for _, status, _ in found(out).values()]
    assert ended == ["COMPLETED"] * 4 + ["FAILED"] * 6  # Keras Tuner alone gives up after three
    killed = (out / "failed" / "trial_04.txt").read_text("utf-8")
    assert "died 2 times in this trial, which may need more memory" in killed
    assert killed.endswith("worker-0 was ended by signal 9")
    assert "ValueError: a layer does not fit" in (out / "failed" / "trial_09.txt").read_text("utf-8")
    starts = (tmp_path / "starts.txt").read_text("utf-8").split()
    assert len(starts) == 4  # at the beginning, after both kills, and after five trials
    assert starts[2] == starts[3]
    assert "refused" in (tmp_path / "elsewhere.txt").read_text("utf-8")  # the chief listens on 127.0.0.1 alone


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
            [*COMMAND, "--data", "-", "--out", str(out), "--role", "worker", "--address", address],
            env=environment
            | {"KERASTUNER_TUNER_ID": name, SLOW: str(tmp_path / ("never" if name == "first" else "go"))},
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in names
    ]
    sign = out / "live" / "first.json"
    until(lambda: sign.exists() and json.loads(sign.read_text("utf-8"))["trial"], seconds=600)
    processes[0].send_signal(signal.SIGKILL)
    (tmp_path / "go").touch()
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0], errors
    thread.join()
    assert ended == [out]
    assert found(out) == found(tmp_path / "alone")
