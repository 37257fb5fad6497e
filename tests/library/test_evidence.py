"""Evidence is read by its fields, and an error names the one that is wrong."""

import json
from dataclasses import replace

import pytest

from kneeoa_hub.errors import BundleError, BundleIncomplete, BundleUnsupported
from kneeoa_hub.evidence import Estimate, Evidence, read_evidence
from kneeoa_hub.typed_json import from_json, to_json

from ..support.bundles import EVIDENCE
from ..support.schemas import schema


def changed(path: str, value: object) -> dict:
    """The least evidence with another value at a path such as metrics.oai_test.qwk."""
    document = EVIDENCE.to_dict()
    *parents, last = path.split(".")
    part = document
    for name in parents:
        part = part[name]
    part[last] = value
    return document


def written(folder, document: object) -> Evidence:
    (folder / "evidence.json").write_text(json.dumps(document), "utf-8")
    return read_evidence(folder / "evidence.json")


def test_the_shipped_evidence_is_the_same_when_it_is_read_and_written(grader):
    text = (grader.bundle.folder / "evidence.json").read_text("utf-8")
    evidence = grader.bundle.evidence
    assert without_null(json.loads(text)) == evidence.to_dict()
    assert from_json(Evidence, json.loads(json.dumps(evidence.to_dict()))) == evidence
    assert evidence.joint.covered.all_but_the_joint.qwk == Estimate(
        **json.loads(text)["joint"]["covered"]["all but the joint"]["qwk"]
    )


def without_null(value: object) -> object:
    """A field that was not measured may be null or absent."""
    if isinstance(value, dict):
        return {name: without_null(inner) for name, inner in value.items() if inner is not None}
    return [without_null(inner) for inner in value] if isinstance(value, list) else value


def test_the_least_evidence_follows_the_schema_and_is_read_whole(tmp_path):
    schema("evidence").validate(EVIDENCE.to_dict())
    assert written(tmp_path, EVIDENCE.to_dict()) == EVIDENCE


def test_evidence_of_earlier_and_of_later_releases_is_read(tmp_path):
    evidence = written(tmp_path, changed("calibration.decision_tried_qwk", {"argmax": 0.7}) | {"joint": None})
    assert evidence == EVIDENCE
    assert evidence.metrics["oai_test"].ece_reported is None
    assert evidence.test_evaluations == 1
    assert replace(evidence, test_looks_before=Estimate(6, 6, 6, 0)).test_evaluations == 7


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metrics", None, "`metrics` is null; an object is needed"),
        ("metrics", {}, "`metrics` has a length of 0; 1 or more is needed"),
        ("metrics.oai_test", [1], "`metrics.oai_test` is a list; an object is needed"),
        ("metrics.oai_test.qwk.value", "0.8", "`metrics.oai_test.qwk.value` is '0.8'; a finite number is needed"),
        ("metrics.oai_test.qwk.value", True, "`metrics.oai_test.qwk.value` is True; a finite number is needed"),
        ("metrics.oai_test.qwk.n", 1.5, "`metrics.oai_test.qwk.n` is 1.5; a whole number is needed"),
        ("metrics.oai_test.qwk.n", -1, "`metrics.oai_test.qwk.n` is -1; a number of 0 to inf is needed"),
        ("by_grade.oai_test.films", [1, 2], "`by_grade.oai_test.films` has a length of 2; 5 to 5 is needed"),
        ("calibration.fitted_on", "test", "`calibration.fitted_on` is 'test'; 'val' or 'train+val' is needed"),
        ("data.overlaps", {"folders": [{}]}, "`data.overlaps.folders.0.first` is missing"),
        ("versions", {"numpy": 2}, "`versions.numpy` is 2; text is needed"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_it_holds_and_what_it_needs(tmp_path, path, value, message):
    with pytest.raises(BundleError) as raised:
        written(tmp_path, changed(path, value))
    assert f"evidence.json: {message}. Pull the bundle again" in raised.value.message


def test_each_kind_of_wrong_file_has_its_error(tmp_path):
    without = EVIDENCE.to_dict()
    del without["search"]
    with pytest.raises(BundleIncomplete, match="`search` is missing"):
        written(tmp_path, without)
    with pytest.raises(BundleUnsupported, match="has schema_version 2; this release reads 1"):
        written(tmp_path, changed("schema_version", 2))
    with pytest.raises(BundleError, match="is not a JSON object"):
        written(tmp_path, [1])
    for content in (b"none", b'{"schema_version": 1, "metrics": NaN}', b"[" * 100_000):
        (tmp_path / "evidence.json").write_bytes(content)
        with pytest.raises(BundleError, match="is not JSON"):
            read_evidence(tmp_path / "evidence.json")
    with pytest.raises(BundleError, match="can't be read"):
        read_evidence(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.8121, 0.79, 0.834, 828), "0.812 (0.790-0.834)"),
        (Estimate(-0.004, -0.013, 0.006, 828), "-0.004 (-0.013 to 0.006)"),
        (Estimate(1, 1, 1, 828), "1.000"),
    ],
)
def test_an_estimate_is_written_with_its_interval(estimate, text):
    assert f"{estimate:.3f}" == text
    assert to_json(estimate) == {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": 828}
