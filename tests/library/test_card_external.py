"""The card says what carries over to films of another collection, and which models grade better."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kneeoa_hub.card.external import other_sources, peers
from kneeoa_hub.card.render import render
from kneeoa_hub.card.results import missed
from kneeoa_hub.card.text import figure
from kneeoa_hub.evidence import CrossDomainRow, Evidence, StripEvidence
from kneeoa_hub.sources import sources
from kneeoa_hub.typed_json import from_json

from ..support.schemas import schema

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "evidence" / "cross-domain" / "cross-domain.json"


@pytest.fixture
def carried_over() -> tuple[CrossDomainRow, ...]:
    """The rows as an export writes them."""
    return from_json(tuple[CrossDomainRow, ...], json.loads(MEASURED.read_text("utf-8")))


def test_what_carries_over_stands_below_the_headline_figures_in_plain_words(grader, carried_over):
    evidence = replace(grader.bundle.evidence, cross_domain=carried_over)
    schema("evidence").validate(evidence.to_dict())
    card = render(grader.bundle.config, evidence)
    assert (
        card.index("| OAI, test half |")
        < card.index("**Films of another source.** For a comparison, networks were trained")
        < card.index("## Use")
        < card.index("### From one collection to another")
        < card.index("### Recall by grade")
    )
    assert (
        "On another they had a QWK of 0.04 and 0.06: hardly anything carried over. Their 90% prediction sets held the"
        " reader's grade for 0.53 and 0.69 of the knees there. Other networks can do better or worse." in card
    )
    assert "with one seed, for this comparison alone, and measured on validation films" in card
    for row in carried_over:
        assert f"| {row.trained_on} | " in card
        assert f" | {row.qwk.n} | {figure(row.qwk)} |" in card


def test_a_network_that_carries_over_is_not_called_one_that_does_not(grader, carried_over):
    better = tuple(replace(row, qwk=replace(row.qwk, value=0.6)) for row in carried_over)
    text = other_sources(replace(grader.bundle.evidence, cross_domain=better))
    assert "hardly anything" not in text
    assert "On another they had a QWK of 0.60 and 0.60. Their" in text


@pytest.mark.parametrize("at_home", [True, False])
def test_without_films_of_another_collection_nothing_is_said(grader, carried_over, at_home):
    rows = tuple(row for row in carried_over if at_home and row.measured_on.startswith(row.trained_on))
    card = render(grader.bundle.config, replace(grader.bundle.evidence, cross_domain=rows))
    assert "From one collection to another" not in card
    assert "**Films of another source.** Films of other hospitals differ. Measure on your own films first" in card


def test_the_readme_and_the_bundle_say_what_was_measured(grader, carried_over):
    across = [row for row in carried_over if row.trained_on != "all" and not row.measured_on.startswith(row.trained_on)]
    kappas = " and ".join(f"{row.qwk.value:.2f}" for row in across)
    assert f"with a kappa of {kappas}:" in (ROOT / "README.md").read_text("utf-8")
    assert grader.bundle.evidence.cross_domain == carried_over


def changed_evidence(grader, name: str, value: float) -> Evidence:
    """The shipped evidence with another value of one measure of the OAI test films."""
    evidence = grader.bundle.evidence
    row = evidence.metrics["oai_test"]
    changed = replace(row, **{name: replace(getattr(row, name), value=value)})
    return replace(evidence, metrics=evidence.metrics | {"oai_test": changed})


@pytest.mark.parametrize(("accuracy", "better"), [(0.5, 5), (0.6, 4), (0.695, 3), (0.698, 2), (0.71, 1)])
def test_the_models_that_grade_better_are_those_with_a_higher_accuracy(grader, accuracy, better):
    text = peers(changed_evidence(grader, "accuracy", accuracy))
    (sentence,) = [line for line in text.splitlines() if "have a higher accuracy than this bundle" in line]
    assert f"this bundle, {accuracy:.3f} (" in sentence
    assert sentence.count(";") == better - 1
    assert "KneeXNet 2024, ten networks." in sentence


def test_a_bundle_that_grades_best_is_not_said_to_be_beaten(grader):
    text = peers(changed_evidence(grader, "accuracy", 0.75))
    assert "higher accuracy" not in text
    assert all(peer.name in text for peer in sources().peers)


@pytest.mark.parametrize(
    ("sensitivity", "proportion"),
    [(0.74, "one in four"), (0.9, "one in ten"), (0.915, "one in 12"), (0.67, "33%"), (0.2, "80%")],
)
def test_missed_knees_with_osteoarthritis_are_given_as_one_in_so_many(grader, sensitivity, proportion):
    assert f"{proportion} (OAI, test half) get a grade below 2." in missed(
        changed_evidence(grader, "sensitivity_oa", sensitivity)
    )


def test_missed_knees_are_counted_on_validation_films_where_there_was_no_test_evaluation(grader):
    row = grader.bundle.evidence.metrics["oai_val"]
    evidence = replace(grader.bundle.evidence, metrics={"oai_val": row})
    assert "(OAI, validation) get a grade below 2." in missed(evidence)
    unknown = replace(evidence, metrics={"oai_val": replace(row, sensitivity_oa=None)})
    assert missed(unknown) == ""
    assert "Missed osteoarthritis" not in render(grader.bundle.config, unknown)


def test_strips_of_two_knees_are_described_separately_and_only_where_measured(grader):
    row = grader.bundle.evidence.metrics["gornale_test"]
    strips = {"gornale_test": StripEvidence(qwk=row.qwk, accuracy=row.accuracy, mae=row.mae)}
    evidence = replace(grader.bundle.evidence, two_knee_strips=strips)
    schema("evidence").validate(evidence.to_dict())
    table = render(grader.bundle.config, evidence).partition("### Strips of two knees")[2]
    assert f"| Gornale, test fold | {row.qwk.n} | {figure(row.qwk)} |" in table
    without = replace(evidence, two_knee_strips={})
    assert "### Strips of two knees" not in render(grader.bundle.config, without)
