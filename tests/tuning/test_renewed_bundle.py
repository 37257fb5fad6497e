"""A bundle gets other measures, and everything else of it stays."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.hub.pull_push import pull
from tuning.__main__ import main

from ..support.bundles import changed

SHIPPED = pull()
FINGERPRINT = read_bundle(SHIPPED).evidence.data.fingerprint


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


def test_the_card_gets_the_shortcuts_of_a_later_audit_of_the_same_films(audited: Path, tmp_path: Path) -> None:
    from tuning.export import renew
    from tuning.run import steps

    with pytest.raises(DataError, match="an audit of other films than those of the bundle"):
        renew(SHIPPED, tmp_path / "renewed", audit=audited)
    later = shutil.copytree(audited, tmp_path / "later")
    data = read_bundle(SHIPPED).evidence.data
    record = json.loads((later / "audit.json").read_text("utf-8"))
    shortcuts = {"oai": {"a new probe": data.shortcuts["oai"]["mean brightness"]}}
    steps.write_json(later / "audit.json", record | {"fingerprint": data.fingerprint, "shortcuts": shortcuts})
    renewed = read_bundle(renew(SHIPPED, tmp_path / "renewed", audit=later))
    assert renewed.evidence.data == replace(data, shortcuts=shortcuts)
    assert "| oai | a new probe |" in (renewed.folder / "README.md").read_text("utf-8")


def test_a_later_search_tells_which_of_its_trials_have_the_networks_of_a_bundle(
    audited: Path, tmp_path: Path, formulas: None
) -> None:
    from tuning.export import renew
    from tuning.search import search
    from tuning.searching.settings import SearchSettings

    audit = shutil.copytree(audited, tmp_path / "audit")
    record = json.loads((audit / "audit.json").read_text("utf-8"))
    (audit / "audit.json").write_text(json.dumps(record | {"fingerprint": FINGERPRINT}), "utf-8")
    only = {"backbone": ["lite0", "lite1"], "size": ["288"], "fold": ["True"], "dropout": ["0.3"], "dense": [""]}
    settings = SearchSettings(tuner="random", trials=3, epochs=3, space="full", only=only)
    out, renewed = tmp_path / "search", tmp_path / "renewed"
    search(audit, out, settings)
    with pytest.raises(DataError, match="searched on other films"):
        renew(SHIPPED, renewed, search=other_films(out, tmp_path / "other", audited))
    members = [dict(member) for member in read_bundle(SHIPPED).config.members]
    for member in members:  # as in a bundle from before this choice existed
        member["architecture"] = {name: value for name, value in member["architecture"].items() if name != "view"}
    older = changed(SHIPPED, tmp_path / "older", members=members)
    bundle = read_bundle(renew(older, renewed, search=out))
    later = bundle.evidence.search.later
    assert later
    assert (later.trials, later.longest, later.epochs) == (3, 3, 3)
    assert {name: trial.trial for name, trial in later.networks.items()} == {"lite0-d": "0", "lite1-d": "1"}
    assert {trial.val_log_loss.n for trial in later.networks.values()} == {20}
    card = (renewed / "README.md").read_text("utf-8")
    assert "lite0-d has the network of trial 0, number" in card
    assert "of the 3 longest trials" in card
    assert "## Rungs" in (renewed / "search.md").read_text("utf-8")
    assert (renewed / "figures" / "search" / "search.png").is_file()
    shutil.rmtree(out / "tuner" / "trial_1")
    with pytest.raises(DataError, match="The network lite1-d is none of the longest trials"):
        renew(SHIPPED, tmp_path / "again", search=out)


def other_films(search: Path, folder: Path, audit: Path) -> Path:
    """Return a copy of a search that names another audit."""
    shutil.copytree(search, folder)
    record = json.loads((folder / "step.json").read_text("utf-8"))
    (folder / "step.json").write_text(json.dumps(record | {"input": str(audit)}), "utf-8")
    return folder


@pytest.mark.parametrize("what", ["name", "revision"])
def test_measures_of_another_bundle_are_refused(what: str, measured: Path, tmp_path: Path) -> None:
    from tuning.export import renew

    evidence = json.loads((measured / "robustness.json").read_text("utf-8"))
    evidence["grader"][what] = "another"
    (measured / "robustness.json").write_text(json.dumps(evidence), "utf-8")
    with pytest.raises(DataError, match=r"measured with .*another.* is kneeoa-cnn, revision"):
        renew(SHIPPED, tmp_path / "renewed", robustness=measured)
    assert not (tmp_path / "renewed").exists()


def test_only_a_bundle_gets_measures_of_changed_films(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--data", str(tmp_path), "--robustness", str(measured), "--out", str(tmp_path / "renewed")])
    assert "export it, and give the bundle with --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--version", "2.0"], "--version"),
        (["--locator", "somewhere"], "--locator"),
        ([], "--robustness, --cross-domain, --audit or --search"),
    ],
)
def test_a_bundle_keeps_its_name_and_networks(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["export", "--data", str(SHIPPED), "--out", str(tmp_path / "renewed"), *options])
    assert code
    assert says in capsys.readouterr().err
    assert not (tmp_path / "renewed").exists()
