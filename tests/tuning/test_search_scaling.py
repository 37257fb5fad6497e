"""The simulation of a search by many workers agrees with what can be counted by hand."""

import csv

import pytest

from kneeoa_hub.errors import DataError

from ..support.search_runs import settings_for

pytestmark = pytest.mark.keras

SECONDS = 2.0


def test_workers_that_never_wait_share_the_time_and_the_last_trials_of_a_search_leave_some_idle():
    from benchmarks.search_scaling import Chief, Network, simulate

    network, settings = Network(SECONDS, {3: 0.7}), settings_for("random", trials=10)
    alone, four = (simulate([network], settings, workers, Chief(0, 0), False) for workers in (1, 4))
    assert alone.hours * 3600 == pytest.approx(10 * 3 * SECONDS)
    assert (alone.busy, alone.trials) == (pytest.approx(1), 10)
    assert four.hours * 3600 == pytest.approx(3 * 3 * SECONDS)  # ten trials of four workers are three rounds
    assert four.machine_hours == pytest.approx(4 * four.hours)
    assert four.busy == pytest.approx(10 / 12)
    assert four.waiting == pytest.approx(2 / 12)
    ten = simulate([network], settings, 10, Chief(0, 0), True)
    assert ten.hours * 3600 == pytest.approx(2 * 3 * SECONDS)  # one of them is half as fast


def test_hyperband_waits_for_its_rungs_and_for_a_chief_that_is_slow():
    from benchmarks.search_scaling import Chief, Network, simulate

    network, settings = Network(SECONDS, {3: 0.7}), settings_for("hyperband")
    many = simulate([network], settings, 64, Chief(0, 0), False)
    assert many.hours * 3600 == pytest.approx((1 + 3) * SECONDS)  # a promoted trial waits for its rung
    slow = simulate([network], settings, 1, Chief(0.5, 0.1), False)
    assert slow.talking > 0.1
    assert slow.hours > simulate([network], settings, 1, Chief(0, 0), False).hours


def test_the_chief_is_timed_over_its_own_service_and_trial_times_are_read_by_network(tmp_path):
    from benchmarks.search_scaling import measure_chief, read_networks

    chief = measure_chief(settings_for("random"), trials=6)
    assert chief.first + 6 * chief.each > 0
    with (tmp_path / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "val_log_loss", "epochs", "seconds", "ended", "folds_qwk", "size"])
        writer.writerows([[0, 1.2, 1, 5, 0, "", 96], [1, 0.9, 3, 11, 0, 0.7, 96], [2, 1.1, 1, 9, 0, "", 128]])
    small, large = read_networks(tmp_path)
    assert (small.seconds, small.score(1), small.score(4)) == (4, 1.2, 0.9)
    assert large.seconds == 9
    with pytest.raises(DataError, match="no trials with seconds"):
        read_networks(tmp_path / "no.csv")
