"""A bundle gets other measures, and everything else of it stays."""

import json
import shutil
from pathlib import Path

import pytest

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.hub.pull_push import pull
from tuning.__main__ import main

SHIPPED = pull()


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """What `benchmarks.robustness` writes with the shipped bundle, with one change fewer than the bundle's record."""
    folder = tmp_path / "robustness"
    folder.mkdir()
    evidence = json.loads((SHIPPED / "evidence.json").read_text("utf-8"))["robustness"]
    evidence["grader"]["revision"] = read_bundle(SHIPPED).digest
    evidence["collections"] = {name: rows[:-1] for name, rows in evidence["collections"].items()}
    (folder / "robustness.json").write_text(json.dumps(evidence), "utf-8")
    shutil.copyfile(SHIPPED / "figures" / "sets.png", folder / "robustness.png")
    return folder


def test_a_bundle_gets_other_measures_and_keeps_everything_else(measured: Path, tmp_path: Path) -> None:
    from tuning.export import renew

    renewed = read_bundle(renew(SHIPPED, tmp_path / "renewed", robustness=measured))
    before = read_bundle(SHIPPED)
    assert renewed.config == before.config
    assert renewed.evidence.metrics == before.evidence.metrics
    assert renewed.evidence.cross_domain == before.evidence.cross_domain
    assert renewed.digest != before.digest
    assert before.evidence.robustness
    assert renewed.evidence.robustness
    for name, rows in renewed.evidence.robustness.collections.items():
        assert rows == before.evidence.robustness.collections[name][:-1]
    left_out = before.evidence.robustness.collections["oai"][-1].change
    assert f"| {left_out} |" in (SHIPPED / "README.md").read_text("utf-8")
    assert f"| {left_out} |" not in (renewed.folder / "README.md").read_text("utf-8")
    assert (renewed.folder / "model.onnx").read_bytes() == (SHIPPED / "model.onnx").read_bytes()
    picture = (renewed.folder / "figures" / "robustness.png").read_bytes()
    assert picture == (measured / "robustness.png").read_bytes()


@pytest.mark.parametrize("what", ["name", "revision"])
def test_measures_of_another_bundle_are_refused(what: str, measured: Path, tmp_path: Path) -> None:
    from tuning.export import renew

    evidence = json.loads((measured / "robustness.json").read_text("utf-8"))
    evidence["grader"][what] = "another"
    (measured / "robustness.json").write_text(json.dumps(evidence), "utf-8")
    with pytest.raises(DataError, match=r"measured with .*another.* is kneeoa-cnn, revision"):
        renew(SHIPPED, tmp_path / "renewed", robustness=measured)
    assert not (tmp_path / "renewed").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--version", "2.0"], "--version"),
        (["--locator", "somewhere"], "--locator"),
        ([], "--robustness or --cross-domain"),
    ],
)
def test_a_bundle_keeps_its_name_and_networks(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["export", "--data", str(SHIPPED), "--out", str(tmp_path / "renewed"), *options])
    assert code
    assert says in capsys.readouterr().err
    assert not (tmp_path / "renewed").exists()
