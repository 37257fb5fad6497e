"""The card tells what carries over to films of another collection, and who grades better."""

import copy
import json
from pathlib import Path

import pytest

from kneeoa_hub.card import figure, render
from kneeoa_hub.card_outside import cross_domain
from tuning.export import CARRIED_OVER

from .test_schemas import schema

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "docs" / "evidence" / "cross-domain" / "cross-domain.json"


@pytest.fixture
def carried_over() -> list[dict]:
    """The rows as an export takes them over."""
    rows = json.loads(MEASURED.read_text("utf-8"))
    return [{name: row[name] for name in ("trained_on", "measured_on", *CARRIED_OVER)} for row in rows]


def test_what_carries_over_stands_below_the_headline_figures_in_plain_words(grader, carried_over):
    evidence = {**grader.bundle.evidence, "cross_domain": carried_over}
    schema("evidence").validate(evidence)
    card = render(grader.bundle.config, evidence)
    assert card.index("| OAI, test half |") < card.index("**From one collection to another hardly anything carried over.**") < card.index("Recall by grade:")
    assert 'had a kappa of 0.04 and 0.06, where 0 is chance and 1 is perfect; its "90%" sets held the grade in 0.53 and 0.69 of the films' in card
    assert "one seed, on validation films" in card
    for row in carried_over:
        assert f"| {row['trained_on']} | " in card
        assert f" | {row['qwk']['n']} | {figure(row['qwk'])} |" in card


def test_a_network_that_carries_over_is_not_called_one_that_does_not(carried_over):
    better = copy.deepcopy(carried_over)
    for row in better:
        row["qwk"]["value"] = 0.6
    told = cross_domain({"cross_domain": better})
    assert "hardly anything" not in told
    assert "From one collection to another a part was lost" in told


@pytest.mark.parametrize("rows", [None, [], ["at home alone"]])
def test_without_films_of_another_collection_nothing_is_said(grader, carried_over, rows):
    at_home = [row for row in carried_over if row["measured_on"].startswith(row["trained_on"])]
    evidence = {name: value for name, value in grader.bundle.evidence.items() if name != "cross_domain"}
    if rows is not None:
        evidence["cross_domain"] = at_home if rows else []
    assert "From one collection to another" not in render(grader.bundle.config, evidence)


def test_the_readme_and_the_bundle_say_what_was_measured(grader, carried_over):
    across = [row for row in carried_over if row["trained_on"] != "all" and not row["measured_on"].startswith(row["trained_on"])]
    kappas = " and ".join(f"{row['qwk']['value']:.2f}" for row in across)
    assert f"with a kappa of {kappas}:" in (ROOT / "README.md").read_text("utf-8")
    assert grader.bundle.evidence.get("cross_domain", carried_over) == carried_over
