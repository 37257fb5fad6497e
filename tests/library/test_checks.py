"""A bundle that others could not use is refused before anything of it is sent."""

import json

import pytest

from kneeoa_hub import push
from kneeoa_hub.bundle import read_bundle, write_manifest
from kneeoa_hub.errors import BundleError, BundleIncomplete

from ..support.bundles import CARD, make_bundle


def test_a_whole_bundle_is_let_through(tmp_path):
    assert push(make_bundle(tmp_path / "bundle"), tmp_path / "hub", tag="v1").endswith("@v1")


@pytest.mark.parametrize(
    ("card", "told"),
    [
        (CARD.replace("keras", "torch"), "library_name: torch, but needs keras"),
        (CARD.replace("license: cc-by-4.0\n", ""), "license: None, but needs a value"),
        (CARD.replace("library_name: keras", "bad: [1"), "is not YAML"),
        ("# No metadata\n", "library_name: None"),
    ],
)
def test_a_card_without_what_the_hub_shows_is_refused(tmp_path, card, told):
    with pytest.raises(BundleError, match=told):
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
def test_members_that_no_card_could_describe_are_refused_when_they_are_read(tmp_path, members):
    with pytest.raises(BundleError, match=r"members\[0\]"):
        read_bundle(make_bundle(tmp_path / "bundle", members=members))


def test_members_without_an_architecture_are_described(tmp_path):
    assert push(make_bundle(tmp_path / "bundle", members=()), tmp_path / "hub").startswith(str(tmp_path))


def test_evidence_that_no_card_can_be_written_from_is_not_pushed(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    evidence = json.loads((bundle / "evidence.json").read_text())
    alone = {"name": "a-0", "mirrored_agreement": evidence["test_looks"]}
    evidence["members"] = [alone | {"metrics": evidence["metrics"]}, alone | {"metrics": {}}]
    (bundle / "evidence.json").write_text(json.dumps(evidence))
    write_manifest(bundle)
    with pytest.raises(BundleError, match="no card can be written"):
        push(bundle, tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
