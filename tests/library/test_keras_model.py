"""`keras_model` gives a model that can be compiled and trained, and refuses files that are no such model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import kneeoa_hub
from kneeoa_hub.errors import BundleChanged, BundleError
from kneeoa_hub.manifest import write_manifest

pytestmark = pytest.mark.keras

DOCS = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


@pytest.mark.slow
def test_the_example_of_the_docs_trains_the_model_on(grader, monkeypatch):
    """docs/training.md's own lines, with 8 images of noise and random weights' worth of training."""
    size = (8, grader.bundle.config.input.height, grader.bundle.config.input.width, 1)
    names = {
        "images": np.random.default_rng(0).standard_normal(size).astype(np.float32),
        "grades": np.arange(8) % 5,
    }
    (code,) = (block.split("```")[0] for block in DOCS.split("```python\n")[1:])
    exec(compile(code, "docs/training.md", "exec"), names)
    assert np.isfinite(names["history"].history["loss"]).all()
    before, after = (model.get_layer("member_0").get_weights()[0] for model in (grader.keras_model(), names["model"]))
    assert not np.array_equal(before, after)


@pytest.fixture
def copy(grader, tmp_path) -> Path:
    return shutil.copytree(grader.bundle.folder, tmp_path / "bundle")


def test_files_that_changed_since_the_grader_was_made_are_not_opened(copy):
    grader = kneeoa_hub.from_pretrained(copy)
    (copy / "config.json").write_text("{}", "utf-8")
    with pytest.raises(BundleChanged, match=r"config\.json"):
        grader.keras_model()


def lambda_layer(document: dict) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wE=", "defaults": None, "closure": None}}
    _layer(document).update(
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"name": "evil", "function": code},
            "registered_name": None,
        }
    )


def system_call(document: dict) -> None:
    _layer(document).update(
        {"module": "os", "class_name": "system", "config": {"command": "touch PLACE"}, "registered_name": None}
    )


def _layer(document: dict) -> dict:
    return document["config"]["layers"][1]


@pytest.mark.parametrize("evil", [lambda_layer, system_call, dict.clear])
def test_a_listed_configuration_that_would_run_code_is_refused_and_runs_none(copy, tmp_path, evil):
    document = json.loads((copy / "config.json").read_text("utf-8"))
    evil(document)
    (copy / "config.json").write_text(json.dumps(document).replace("PLACE", str(tmp_path / "ran")), "utf-8")
    write_manifest(copy)
    with pytest.raises(BundleError, match="not safe to load"):
        kneeoa_hub.from_pretrained(copy).keras_model()
    assert not (tmp_path / "ran").exists()


def test_files_that_are_not_weights_are_refused(copy):
    (copy / "model.weights.h5").write_bytes(b"nothing of the kind" * 100)
    write_manifest(copy)
    with pytest.raises(BundleError, match="not safe to load"):
        kneeoa_hub.from_pretrained(copy).keras_model()
