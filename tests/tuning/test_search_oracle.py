"""The oracle of a search gives every trial to one worker after another until it has ended, once."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from kneeoa_hub.errors import DataError

from ..support.search_runs import ONLY, oracle_in, settings_for

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


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


def test_a_search_space_with_fewer_points_than_a_rung_has_its_long_trials_all_the_same(tmp_path):
    only = {**ONLY, "size": ["96"], "dropout": ["0.2"], "learning_rate": ["0.001"]}  # two blocks are left
    oracle = oracle_in(tmp_path, "hyperband", only=only)
    epochs = []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        epochs.append(trial.hyperparameters.values["tuner/epochs"])
        oracle.update_trial(trial.trial_id, {"val_log_loss": 0.5 if len(epochs) == 2 else 0.6})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert (epochs, trial.status) == ([1, 1, 3], "STOPPED")
    assert oracle.ended()[-1].hyperparameters.values["tuner/trial_id"] == oracle.ended()[1].trial_id


@pytest.mark.parametrize(("tuner", "seeds"), [("random", (4, 5, 9)), ("bayesian", (4,))])
def test_a_search_of_as_many_trials_as_points_tries_every_point(tmp_path, tuner, seeds):
    only = {**ONLY, "dropout": ["0.2", "0.3", "0.4"], "learning_rate": ["0.001"]}
    for seed in seeds:
        oracle = oracle_in(tmp_path / str(seed), tuner, trials=12, only=only, seed=seed)
        while (trial := oracle.create_trial("one")).status == "RUNNING":
            oracle.update_trial(trial.trial_id, {"val_log_loss": 0.5})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        assert len(oracle.ended()) == 12, seed


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


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process at once")
def test_a_search_that_a_scheduler_ends_in_order_loses_no_trial_however_often(tmp_path, capsys):
    from tuning.run.console import exit_code

    oracle, before = oracle_in(tmp_path), signal.getsignal(signal.SIGTERM)
    first = oracle.create_trial("one").trial_id

    def run() -> None:
        with oracle.stopping_in_order():
            signal.raise_signal(signal.SIGTERM)

    for _ in range(6):
        assert exit_code(run) == 128 + signal.SIGTERM
        assert "give the same command again" in capsys.readouterr().err
        oracle = oracle_in(tmp_path)
        assert oracle.create_trial("one").trial_id == first
    assert signal.getsignal(signal.SIGTERM) == before


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
