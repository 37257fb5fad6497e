"""A published bundle is recalibrated or fine-tuned on a site's films, and the new card says so."""

import json
from pathlib import Path

import numpy as np
import pytest

import kneeoa_hub
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.phantom import knee_film, write_films
from tuning.__main__ import main

from ..support.bundles import changed, make_bundle
from ..support.eager import eagerly
from ..support.locators import graph_that_finds, with_locator
from ..support.schemas import schema

pytestmark = pytest.mark.keras


@pytest.fixture
def site(audited: Path) -> Path:
    return audited.parent / "films"


@pytest.mark.slow
def test_recalibrating_keeps_the_weights_and_fits_the_rest(site, loop, tmp_path):
    from tuning.adapt import AdaptSettings, adapt
    from tuning.training.members import load_ensemble

    base = with_locator(loop / "located", tmp_path / "base", graph_that_finds([(4, 4, 0.9)]))
    assert main(["adapt", "--from", str(base), "--data", f"site={site}", "--out", str(tmp_path), "--recalibrate"]) == 0
    grader, adapted = (kneeoa_hub.from_pretrained(folder) for folder in (base, tmp_path / "bundle"))
    old, new = grader.bundle.config, adapted.bundle.config
    assert old.input.crop == new.input.crop == "frame"
    assert new.temperature != old.temperature
    assert new.conformal.calibration_films >= 45
    # The bundle saw the training films of a dataset that both have, so these are not calibrated on.
    again = adapt(str(base), [f"synthetic={site}"], tmp_path / "again", AdaptSettings(recalibrate=True))
    assert not load_ensemble(again).saw_nothing
    film = knee_film(2, 5).pixels
    before, after = (g.grade(film, force=True).knees[0].probabilities for g in (grader, adapted))
    # Undone, both temperatures leave the same network.
    plain = [
        np.array(p) ** t / (np.array(p) ** t).sum() for p, t in ((before, old.temperature), (after, new.temperature))
    ]
    assert np.allclose(plain[0], plain[1], atol=1e-4)
    card = (tmp_path / "bundle" / "README.md").read_text("utf-8")
    assert f"it has the weights of kneeoa-synthetic ({base}, revision `{grader.revision}`)" in card
    evidence = json.loads((tmp_path / "bundle" / "evidence.json").read_text("utf-8"))
    assert evidence["calibration"]["fitted_on"] == "train+val"
    assert evidence["calibration"]["temperature"]["n"] == new.conformal.calibration_films
    splits = evidence["data"]["splits"]["site"]
    assert evidence["calibration"]["films"] == [sum(one) for one in zip(splits["train"], splits["val"], strict=True)]
    assert "chosen on the training and validation films" in card
    assert set(evidence["before"]) == set(evidence["metrics"]) == {"site_val", "site_test"}


def test_few_films_are_seen_often_enough_to_move_a_network():
    from tuning.adapt import EPOCHS, LEAST_STEPS, epochs_of

    assert epochs_of(2) * 2 == LEAST_STEPS
    assert epochs_of(7) * 7 >= LEAST_STEPS
    assert epochs_of(100) == EPOCHS


@pytest.mark.slow
def test_fine_tuning_changes_the_weights_and_serves_the_site(site, loop, tmp_path):
    start = ["adapt", "--from", str(loop / "bundle"), "--data", f"site={site}", "--out", str(tmp_path)]
    with eagerly():
        assert main([*start, "--epochs", "1", "--name", "our-knees"]) == 0
    adapted = kneeoa_hub.from_pretrained(tmp_path / "bundle")
    assert adapted.model == "our-knees"
    card = (tmp_path / "bundle" / "README.md").read_text("utf-8")
    assert "fine-tuned from kneeoa-synthetic" in card
    schema("evidence").validate(adapted.bundle.evidence.to_dict())
    assert main([*start, "--epochs", "2"]) == 1


def test_too_few_films_are_refused(tmp_path, capsys):
    write_films(tmp_path / "films", 40)
    assert main(["adapt", "--data", str(tmp_path / "films"), "--out", str(tmp_path / "out")]) == 1
    assert "40 usable films are too few to adapt to" in capsys.readouterr().err


def test_a_bundle_that_was_adapted_is_refused_because_it_does_not_say_what_its_base_saw(site, tmp_path):
    from tuning.adapt import adapt

    base = {"name": "kneeoa-cnn", "address": "org/knees@v1", "revision": "0" * 12, "recalibrated_only": True}
    adapted = changed(make_bundle(tmp_path / "tiny"), tmp_path / "adapted", {"base": base})
    with pytest.raises(DataError, match=r"was adapted from kneeoa-cnn \(org/knees@v1\).*adapt that one to all films"):
        adapt(str(adapted), [f"oai={site}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_films_that_can_not_be_measured_on_are_refused_before_the_training(site, tmp_path, capsys):
    files = [path.relative_to(site) for path in sorted(site.rglob("*.png"))]
    for name, moved, message in (
        ("all", (), "was trained on other films of oai than the training films of"),
        ("no-test", ("test",), "has no film in the split 'test'"),
        ("one-grade", ("val/0", "val/1", "val/2", "val/3"), "validation films have one grade"),
    ):
        splits = ["train" if moved and str(file).startswith(moved) else file.parts[0] for file in files]
        rows = [f"{site / file},{file.parts[1]},{split}" for file, split in zip(files, splits, strict=True)]
        (tmp_path / "oai.csv").write_text("\n".join(["file,grade,split", *rows, ""]), "utf-8")
        assert main(["adapt", "--data", str(tmp_path / "oai.csv"), "--out", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err
