"""Several workers train the trials of one search, and any of them may die."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kneeoa_hub.errors import DataError, KneeOAError, OutputError

from ..support.formula import SLOW
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # SystemExit is one to pytest
def test_a_sign_of_life_that_can_not_be_removed_is_no_error(tmp_path):
    from tuning.searching import live

    sign = live.Sign(tmp_path, "works")
    sign.path.unlink()
    sign.path.mkdir()  # which can't be unlinked
    sign.remove()
    assert sign.path.is_dir()


def test_signs_of_an_earlier_run_count_neither_as_work_nor_as_a_chief_that_has_ended(tmp_path, monkeypatch):
    import tuning.searching.live as live
    from tuning.searching.workers import doing_of

    oracle = oracle_in(tmp_path)
    trials = {name: oracle.create_trial(name).trial_id for name in ("works", "was killed")}
    for name, trial in trials.items():
        live.Sign(tmp_path, name).show(live.Doing(name, trial, 2, 3))
    oracle.release("was killed", "")
    assert [one.process for one in doing_of(oracle, tmp_path)] == ["works"]
    monkeypatch.setattr(live, "LOST_S", -1.0)
    chief, listener = live.Sign(tmp_path, live.CHIEF), live.Listener(tmp_path, live.WAIT_S)
    assert not listener.lost(live.CHIEF)  # it may start after its worker
    os.utime(chief.path, (0, 0))
    assert listener.lost(live.CHIEF)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals end the workers")
def test_a_trial_that_ends_its_process_or_raises_has_failed_and_the_others_go_on_until_too_many_have(
    audited, tmp_path, monkeypatch
):
    import tuning.search
    import tuning.searching.workers as workers
    from tuning.run import extensions
    from tuning.searching.settings import RunSettings

    (tmp_path / "failing.py").write_text(FAILING, "utf-8")
    monkeypatch.setattr(workers, "LOADED", [tmp_path / "failing.py"])
    monkeypatch.setattr(extensions, "LOADED", workers.LOADED)
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
def test_a_chief_and_three_workers_find_what_one_process_does_though_two_of_them_end(audited, tmp_path, monkeypatch):
    import tuning.search
    import tuning.searching.live as live
    from tuning.searching.settings import RunSettings

    monkeypatch.setattr(live, "LOST_S", 3.0)  # the workers that end do not come back
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
    for process, name, number in zip(processes, names, (signal.SIGKILL, None, signal.SIGTERM), strict=True):
        sign = live.sign_path(out, name)
        until(lambda sign=sign: sign.exists() and json.loads(sign.read_text("utf-8"))["trial"], seconds=600)
        if number:
            process.send_signal(number)
            process.wait()
            assert sign.exists() == (number == signal.SIGKILL)
    (tmp_path / "go").touch()
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 128 + signal.SIGTERM], errors
    thread.join()
    assert ended == [out]
    assert found(out) == found(tmp_path / "alone")
