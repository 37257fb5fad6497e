"""A bundle that others could not use is refused before anything of it is sent."""

import json
from dataclasses import replace

import pytest

from kneeoa_hub import push
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.card.render import render
from kneeoa_hub.errors import BundleError, BundleIncomplete
from kneeoa_hub.evidence import Agreement, LevelEvidence, MemberEvidence
from kneeoa_hub.manifest import write_manifest

from ..support.bundles import CARD, make_bundle


def test_a_complete_bundle_passes(tmp_path):
    assert push(make_bundle(tmp_path / "bundle"), tmp_path / "hub", tag="v1").endswith("@v1")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (CARD.replace("keras", "torch"), "library_name: torch, but needs keras"),
        (CARD.replace("license: cc-by-4.0\n", ""), "license: None, but needs a value"),
        (CARD.replace("library_name: keras", "bad: [1"), "is not YAML"),
        ("# No metadata\n", "library_name: None"),
    ],
)
def test_a_card_without_the_metadata_that_the_hub_shows_is_refused(tmp_path, card, message):
    with pytest.raises(BundleError, match=message):
        push(make_bundle(tmp_path / "bundle", card=card), tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


def test_a_bundle_without_a_card_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "README.md").unlink()
    with pytest.raises(BundleIncomplete, match=r"README\.md, the model card, is missing"):
        push(bundle, tmp_path / "hub")


def test_a_bundle_without_measured_figures_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "evidence.json").write_text(json.dumps({"schema_version": 1}), "utf-8")
    write_manifest(bundle)
    with pytest.raises(BundleIncomplete, match="`metrics` is missing"):
        push(bundle, tmp_path / "hub")


def test_a_bundle_whose_graph_does_not_run_is_refused(tmp_path):
    with pytest.raises(BundleError, match="can't be opened by onnxruntime"):
        push(make_bundle(tmp_path / "bundle", model=b"no graph" * 2000), tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    "members", [({"architecture": 3},), ({"name": 3, "architecture": {}},), ({"name": "a-0", "architecture": [1]},)]
)
def test_members_that_no_card_can_describe_are_refused_when_they_are_read(tmp_path, members):
    with pytest.raises(BundleError, match=r"members\[0\]"):
        read_bundle(make_bundle(tmp_path / "bundle", members=members))


def test_members_without_an_architecture_are_described(tmp_path):
    assert push(make_bundle(tmp_path / "bundle", members=()), tmp_path / "hub").startswith(str(tmp_path))


def test_evidence_with_contradictory_parts_still_makes_a_card(tmp_path):
    """A missing value is a dash, or its line is left out."""
    bundle = read_bundle(make_bundle(tmp_path / "bundle", members=()))
    one, row = bundle.evidence.test_looks, bundle.evidence.metrics["oai_test"]
    agreement = {"oai_test": Agreement(qwk=one, accuracy=one)}
    members = [
        MemberEvidence(name=name, metrics=metrics, mirrored_agreement=one)
        for name, metrics in (("a|0", agreement), (None, {}))
    ]
    levels = {"oai_test": {"high": LevelEvidence(coverage=one, set_size=one)}}
    evidence = replace(
        bundle.evidence,
        metrics={"oai_test": row, "": row},
        by_grade={"other_test": replace(bundle.evidence.by_grade["oai_test"], recall={})},
        members=tuple(members),
        calibration=replace(bundle.evidence.calibration, other_levels=levels),
        subgroups={"oai_test": {}},
        without_seen={},
    )
    card = render(bundle.config, evidence)
    assert "| a\\|0 | 1.000 | 1.000 |" in card
    assert "| member | - | 1.000 |" in card
    assert "| OAI, test half | high | 1.000 | 1.000 |" in card
