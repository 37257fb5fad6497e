"""The card says of the networks what its evidence says, and what its pictures leave out."""

import copy
from dataclasses import replace

import pytest

from kneeoa_hub.card.render import render
from kneeoa_hub.card.sections import subgroups
from kneeoa_hub.card.training import members, reproduce


@pytest.fixture
def config(grader):
    """Of a network that folds, one that does not, and one that went on with larger films."""
    architecture = grader.bundle.config.members[0]["architecture"]
    made = [
        {"name": name, "architecture": {**architecture, "fold": "folded" in name}}
        for name in ("winner-0", "folded-0", "folded@224-0")
    ]
    return replace(grader.bundle.config, members=tuple(made))


def test_networks_and_epochs_that_the_picture_of_kappas_lacks_are_named(grader, config):
    evidence = grader.bundle.evidence
    card = render(config, {**evidence, "training": {**evidence["training"], "drawn": ["folded-0", "folded@224-0"]}})
    assert "The kappas of winner-0 by epoch were not kept, and are not drawn." in card
    assert "Of folded@224-0 the epochs on larger films alone are drawn" in card
    assert "figures/training.png" in card


def test_a_picture_of_all_kappas_needs_no_excuse_and_one_of_none_is_not_shown(grader, config):
    evidence = grader.bundle.evidence
    whole = replace(config, members=config.members[:2])
    card = render(whole, {**evidence, "training": {**evidence["training"], "drawn": ["winner-0", "folded-0"]}})
    assert "figures/training.png" in card
    assert "not drawn" not in card
    assert "larger films alone" not in card
    none = render(whole, {**evidence, "training": {**evidence["training"], "drawn": []}})
    assert "figures/training.png" not in none
    assert "The kappas of winner-0 and folded-0 by epoch were not kept, and are not drawn." in none


def test_the_card_of_a_bundle_that_does_not_know_what_was_drawn_shows_it_without_comment(grader, config):
    evidence = grader.bundle.evidence
    training = {name: value for name, value in evidence["training"].items() if name != "drawn"}
    card = render(config, {**evidence, "training": training})
    assert "figures/training.png" in card
    assert "not drawn" not in card


def test_a_folded_network_grades_a_mirrored_film_alike_by_construction_and_another_by_merit(config):
    certain, most = ({"value": value, "low": value, "high": value, "n": 100} for value in (1.0, 0.9))
    entries = [
        {"name": name, "metrics": {"oai_val": {"qwk": most}}, "mirrored_agreement": certain}
        for name in ("winner-0", "folded-0")
    ]
    table = members(config, {"members": entries})
    assert "| winner-0 | 0.900 | 1.000 |" in table
    assert "| folded-0 | 0.900 | 1.000, by construction |" in table
    assert table.startswith(
        "Each member alone, with the temperature and the rule that were fitted for all of them together:"
    )


def test_the_lengths_of_training_are_the_evidence_s(grader):
    evidence = copy.deepcopy(dict(grader.bundle.evidence))
    evidence["training"]["members"] = [{"name": "winner-0", "epochs": 77}, {"name": "folded@224-1", "epochs": 21}]
    told = reproduce(evidence)
    assert (
        "Epochs of these networks (of one with @ those at that size alone, after a longer training on smaller films):"
        " winner-0 77, folded@224-1 21;" in told
    )
    assert "in place of" not in told
    assert "Epochs of these" not in reproduce({"training": {}})


@pytest.mark.parametrize(
    ("kind", "told"),
    [("film gray", "how dark the films are."), ("exposure", "not how dark the films were."), ("side", "")],
)
def test_the_card_says_of_which_gray_its_thirds_are(kind, told):
    number = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 100}
    row = dict.fromkeys(("qwk", "accuracy", "mae", "auc_oa"), number)
    text = subgroups({"subgroups": {"oai_val": {f"{kind}: dark": row}}})
    assert f"| {kind}: dark | 100 |" in text
    assert ("how dark" in text) == bool(told)
    assert told in text
