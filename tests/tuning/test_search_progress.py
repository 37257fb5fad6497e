"""The line of progress of a search: trials, rung, epoch, best so far, and the time that is left."""

import io
import re

import pytest

from ..support.formula import Formula
from ..support.search_runs import KillError, failing, search_without_report, settings_for

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


def ended(name: str, score: float, **values: int):
    import keras_tuner as kt
    from keras_tuner.engine.trial import Trial

    drawn = kt.HyperParameters()
    drawn.values = {f"tuner/{key}": value for key, value in values.items()}
    trial = Trial(drawn, trial_id=name, status="COMPLETED")
    trial.score = score
    return trial


def test_the_line_names_trials_best_rung_and_epoch_and_counts_every_epoch_once():
    from tuning.searching.live import Doing
    from tuning.searching.settings import planned_trials
    from tuning.searching.tuner import progress_of

    settings = settings_for("hyperband", epochs=9)
    done, note = progress_of(
        [ended("0", 0.9, epochs=1), ended("1", 0.8, epochs=3)],
        [Doing("a", "2", 4, 9), Doing("b", "3", 0, 1), Doing("waits"), Doing("has not heard of its end", "0", 1, 1)],
        settings,
    )
    assert done == 1 + 3 + 4
    trials = f"2/{planned_trials(settings)} trials, best log loss 0.800"
    assert note == f"{trials}; trial 2 rung 3/3 epoch 4/9; trial 3 rung 1/3 epoch 0/1"
    on_folds = settings_for("random", folds=2, objective="qwk")  # each trial is trained three times
    done, note = progress_of([ended("0", 0.6), ended("1", 0.7)], [Doing("here", "2", 4, 9)], on_folds)
    assert (done, note) == (9 + 9 + 4, "2/5 trials, best qwk 0.700; trial 2 epoch 4/9")


def test_the_time_left_follows_from_the_work_of_this_run_alone():
    from tuning.run.console import time_left

    assert time_left(60, 0, 5, 20) == 180
    assert time_left(60, 10, 15, 20) == 60  # ten of them were done before
    assert time_left(60, 10, 10, 20) is None
    assert time_left(60, 0, 20, 20) is None
    assert time_left(60, 10, 10.5, 110) is None  # too early to tell
    assert time_left(400, 10, 10.5, 110) == 400 * 199


def test_a_bar_tells_the_pace_of_the_whole_run_and_is_drawn_anew_between_two_steps(monkeypatch):
    from tuning.run.console import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        @property
        def shown(self) -> str:
            return self.getvalue().rpartition("\r")[2]

    now, terminal = [1000.0], Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "110")
    with Progress("search", 41) as progress:
        for look in range(301):  # two epochs of 30 seconds; a search looks five times in a second
            progress.at(look // 150, f"look {look}")
            if look in (150, 250):
                assert f", about 20 min left, look {look}" in terminal.shown
            now[0] += 0.2


def test_a_search_that_goes_on_in_a_log_says_what_is_left_once_it_has_trained_again(
    audited, tmp_path, monkeypatch, capsys
):
    from tuning.run import console

    settings = settings_for("random")
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError(), every=4))
        with pytest.raises(KillError):
            search_without_report(audited, tmp_path, settings, monkeypatch)
    monkeypatch.setattr(console, "LINES_S", 0.0)
    capsys.readouterr()
    search_without_report(audited, tmp_path, settings, monkeypatch)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("   search, random: 3/5 trials, best log loss ")
    assert re.search(r"; trial 3 epoch 0/3 \[\d+ s\]$", first)
    assert re.search(r"; trial 3 epoch 1/3 \[\d+ s, about \d+ s left\]$", second)
