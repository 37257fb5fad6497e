"""A search says what it has found, what it depends on, and what it is worth."""

import os
import time
from dataclasses import replace
from typing import Any

import pytest

from ..support.formula import Formula
from ..support.search_runs import ONLY, KillError, failing, search_without_report, settings_for
from ..support.waiting import until

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


def test_the_report_of_a_search_says_what_matters_what_it_costs_and_how_to_go_on(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.__main__ import main
    from tuning.searching import report
    from tuning.searching.records import settings_of

    settings = settings_for("random", trials=14)
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError(), every=13))
        with pytest.raises(KillError):
            tuning.search.search(audited, tmp_path / "search", settings)
    answers = tmp_path / "search" / "tuner" / "trial_03" / "answers.npz"
    answers.write_bytes(answers.read_bytes()[:100])  # as a power failure leaves it
    command = ["search-report", "--data", str(tmp_path / "search"), "--out", str(tmp_path / "report")]
    assert main(command) == 0
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "Of 14 planned trials, 12 have finished and none have failed." in text
    assert "It runs. About 3 minutes are left" in text  # two trials of three epochs, half a minute each
    assert "| here | 12 | 0 of 3 |" in text
    assert "| 3 | 12 of 14 |" in text
    assert "\n## The ensemble\n" in text
    assert f"Trial 03 is left out of the ensemble. {answers} can't be read (BadZipFile" in text
    os.utime(tmp_path / "search" / "live" / "here.json", (0, time.time() - 600))
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.count("<h2>") == text.count("\n## ")
    assert page.count('src="data:image/png;base64,') == 5
    settings = settings_of(tmp_path / "search")
    killed = report._state(tmp_path / "search", settings, (), finished=False)
    assert "No process of it has given a sign of life for 10 minutes" in killed.text[1]


def test_the_time_left_counts_folds_and_failed_trials_and_who_trains_now_alone(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.live import LOST_S, Doing, Sign, doing_now, forget_faults
    from tuning.searching.records import read_trials
    from tuning.searching.report import _state

    trained, ends = Formula.train, iter((None, None, ValueError("a layer does not fit"), None, KillError()))

    def train(self: Formula, *given: Any) -> dict[str, float]:
        if end := next(ends):
            raise end
        return trained(self, *given)

    monkeypatch.setattr(Formula, "train", train)
    settings = settings_for("random", trials=6, folds=2)
    with pytest.raises(KillError):
        tuning.search.search(audited, tmp_path, settings)
    Sign(tmp_path, "waits")
    for name, trial, silent in (("killed", "5", LOST_S + 60), ("killed just now", "4", 10.0)):
        killed = Sign(tmp_path, name)
        killed.show(Doing(name, trial, 8, 9))
        os.utime(killed.path, (0, time.time() - silent))
    trials = read_trials(tmp_path / "tuner", settings)
    state = _state(tmp_path, settings, trials, finished=False)
    assert state.rows[1:] == [("here", "4", "0 of 9"), ("waits", "-", "0 of 0")]
    assert "About 3 minutes are left" in state.text[1]  # two trainings of 9 epochs, as those that took 90 seconds
    forget_faults(tmp_path)  # workers go on
    assert [one.process for one in doing_now(tmp_path)] == ["killed just now", "waits"]


def test_a_search_that_was_stopped_does_not_run_and_the_end_of_one_on_a_pack_is_named(audited, tmp_path, monkeypatch):
    from tuning.searching import report
    from tuning.searching.records import read_trials

    settings = settings_for("random")

    def said(**changes: Any) -> str:
        trials = read_trials(tmp_path / "tuner", settings)
        return report._state(tmp_path, replace(settings, **changes), trials, finished=False).text[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KeyboardInterrupt(), every=3))
        with pytest.raises(KeyboardInterrupt):
            search_without_report(audited, tmp_path, settings, monkeypatch)
    assert said(accelerated=True) == "The search has not ended. The same command goes on with it."
    search_without_report(audited, tmp_path, settings, monkeypatch)
    for planned in (5, 6):  # a small search space may have fewer points than trials are planned
        assert said(accelerated=True, trials=planned).startswith("The same command with `--finish`")


def test_a_search_in_one_process_gives_signs_of_life_within_an_epoch(audited, tmp_path, monkeypatch):
    from tuning.searching import live

    sign, trained = live.sign_path(tmp_path, live.HERE), Formula.train

    def train(self: Formula, *given: Any) -> dict[str, float]:
        os.utime(sign, (0, 0))
        until(lambda: live.silence_of(tmp_path) < live.LOST_S)
        return trained(self, *given)

    monkeypatch.setattr(live, "BEAT_S", 0.001)
    monkeypatch.setattr(Formula, "train", train)
    search_without_report(audited, tmp_path, settings_for("random", trials=1), monkeypatch)


