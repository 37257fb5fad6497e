"""The decision rule is the best one on validation films among those that a reader can follow from the bars."""

import numpy as np
import pytest

from kneeoa_hub.bundle import Decision
from kneeoa_hub.decision import reported_grade


@pytest.mark.parametrize(
    ("probabilities", "by_rule"),
    [
        ([0.4, 0.15, 0.2, 0.15, 0.1], {"argmax": 0, "median": 1, "expected": 1}),
        ([0.45, 0.1, 0.05, 0.1, 0.3], {"argmax": 0, "median": 1, "expected": 2}),
        ([0.1, 0.1, 0.6, 0.1, 0.1], {"argmax": 2, "median": 2, "expected": 2}),
        ([0.0, 0.0, 0.0, 0.2, 0.8], {"argmax": 4, "median": 4, "expected": 4}),
        ([1.0, 0.0, 0.0, 0.0, 0.0], {"argmax": 0, "median": 0, "expected": 0}),
    ],
)
def test_each_rule_reports_its_grade(probabilities, by_rule):
    from tuning.evaluation.thresholds import MEASURED

    row = np.array([probabilities])
    assert {rule: int(reported_grade(row, Decision(rule))[0]) for rule in MEASURED} == by_rule


@pytest.mark.keras
@pytest.mark.parametrize("rule", ["argmax", "median", "expected"])
def test_the_graph_takes_its_map_for_the_grade_that_is_reported(rule):
    from tuning.networks.ensemble import reported_one_hot

    rows = np.random.default_rng(0).dirichlet(np.full(5, 0.7), 200).astype(np.float32)
    ones = np.asarray(reported_one_hot(rows, Decision(rule)))
    assert ones.sum(1).tolist() == [1.0] * 200
    assert ones.argmax(1).tolist() == reported_grade(rows, Decision(rule)).tolist()


def test_the_likeliest_grade_is_reported_where_it_is_best():
    from tuning.evaluation.thresholds import choose_decision

    truth = np.random.default_rng(2).integers(0, 5, 60)
    decision, tried = choose_decision(np.eye(5)[truth] * 0.4 + np.array([0.3, 0, 0, 0, 0.3]), truth)
    assert decision.rule == "argmax"
    assert tried["argmax"] == (1.0, 1.0)
    assert set(tried) == {"argmax", "median", "expected"}


def test_the_middle_of_the_probability_is_reported_where_it_is_best():
    from tuning.evaluation.thresholds import choose_decision

    rng = np.random.default_rng(3)
    severity = rng.uniform(0.5, 3.5, 300)
    probabilities = np.exp(-0.5 * ((np.arange(5) - severity[:, None]) / 0.9) ** 2)
    probabilities[:, [0, 4]] *= 1.6
    probabilities /= probabilities.sum(1, keepdims=True)
    decision, _ = choose_decision(probabilities, np.rint(severity).astype(int))
    assert decision.rule == "median"
