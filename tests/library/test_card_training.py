"""The card describes the networks as its evidence does, and says what its pictures leave out."""

from dataclasses import replace

import pytest

from kneeoa_hub.card.render import render
from kneeoa_hub.card.results import subgroups
from kneeoa_hub.card.training import members, reproduce
from kneeoa_hub.evidence import (
    Agreement,
    Estimate,
    Evidence,
    MemberEvidence,
    SubgroupEvidence,
    TrainedMember,
    TrainingEvidence,
)


@pytest.fixture
def config(grader):
    """Evidence of a folded network, one that is not folded, and one whose training went on with larger films."""
    architecture = grader.bundle.config.members[0]["architecture"]
    made = [
        {"name": name, "architecture": {**architecture, "fold": "folded" in name}}
        for name in ("winner-0", "folded-0", "folded@224-0")
    ]
    return replace(grader.bundle.config, members=tuple(made))


def with_drawn(grader, *names: str) -> Evidence:
    """The shipped evidence, with the networks whose kappas are drawn."""
    evidence = grader.bundle.evidence
    return replace(evidence, training=replace(evidence.training, drawn=names))


def test_networks_and_epochs_that_the_picture_of_kappas_lacks_are_named(grader, config):
    card = render(config, with_drawn(grader, "folded-0", "folded@224-0"))
    assert "The QWK by epoch of winner-0 was not kept, and is not drawn." in card
    assert "For folded@224-0 only the epochs on larger films are drawn." in card
    assert "figures/training.png" in card


def test_a_picture_of_all_kappas_has_no_note_and_an_empty_one_is_not_shown(grader, config):
    whole = replace(config, members=config.members[:2])
    card = render(whole, with_drawn(grader, "winner-0", "folded-0"))
    assert "figures/training.png" in card
    assert "not drawn" not in card
    assert "larger films are drawn" not in card
    none = render(whole, with_drawn(grader))
    assert "figures/training.png" not in none
    assert "The QWK by epoch of winner-0 and folded-0 was not kept, and is not drawn." in none


def test_the_card_of_a_bundle_that_does_not_know_what_was_drawn_shows_it_without_comment(grader, config):
    evidence = grader.bundle.evidence
    card = render(config, replace(evidence, training=replace(evidence.training, drawn=None)))
    assert "figures/training.png" in card
    assert "not drawn" not in card


def test_a_folded_network_grades_a_mirrored_film_alike_by_construction_and_another_by_merit(grader, config):
    certain, most = (Estimate(value, value, value, 100) for value in (1.0, 0.9))
    agreement = {"oai_val": Agreement(qwk=most, accuracy=most)}
    entries = [
        MemberEvidence(name=name, metrics=agreement, mirrored_agreement=certain) for name in ("winner-0", "folded-0")
    ]
    table = members(config, replace(grader.bundle.evidence, members=tuple(entries)))
    assert "| winner-0 | 0.900 | 1.000 |" in table
    assert "| folded-0 | 0.900 | 1.000, by construction |" in table
    assert table.startswith(
        "### Each member alone\n\nWith the temperature and the decision rule that were fitted for all"
    )
    alone = members(
        replace(config, members=config.members[1:2]), replace(grader.bundle.evidence, members=tuple(entries[1:]))
    )
    assert alone == "Proportion of the films whose mirror image gets the same grade: 1.000, by construction."


def test_the_lengths_of_training_are_the_evidence_s(grader):
    trained = (TrainedMember(name="winner-0", seed=0, epochs=77), TrainedMember(name="folded@224-1", seed=1, epochs=21))
    sentence = reproduce(replace(grader.bundle.evidence, training=TrainingEvidence(members=trained)))
    assert (
        "Epochs of these members, for a name with @ only those at that size: winner-0 77, folded@224-1 21." in sentence
    )
    assert "in place of" not in sentence
    assert "Epochs of these" not in reproduce(replace(grader.bundle.evidence, training=TrainingEvidence()))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("film gray", "It says how dark the films are."),
        ("exposure", "It does not say how dark the films are."),
        ("side", ""),
    ],
)
def test_the_card_says_which_gray_defines_its_thirds(grader, kind, sentence):
    number = Estimate(0.8, 0.7, 0.9, 100)
    row = SubgroupEvidence(qwk=number, accuracy=number, mae=number, auc_oa=number)
    text = subgroups(replace(grader.bundle.evidence, subgroups={"oai_val": {f"{kind}: dark": row}}))
    assert f"| {kind}: dark | 100 |" in text
    assert ("how dark" in text) == bool(sentence)
    assert sentence in text
