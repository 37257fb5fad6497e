"""The decision rule is the best one on films that it was not fitted on."""

import numpy as np
import pytest

from kneeoa_hub.decision import reported_grade


def probabilities_of(severity: np.ndarray) -> np.ndarray:
    """[N,5] probabilities of the two grades about each severity."""
    grades = np.arange(5)
    return np.clip(1 - np.abs(severity[:, None] - grades), 0, 1)


def test_thresholds_away_from_the_middle_are_found():
    from tuning.evaluation.thresholds import fit_thresholds

    severity = np.random.default_rng(0).uniform(0, 4, 2000)
    truth = (severity[:, None] > np.array([0.8, 1.5, 2.2, 3.4])).sum(1)
    assert np.allclose(fit_thresholds(severity, truth), [0.8, 1.5, 2.2, 3.4], atol=0.03)


def test_fitted_thresholds_are_chosen_when_they_are_better_on_held_out_films():
    from tuning.evaluation.thresholds import choose_decision, merit

    severity = np.random.default_rng(1).uniform(0, 4, 600)
    truth = (severity[:, None] > np.array([0.9, 1.5, 2.2, 3.2])).sum(1)
    decision, tried = choose_decision(probabilities_of(severity), truth, np.arange(600).astype(str))
    assert max(tried, key=lambda name: tried[name][0] + tried[name][1] / 2) == "fitted"
    assert merit(truth, reported_grade(probabilities_of(severity), decision)) > 1.45


def test_the_likeliest_grade_is_kept_when_nothing_is_better():
    from tuning.evaluation.thresholds import choose_decision

    truth = np.random.default_rng(2).integers(0, 5, 60)
    decision, tried = choose_decision(probabilities_of(truth.astype(float)), truth, np.arange(60).astype(str))
    assert tried["argmax"] == (1.0, 1.0)
    assert decision.rule == "argmax"


def test_fitted_thresholds_that_are_better_by_chance_are_not_chosen():
    from tuning.evaluation.thresholds import choose_decision

    chosen = {}
    for seed in (1, 10):
        rng = np.random.default_rng(seed)
        severity = rng.uniform(0, 4, 400)
        truth = (np.clip(severity + rng.normal(0, 0.6, 400), 0, 4)[:, None] > np.array([0.6, 1.5, 2.4, 3.5])).sum(1)
        chosen[seed], tried = choose_decision(probabilities_of(severity), truth, np.arange(400).astype(str))
        merits = {name: kappa + accuracy / 2 for name, (kappa, accuracy) in tried.items()}
        assert max(merits, key=merits.__getitem__) == "fitted"
    assert chosen[1].rule == "expected"
    assert chosen[10].rule == "argmax"


def test_films_of_one_group_choose_among_the_plain_rules():
    from tuning.evaluation.thresholds import choose_decision

    severity = np.random.default_rng(3).uniform(0, 4, 80)
    truth = (severity[:, None] > np.array([0.9, 1.5, 2.2, 3.2])).sum(1)
    decision, tried = choose_decision(probabilities_of(severity), truth, np.full(80, "one patient"))
    assert set(tried) == {"argmax", "expected"}
    assert decision.thresholds == (0.5, 1.5, 2.5, 3.5)


@pytest.mark.parametrize("groups", [2, 3, 11])
def test_every_film_is_graded_once_by_thresholds_of_other_groups(groups):
    from tuning.evaluation.thresholds import choose_decision

    severity = np.random.default_rng(5).uniform(0, 4, 40 * groups)
    truth = (severity[:, None] > np.array([0.9, 1.5, 2.2, 3.2])).sum(1)
    _, tried = choose_decision(probabilities_of(severity), truth, np.arange(40 * groups) // 40)
    assert tried["fitted"][0] > tried["expected"][0]
    assert tried["fitted"][1] > 0.9