def test_importance_finds_what_the_trials_depend_on_and_the_front_what_nothing_beats(tmp_path):
    from tuning.networks.architecture import Architecture
    from tuning.searching import figures, report
    from tuning.searching.importance import importance, sorted_values, varied_choices
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
    taught = [
        replace(trial, teacher=teacher, val_log_loss=1.0 + (teacher == "./worse"))
        for trial, teacher in zip(trials, ("./better", "./worse") * 10, strict=True)
    ]
    by_teacher = importance(taught, "log_loss")
    assert by_teacher
    assert by_teacher.choices[0][0] == "teacher"
    assert [trial.trial for trial in pareto_front(trials, "log_loss")] == ["00", "01"]
    networks = [Architecture(backbone="lite0", block="plain"), Architecture(), Architecture(block="plain")]
    mixed = [replace(trial, architecture=networks[number % 3]) for number, trial in enumerate(trials)]
    assert varied_choices(mixed) == ["block", "backbone"]
    assert varied_choices([trial for trial in mixed if trial.architecture.block == "plain"]) == ["backbone"]
    assert sorted_values(mixed, "block") == [None, "plain", "residual"]
    assert [row[-2:] for row in report._best(mixed[:3], accelerated=False).rows] == [
        ("block", "backbone"),
        ("-", "lite0"),
        ("residual", "none"),
        ("plain", "none"),
    ]
    figures.plot_parallel(mixed, "log_loss", True, tmp_path / "parallel.png")
    with_backbones = importance(mixed, "log_loss")
    assert with_backbones
    assert {name for name, _, _ in with_backbones.choices} == {"block", "backbone"}
    unmeasured = [replace(trials[0], bytes=None)]
    assert pareto_front(unmeasured, "log_loss") == []
    assert "not measured" in report._front(unmeasured, settings_for("random"), tmp_path).text[0]
    assert "No trial of full length" in report._front(unmeasured, settings_for("random", epochs=9), tmp_path).text[0]


def test_the_worth_of_a_search_is_measured_and_a_stopped_measurement_goes_on(audited, tmp_path, monkeypatch):
    import tuning.searching.trial
    from benchmarks.search_worth import __main__ as main
    from benchmarks.search_worth import report
    from benchmarks.search_worth.report import Worth

    trained = Formula.train
    counted: list[int] = []

    def train(self: Formula, values: Any, epochs: int, callbacks: Any) -> dict[str, float]:
        counted.append(epochs)
        if len(counted) == 10:
            raise KillError
        return trained(self, values, epochs, callbacks)

    monkeypatch.setattr(Formula, "train", train)
    monkeypatch.setattr(tuning.searching.trial, "TrialTrainer", Formula)
    settings = settings_for("random", only={**ONLY, "dropout": ["0.2", "0.4"]})
    by_hand = ("folded", "baseline-2023@96")

    def measure() -> Worth:
        return main.measure(audited, tmp_path, settings, seeds=1, networks=12, full=(4, 20), names=by_hand)

    with pytest.raises(KillError):
        measure()
    worth = measure()
    trained_once = 12 * 2 + 2 + 4
    assert len(list((tmp_path / "trainings").iterdir())) == trained_once
    assert len(counted) == trained_once + 1  # the one that was killed is trained again
    assert [rung.epochs for rung in worth.rungs] == [1, 3]
    assert [rung.tau.value for rung in worth.rungs] == pytest.approx([1.0, 1.0])  # more epochs help all networks alike
    assert [rung.tau_full.n for rung in worth.rungs if rung.tau_full] == [4, 4]
    names = [curve.name for curve in worth.curves]
    searches = ["hyperband from 1 epoch", "hyperband from 3 epochs", "bayesian", "random"]
    assert names == [*searches, *by_hand]
    for curve in worth.curves:
        assert list(curve.log_loss) == sorted(curve.log_loss, reverse=True)
        assert len(curve.minutes) < 3 or curve.minutes[-3] < worth.minutes  # a search ends when its time is over
    (learnt,) = (curve for curve in worth.curves if curve.name == "bayesian")
    assert len(learnt.minutes) > 3  # the first three trials are drawn at random
    assert set(worth.gains) == set(searches) - {"random"}
    assert "The cheapest training with a tau above 0.6 has 1 epochs." in report.table(worth)
    report.plot(worth, tmp_path / "worth.png")
    assert (tmp_path / "worth.png").stat().st_size > 0


def test_trials_that_were_trained_on_folds_come_first_by_their_mean(audited, tmp_path, monkeypatch):
    from tuning.search import search
    from tuning.searching.records import read_trials
    from tuning.searching.report import pareto_front

    trained = Formula.train

    def train(self: Formula, values: Any, epochs: int, callbacks: Any, folder: Any) -> dict[str, float]:
        measures = trained(self, values, epochs, callbacks, folder)
        if epochs < 3:  # a short trial that seems the best one of all
            return measures | {"val_log_loss": measures["val_log_loss"] - 0.5}
        folds = {"folds_log_loss": 2 - measures["val_log_loss"], "folds_log_loss_error": 0.04}
        return measures | folds | {"folds_qwk": 0.5, "folds_qwk_error": 0.05}

    monkeypatch.setattr(Formula, "train", train)
    settings = settings_for("hyperband", folds=2)
    out = search(audited, tmp_path, settings)
    trials = read_trials(out / "tuner", settings)
    assert [trial.epochs for trial in trials] == [3, 3, 3, 1, 1, 1]
    means = [trial.folds_log_loss or 0 for trial in trials[:3]]
    assert means == sorted(means)
    report = (out / "report.md").read_text("utf-8")
    assert "| log loss on folds | QWK on folds |" in report
    assert f"| {means[0]:.3f} ± 0.040 | 0.500 ± 0.050 |" in report
    assert pareto_front(trials[:3], "log_loss")[0] == trials[0]
    assert "Folds do not choose the members" in report
