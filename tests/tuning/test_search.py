"""A search keeps every trial and counts it once, whatever ends it, and says what it has found.

The trials of most tests are formulas in place of trainings, see `support.formula`.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kneeoa_hub.errors import DataError, KneeOAError, OutputError, SettingsError

from ..support.eager import eagerly
from ..support.formula import SLOW, Formula
from ..support.waiting import until

if TYPE_CHECKING:
    from tuning.searching.oracle import Durable
    from tuning.searching.settings import SearchSettings

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
ONLY = {
    "size": ["96", "160"],
    "view": ["whole"],
    "fold": ["True"],
    "stem": ["conv5"],
    "block": ["plain", "residual"],
    "widths": ["32-64-128-192"],
    "blocks": ["1"],
    "normalisation": ["True"],
    "pooling": ["average"],
    "dense": [""],
    "loss": ["soft_ordinal"],
    "augmentation": ["0.7"],
    "weight_decay": ["0.01"],
}


class KillError(BaseException):
    """Ends a search at once, as SIGKILL does: nothing of the search catches it."""


def settings_for(tuner: str, **changes: Any) -> "SearchSettings":
    from tuning.searching.settings import SearchSettings

    return SearchSettings(**{"tuner": tuner, "trials": 5, "epochs": 3, "only": ONLY, **changes})


@pytest.fixture(autouse=True)
def _formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    import tuning.search
    import tuning.searching.tuner

    monkeypatch.setattr(tuning.search, "TrialTrainer", Formula)
    monkeypatch.setattr(tuning.searching.tuner, "IDLE_S", 0.0)


def found(out: Path) -> dict[str, tuple[Any, ...]]:
    """What the trials drew, how they ended and what they reached, by their number."""
    states = [json.loads(path.read_text("utf-8")) for path in sorted((out / "tuner").glob("trial_*/trial.json"))]
    kept = json.loads((out / "tuner" / "oracle.json").read_text("utf-8"))
    assert sorted(kept["end_order"]) == sorted(state["trial_id"] for state in states)  # each one ended, and once
    return {
        state["trial_id"]: (
            state["hyperparameters"]["values"],
            state["status"],
            pytest.approx(state["score"], abs=1e-6),
        )
        for state in states
    }


def search_without_report(audited: Path, out: Path, settings: "SearchSettings", monkeypatch: pytest.MonkeyPatch):
    import tuning.search

    with monkeypatch.context() as patch:
        patch.setattr(tuning.search, "write_report", lambda *_, **__: None)
        tuning.search.search(audited, out, settings)


@contextlib.contextmanager
def killed_at(write: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """End the search in the middle of its n-th write; yields the writes so far."""
    import tuning.searching.oracle as oracle

    replacing, writes = oracle.replacing, [0]

    @contextlib.contextmanager
    def counted(path: Path) -> Iterator[Path]:
        writes[0] += 1
        with replacing(path) as part:
            yield part
            if writes[0] == write:
                raise KillError

    with monkeypatch.context() as patch:
        patch.setattr(oracle, "replacing", counted)
        yield writes


@pytest.mark.parametrize(("tuner", "step"), [("random", 3), ("hyperband", 8), ("bayesian", 12)])
def test_a_search_that_is_killed_at_any_write_finds_what_an_unbroken_one_does(
    audited, tmp_path, monkeypatch, tuner, step
):
    settings = settings_for(tuner)
    with killed_at(0, monkeypatch) as writes:
        search_without_report(audited, tmp_path / "unbroken", settings, monkeypatch)
    unbroken = found(tmp_path / "unbroken")
    assert len(unbroken) == (6 if tuner == "hyperband" else 5)
    for write in range(1, writes[0] + 1, step):
        out = tmp_path / str(write)
        with killed_at(write, monkeypatch), pytest.raises(KillError):
            search_without_report(audited, out, settings, monkeypatch)
        search_without_report(audited, out, settings, monkeypatch)
        assert found(out) == unbroken, write
        assert list(out.rglob(".part-*")) == []


def test_the_networks_designed_by_hand_are_the_first_trials_and_stay_so_after_a_kill(audited, tmp_path, monkeypatch):
    settings = settings_for("random", trials=3, only={**ONLY, "fold": ["False", "True"], "size": ["160"]})
    with killed_at(3, monkeypatch), pytest.raises(KillError):
        search_without_report(audited, tmp_path, settings, monkeypatch)
    search_without_report(audited, tmp_path, settings, monkeypatch)
    from tuning.networks.architecture import NAMED
    from tuning.searching.records import read_trials

    trials = {trial.trial: trial.architecture for trial in read_trials(tmp_path / "tuner", settings)}
    assert [trials["0"], trials["1"]] == [NAMED["residual"], NAMED["folded"]]
    assert trials["2"] not in NAMED.values()


def test_the_whole_search_space_holds_the_shipped_network_and_the_cnn_of_2023():
    from tuning.networks.architecture import NAMED
    from tuning.searching.space import hyperparameters, named_points, point_of, space_of

    space = space_of(settings_for("random", only=None, space="full", teachers=("./kneeoa-cnn",)))
    points = named_points(space)
    assert {name: point_of(values).architecture for name, values in points.items()} == NAMED
    assert set(named_points(space_of(settings_for("random", only=None)))) == set(NAMED) - {
        "baseline-2023",
        "folded-lite0",
    }
    assert "stem" not in points["folded-lite0"]  # a backbone has a stem of its own
    hp = hyperparameters(space)
    hp.values = dict(points["folded-lite0"], teacher="./kneeoa-cnn")
    hp.ensure_active_values()
    assert "stem" not in hp.values
    assert point_of(hp.values).teacher == "./kneeoa-cnn"


def test_a_trial_has_a_seed_of_its_own_whatever_its_number_and_rung():
    from tuning.searching.space import trial_seed

    drawn = {"size": "96", "fold": "True"}
    assert trial_seed(0, drawn) == trial_seed(0, {"tuner/epochs": 3, "fold": True, "size": 96})
    assert len({trial_seed(0, drawn), trial_seed(1, drawn), trial_seed(0, {**drawn, "size": "128"})}) == 3


@pytest.fixture
def begun(audited: Path, tmp_path: Path) -> Path:
    """The folder of a random search that was killed in its first trial."""
    import tuning.search

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError()))
        with pytest.raises(KillError):
            tuning.search.search(audited, tmp_path / "search", settings_for("random"))
    return tmp_path / "search"


def failing(error: BaseException, every: int = 1):
    """A training of which every n-th one fails."""
    train, count = Formula.train, [0]

    def fails(self: Formula, *arguments: Any) -> dict[str, float]:
        count[0] += 1
        if count[0] % every == 0:
            raise error
        return train(self, *arguments)

    return fails


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"objective": "qwk"}, "objective 'log_loss', not 'qwk'"),
        ({"only": {**ONLY, "size": ["96"]}}, r"search space: size \['96', '160'\], not \['96'\]"),
    ],
)
def test_another_search_is_refused_in_a_folder_and_the_difference_is_named(audited, begun, change, difference):
    import tuning.search

    with pytest.raises(DataError, match=difference):
        tuning.search.search(audited, begun, replace(settings_for("random"), **change))


@pytest.mark.parametrize(
    ("options", "run", "error"),
    [
        ({"objective": "accuracy"}, {}, "--objective accuracy: choose among log_loss, qwk"),
        ({"space": "wide"}, {}, "--space wide: choose among default, full"),
        ({}, {"hours": -1.0}, "--hours -1: give a number of hours"),
        ({}, {"role": "chief"}, "--address is missing: give the chief's HOST:PORT"),
        ({}, {"role": "worker", "address": "10.0.0.5"}, "--address 10.0.0.5: give the chief's HOST:PORT"),
    ],
)
def test_an_option_that_can_not_be_used_is_named_before_anything_is_written(audited, tmp_path, options, run, error):
    import tuning.search
    from tuning.searching.settings import RunSettings

    with pytest.raises(SettingsError, match=error):
        tuning.search.search(audited, tmp_path / "search", settings_for("random", **options), RunSettings(**run))
    assert not (tmp_path / "search").exists()


def test_a_trial_that_fails_leaves_its_traceback_and_the_others_go_on(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.records import read_trials

    monkeypatch.setattr(Formula, "train", failing(MemoryError("no room for a tensor"), every=3))
    out = tuning.search.search(audited, tmp_path, settings_for("random", trials=7))
    assert sorted(path.name for path in (out / "failed").iterdir()) == ["trial_2.txt", "trial_5.txt"]
    assert "MemoryError: no room for a tensor" in (out / "failed" / "trial_2.txt").read_text("utf-8")
    assert len(read_trials(out / "tuner", settings_for("random"))) == 5
    report = (out / "report.md").read_text("utf-8")
    assert "5 trials by random have finished and 2 have failed, of 7 planned" in report
    assert "It runs" not in report
    assert not (out / "live").exists()


def test_too_many_failed_trials_stop_the_search_until_more_may_fail(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.settings import RunSettings

    settings = settings_for("random", trials=8, only={**ONLY, "dropout": ["0.2", "0.4"]})
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(FloatingPointError("the loss was not a number")))
        with pytest.raises(DataError, match=r"5 of 5 trials failed, more than --most-failed 0\.5 allows.*not a number"):
            tuning.search.search(audited, tmp_path, settings)
    with pytest.raises(DataError, match="5 of 5"):
        tuning.search.search(audited, tmp_path, settings)
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    tuning.search.search(audited, tmp_path, settings, RunSettings(most_failed=1.0))
    assert [status for _, status, _ in found(tmp_path).values()] == ["FAILED"] * 5 + ["COMPLETED"] * 3


def test_a_fault_of_the_data_ends_the_search_and_no_trial_counts_as_failed(audited, begun, monkeypatch):
    import tuning.search

    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(DataError("All 9 validation films have the grade 2")))
        with pytest.raises(DataError, match="All 9 validation films"):
            tuning.search.search(audited, begun, settings_for("random"))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5


def test_a_full_disk_stops_the_search_and_loses_nothing(audited, begun, monkeypatch):
    import tuning.search
    import tuning.searching.oracle as oracle

    def full(path: Path) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(oracle, "replacing", full)
        with pytest.raises(OutputError, match=r"No space left on device.*the same command again"):
            tuning.search.search(audited, begun, settings_for("random"))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5


def test_a_damaged_state_is_named_and_a_damaged_trial_is_written_anew(audited, begun, monkeypatch):
    import tuning.search

    state, trial = begun / "tuner" / "oracle.json", begun / "tuner" / "trial_0" / "trial.json"
    whole = state.read_text("utf-8")
    state.write_text(whole[:100], "utf-8")
    with pytest.raises(DataError, match=r"oracle\.json is damaged"):
        tuning.search.search(audited, begun, settings_for("random"))
    state.unlink()
    with pytest.raises(DataError, match=r"holds trials, but no oracle\.json"):
        tuning.search.search(audited, begun, settings_for("random"))
    state.write_text(whole, "utf-8")
    trial.write_text("{", "utf-8")
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5


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


def oracle_in(out: Path) -> "Durable":
    from tuning.searching.oracle import oracle_of
    from tuning.searching.space import space_of

    settings = settings_for("random")
    oracle = oracle_of(settings, space_of(settings), ())
    oracle.take_up(out)
    return oracle


def test_the_report_of_a_search_says_what_matters_what_it_costs_and_how_to_go_on(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.__main__ import main

    settings = settings_for("random", trials=14)
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError(), every=13))
        with pytest.raises(KillError):
            tuning.search.search(audited, tmp_path / "search", settings)
    command = ["search-report", "--data", str(tmp_path / "search"), "--out", str(tmp_path / "report")]
    assert main(command) == 0
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "12 trials by random have finished and 0 have failed, of 14 planned" in text
    assert "It runs. About 3 minutes are left" in text  # two trials of three epochs, half a minute each
    assert "| here | 12 | 0 of 3 |" in text
    assert "| 3 | 12 of 14 |" in text
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.count("<h2>") == text.count("\n## ")
    assert page.count('src="data:image/png;base64,') == 5


def test_importance_finds_what_the_trials_depend_on_and_the_front_what_nothing_beats():
    from tuning.networks.architecture import Architecture
    from tuning.searching.importance import importance
    from tuning.searching.report import pareto_front
    from tuning.training.search_result import Trial

    rates, dropouts = (3e-4, 8e-4, 1e-3, 2e-3, 4e-3), (0.0, 0.2, 0.3, 0.4)
    trials = [
        Trial(
            trial=f"{number:02}",
            val_log_loss=1 + 50 * rate + 0.01 * dropout,
            log_loss_error=0.01,
            val_qwk=0.5,
            qwk_error=0.01,
            epochs=3,
            bracket="",
            parameters=1,
            bytes=100 if number != 1 else 50,
            milliseconds=2.0,
            seconds=1.0,
            ended=float(number),
            architecture=Architecture(learning_rate=rate, dropout=dropout),
        )
        for number, (rate, dropout) in enumerate((rate, dropout) for rate in rates for dropout in dropouts)
    ]
    measured = importance(trials, "log_loss")
    assert measured
    assert measured.explained > 0.5
    assert [name for name, _, _ in measured.choices] == ["learning_rate", "dropout"]
    assert measured.choices[0][1] > 10 * measured.choices[1][1]
    assert importance(trials[:9], "log_loss") is None
    assert [trial.trial for trial in pareto_front(trials, "log_loss")] == ["00", "01"]
    assert pareto_front([replace(trials[0], bytes=None)], "log_loss") == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals end the workers")
def test_a_chief_and_three_workers_find_what_one_process_does_though_one_of_them_is_killed(
    audited, tmp_path, monkeypatch
):
    import tuning.search
    import tuning.searching.live as live
    from tuning.searching.settings import RunSettings

    monkeypatch.setattr(live, "LOST_S", 3.0)  # the worker that is killed does not come back
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
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


def test_the_worth_of_a_search_is_measured_and_a_stopped_measurement_goes_on(audited, tmp_path, monkeypatch):
    import tuning.searching.trial
    from benchmarks import search_worth

    trained = Formula.train
    counted: list[int] = []

    def train(self: Formula, values: Any, epochs: int, callbacks: Any) -> dict[str, float]:
        counted.append(epochs)
        if len(counted) == 20:
            raise KillError
        return trained(self, values, epochs, callbacks)

    monkeypatch.setattr(Formula, "train", train)
    monkeypatch.setattr(tuning.searching.trial, "TrialTrainer", Formula)
    settings = settings_for("random", only={**ONLY, "dropout": ["0.2", "0.4"]})

    def measure() -> "search_worth.Worth":
        return search_worth.measure(audited, tmp_path, settings, (0,), epochs=20, networks=6)

    with pytest.raises(KillError):
        measure()
    worth = measure()
    searched, single = 6 + 2 * 4, len(list((tmp_path / "trainings").iterdir()))
    assert len(counted) == searched + single + 1  # the one that was killed is trained again
    assert [rung.epochs for rung in worth.rungs] == [1, 3]
    assert [rung.tau.value for rung in worth.rungs] == pytest.approx([1.0, 1.0])  # more epochs help all networks alike
    assert {curve.name for curve in worth.curves} == {"hyperband", "bayesian", "random", "folded", "baseline-2023"}
    for curve in worth.curves:
        assert list(curve.log_loss) == sorted(curve.log_loss, reverse=True)
    assert "The cheapest training with a tau above 0.6 has 1 epochs." in search_worth.table(worth)
    search_worth.plot(worth, tmp_path / "worth.png")
    assert (tmp_path / "worth.png").stat().st_size > 0


def test_half_of_the_target_of_a_taught_trial_is_what_the_teacher_answers(audited):
    from tuning.data.augment import one_hot
    from tuning.networks.architecture import Architecture
    from tuning.searching.trial import TrialTrainer

    trainer = TrialTrainer(audited, settings_for("random", films=10, validation_films=8))
    films = trainer.films(Architecture(size=96, crop="frame").input, "kneeoa-cnn")
    assert len(films.training) == 10
    assert films.targets is not None
    answers = 2 * films.targets - one_hot(films.training.grades)
    assert np.allclose(answers.sum(1), 1, atol=1e-5)
    assert (answers > -1e-6).all()
    assert answers.std() > 0


def test_a_loss_that_is_no_number_ends_the_trial_and_the_error_names_epoch_and_rate(audited, monkeypatch):
    import keras

    from tuning.networks.losses import LOSSES
    from tuning.searching.space import hyperparameters, space_of
    from tuning.searching.trial import TrialTrainer

    class Nowhere(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.multiply(keras.ops.sum(y_pred, axis=-1), float("nan"))

    monkeypatch.setitem(LOSSES, "soft_ordinal", Nowhere)
    settings = settings_for("random", films=8, validation_films=8, batch=4, only={**ONLY, "learning_rate": ["0.001"]})
    values = hyperparameters(space_of(settings)).values
    with (
        eagerly(),
        pytest.raises(FloatingPointError, match=r"not a number in epoch 1 of 3, with the learning rate 0\.001"),
    ):
        TrialTrainer(audited, settings).train(values, 3, ())
