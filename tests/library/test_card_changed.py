"""The card says what changes of films do to their grades."""

import json
from dataclasses import replace
from pathlib import Path

from kneeoa_hub.card.render import render
from kneeoa_hub.evidence import RobustnessEvidence
from kneeoa_hub.typed_json import from_json

from ..support.schemas import schema

MEASURED = Path(__file__).parents[2] / "docs" / "evidence" / "robustness" / "robustness.json"


def test_every_change_and_the_worst_one_stand_in_the_card(grader):
    measured = from_json(RobustnessEvidence, json.loads(MEASURED.read_text("utf-8")))
    evidence = replace(grader.bundle.evidence, robustness=measured)
    schema("evidence").validate(evidence.to_dict())
    card = render(grader.bundle.config, evidence)
    for rows in measured.collections.values():
        worst = min(rows[1:], key=lambda row: row.same.value)
        assert f"{worst.same.value:.2f} ({worst.change}; " in card[: card.index("## Use")]
        for row in rows:
            line = next(line for line in card.splitlines() if line.startswith(f"| {row.change} |"))
            assert f"| {row.same.value:.2f} |" in line
    assert "(figures/robustness.png)" in card
    gornale, oai = (measured.collections[name][-1] for name in ("gornale", "oai"))
    assert gornale.change == oai.change == "three at random"
    counts = f"{gornale.refused.n} (Gornale) and {oai.refused.n} (OAI) films"
    assert f'"three at random" counts {counts}; "-" stands where no film is left.' in card


def test_a_bundle_without_such_measures_says_nothing_of_changes(grader):
    card = render(grader.bundle.config, replace(grader.bundle.evidence, robustness=None))
    assert "Changed films" not in card
    assert "robustness.png" not in card
