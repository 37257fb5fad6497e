"""The whole loop on synthetic films, through the commands that a user types."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import kneeoa_hub
from kneeoa_hub.bundle import LOCATOR, read_bundle
from kneeoa_hub.card.reading import Picture, pictures_apart
from kneeoa_hub.imaging.phantom import knee_film, write_films
from tuning.data.sources import read_labels
from tuning.data.table import read_films
from tuning.data.table import write_films as write_table

from ..support.eager import eagerly
from ..support.loop import CROSS_DOMAIN, refusal, step
from ..support.schemas import schema
from ..support.searches import write_search

pytestmark = pytest.mark.keras


@pytest.mark.slow
def test_every_step_writes_the_files_that_it_documents(loop):
    for name in (
        "search/trials.csv",
        "search/report.md",
        "search/report.html",
        "search/search.png",
        "search/best.json",
        "audit/report.md",
        "bundle/README.md",
    ):
        assert (loop / name).stat().st_size > 0
    for trial in ("0", "1"):
        written = b"".join(path.read_bytes() for path in (loop / "search" / "tensorboard" / trial).rglob("events.*"))
        assert b"epoch_loss" in written
        assert b"augmentation" in written  # one of its HParams
        assert b"val_log_loss" in written
    carried = (loop / "bundle" / "search.md").read_text("utf-8")
    assert "2 have finished and none have failed. Tuner: random." in carried
    assert str(loop) not in carried
    shown = [part.path for part in pictures_apart(carried) if isinstance(part, Picture)]
    assert {"figures/search/search.png", "figures/search/progress.png"} <= set(shown)
    assert all((loop / "bundle" / path).stat().st_size > 0 for path in shown)
    labels = read_labels([str(loop / "films")])
    assert len(labels) == 60


@pytest.mark.slow
def test_the_published_bundle_is_pulled_and_grades(loop):
    grader = kneeoa_hub.from_pretrained(str(loop / "hub") + "@v0.1")
    assert grader.model == "kneeoa-synthetic"
    assert len(grader.bundle.config.members) == 2
    assert len(grader.grade(knee_film(2, 3).pixels, force=True).knees) == 1
    assert grader.bundle.evidence.test_looks.value == 1


@pytest.mark.slow
def test_a_locator_goes_into_a_bundle_with_its_figures_and_from_there_into_another(loop, tmp_path):
    export = ("export", "--data", loop / "evaluate", "--locator")
    step(*export, loop / "located", "--out", tmp_path / "other")
    first, second = read_bundle(loop / "located"), read_bundle(tmp_path / "other")
    assert first.config.locator == second.config.locator
    assert first.evidence.finding == second.evidence.finding
    assert (first.folder / LOCATOR).read_bytes() == (second.folder / LOCATOR).read_bytes()
    schema("evidence").validate(json.loads((first.folder / "evidence.json").read_text("utf-8")))
    assert "## Finding the knees" in (first.folder / "README.md").read_text("utf-8")
    assert kneeoa_hub.from_pretrained(first.folder).grade(knee_film(2, 3).pixels, force=True).knees
    assert "a bundle without a locator" in refusal(*export, loop / "bundle", "--out", tmp_path / "none")


@pytest.mark.slow
def test_measures_across_collections_go_into_the_bundle(loop, tmp_path):
    bundle = read_bundle(loop / "located")
    written = json.loads((bundle.folder / "evidence.json").read_text("utf-8"))
    schema("evidence").validate(written)
    assert [row["qwk"] for row in written["cross_domain"]] == [
        row["qwk"] for row in json.loads(CROSS_DOMAIN.read_text("utf-8"))
    ]
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert "From one collection to another" in card
    export = ("export", "--data", loop / "evaluate", "--cross-domain")
    message = refusal(*export, loop / "audit" / "audit.json", "--out", tmp_path / "none")
    assert "is not what `python -m benchmarks.cross_domain` writes" in message
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_keras_alone_loads_the_bundle_and_agrees_with_onnx(loop):
    import keras

    grader = kneeoa_hub.from_pretrained(loop / "bundle")
    size = (3, grader.bundle.config.input.height, grader.bundle.config.input.width, 1)
    images = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    model = keras.saving.load_model(loop / "bundle", compile=False, safe_mode=True)
    assert isinstance(model, keras.Model)
    answers = np.asarray(model(images)["probabilities"])
    assert np.abs(answers - grader.network.run(images).probabilities).max() < 1e-4
    config = (loop / "bundle" / "config.json").read_text("utf-8")  # this process knows the project's own layers too
    assert {name.partition(".")[0] for name in re.findall(r'"module": "([^"]+)"', config)} == {"keras"}


@pytest.mark.slow
def test_a_step_without_the_one_before_says_so_and_leaves_nothing(loop, tmp_path):
    assert "does not come from the step" in refusal("train", "--data", loop / "films", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_another_run_in_the_same_folder_is_refused(loop):
    command = ("audit", "--data", f"synthetic={loop / 'films'}", "--out", loop / "audit", "--seed", 9)
    assert "other input or settings" in refusal(*command)


def test_quadratic_kappa_agrees_with_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    from kneeoa_hub.agreement import qwk

    rng = np.random.default_rng(0)
    truth, grade = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    assert qwk(truth, grade) == pytest.approx(cohen_kappa_score(truth, grade, weights="quadratic"))


@pytest.mark.slow
def test_a_training_on_one_dataset_is_measured_on_all_and_calibrated_on_its_own(loop, tmp_path):
    from tuning.networks.architecture import Architecture

    write_films(tmp_path / "others", 50, seed=1)
    both = ("--data", f"here={loop / 'films'}", "--data", f"there={tmp_path / 'others'}")
    step("audit", *both, "--out", tmp_path / "audit")
    small = Architecture(size=96, widths="16-32-64-128", block="plain", crop="frame")
    searched = write_search(tmp_path / "search", tmp_path / "audit", [small])
    train = ("train", "--data", searched, "--epochs", 1, "--batch", 16, "--architecture", "0000", "--datasets")
    with eagerly():
        step(*train, "here", "--out", tmp_path / "train")
    step("evaluate", "--data", tmp_path / "train", "--out", tmp_path / "evaluate")
    evidence = json.loads((tmp_path / "evaluate" / "evidence.json").read_text("utf-8"))
    assert evidence["training"]["datasets"] == ["here"]
    assert set(evidence["metrics"]) == {"here_val", "here_test", "there_val", "there_test"}
    assert evidence["calibration"]["temperature"]["n"] == evidence["metrics"]["here_val"]["qwk"]["n"]
    said = refusal(*train, "nowhere", "--out", tmp_path / "none")
    assert "There is no film of nowhere; choose among here, there." in said


@pytest.mark.slow
def test_nothing_is_calibrated_on_a_knee_that_a_newer_audit_knows_from_training(loop, tmp_path):
    films = read_films(loop / "audit")
    taught = next(film for film in films if film.split == "train" and film.use == "yes")
    copies = [film.file for film in films if film.split == "val" and film.use == "yes"][:4]
    shutil.copytree(loop / "audit", tmp_path / "newer", ignore=shutil.ignore_patterns("arrays"))
    write_table(
        tmp_path / "newer" / "films.csv",
        [replace(film, leakage_group=taught.leakage_group) if film.file in copies else film for film in films],
    )
    evaluate = ("evaluate", "--data", loop / "train", "--validation-only", "--copies", tmp_path / "newer")
    step(*evaluate, "--out", tmp_path / "apart", "--gallery", tmp_path / "films")
    sheets = {path.name for path in (tmp_path / "films").iterdir()}
    assert sheets == {"right.png", "wrong.png", "uncertain.png", "gallery.csv"}
    plain, apart = (
        json.loads((folder / "evidence.json").read_text("utf-8")) for folder in (loop / "evaluate", tmp_path / "apart")
    )
    count = plain["metrics"]["synthetic_val"]["qwk"]["n"]
    assert plain["calibration"]["temperature"]["n"] == count
    assert apart["calibration"]["temperature"]["n"] == count - 4
    assert apart["metrics"]["synthetic_val"]["qwk"]["n"] == count
    assert apart["without_seen"]["synthetic_val"]["films_seen"]["value"] == 4
    assert apart["without_seen"]["synthetic_val"]["metrics"]["qwk"]["n"] == count - 4
    assert "without_seen" not in plain
    assert apart["test_looks"] == plain["test_looks"]  # without the test films it is no look at them
    assert plain["test_looks"]["value"] == 1
    kappa = apart["metrics"]["synthetic_val"]["qwk"]
    assert kappa["low"] <= kappa["value"] <= kappa["high"]
