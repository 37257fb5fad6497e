"""`keras_model` gives a model that can be compiled and trained, and refuses files that are no such model."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import kneeoa_hub
from kneeoa_hub.errors import BundleChanged, BundleError
from kneeoa_hub.keras_files import load_model, load_weights
from kneeoa_hub.manifest import write_manifest

from ..support.eager import eagerly

pytestmark = pytest.mark.keras

DOCS = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


@pytest.mark.slow
def test_the_example_of_the_docs_trains_the_model_on(grader, monkeypatch):
    """docs/training.md's own lines, with two images of noise."""
    size = (2, grader.bundle.config.input.height, grader.bundle.config.input.width, 1)
    names = {
        "images": np.random.default_rng(0).standard_normal(size).astype(np.float32),
        "grades": np.arange(2),
    }
    (code,) = (block.split("```")[0] for block in DOCS.split("```python\n")[1:])
    with eagerly():
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


def huge_kernel(document: dict) -> None:
    layers = [layer["config"] for layer in _layer(document)["config"]["layers"] if layer["class_name"] == "Conv2D"]
    pointwise = next(config for config in layers if config["kernel_size"] == [1, 1])
    pointwise.update(kernel_size=[10**5, 10**5], padding="same")  # which leaves the shape of its output


def huge_output(document: dict) -> None:
    outer = document["config"]["layers"]
    for layers in (outer, *(one["config"]["layers"] for one in outer if one["class_name"] == "Functional")):
        next(one for one in layers if one["class_name"] == "InputLayer")["config"]["batch_shape"][1:3] = [10**6, 10**6]


def many_calls(document: dict) -> None:
    """A network in a network, each called twice, and so on: 2^40 calls."""
    outer = _layer(document)
    twice = outer["inbound_nodes"] * 2
    for _ in range(40):
        outer["config"] = {"layers": [outer | {"inbound_nodes": twice}]}


def shared_network(document: dict) -> None:
    _layer(document)["shared_object_id"] = 7


def endless_steps(document: dict) -> None:
    _layers_of_member(document, "Dense").update(class_name="LSTM", config={"name": "lstm", "units": 1, "unroll": True})


def _layers_of_member(document: dict, kind: str) -> dict:
    layers = document["config"]["layers"] + _layer(document)["config"]["layers"]
    return next(layer for layer in reversed(layers) if layer["class_name"] == kind)


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


@pytest.mark.parametrize(
    ("evil", "reason"),
    [
        (huge_kernel, r"more than model\.weights\.h5 has bytes"),
        (huge_output, "gives values of the shape"),
        (many_calls, "layers; at most"),
        (shared_network, "'Functional', which could repeat"),
        (endless_steps, "'LSTM', which could repeat"),
    ],
)
def test_a_graph_that_would_take_a_machines_memory_or_no_end_is_refused_before_it_is_built(
    grader, tmp_path, evil, reason
):
    for name in ("model.weights.h5", "metadata.json"):
        (tmp_path / name).symlink_to(grader.bundle.folder / name)
    document = json.loads((grader.bundle.folder / "config.json").read_text("utf-8"))
    evil(document)
    (tmp_path / "config.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match=reason):
        load_model(tmp_path)


def test_files_that_are_not_weights_are_refused(copy):
    (copy / "model.weights.h5").write_bytes(b"nothing of the kind" * 100)
    write_manifest(copy)
    with pytest.raises(BundleError, match="not safe to load"):
        kneeoa_hub.from_pretrained(copy).keras_model()


def never_written(file: h5py.File) -> None:
    file.create_dataset("a", (10**6, 10**6), np.float32, chunks=(1000, 1000))


def packed(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros((2000, 2000), np.float32), compression="gzip")


def many_names(file: h5py.File) -> None:
    file["a"] = np.zeros(100_000, np.float32)
    for number in range(50):
        file[f"a{number}"] = file["a"]


def group_in_itself(file: h5py.File) -> None:
    file["a/b"] = file.create_group("a")


def other_file(file: h5py.File) -> None:
    file["a"] = h5py.ExternalLink("/etc/passwd", "/")


@pytest.mark.parametrize("evil", [never_written, packed, many_names, group_in_itself, other_file])
def test_arrays_larger_than_their_file_are_refused_before_they_are_read(tmp_path, evil):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        evil(file)
    with pytest.raises(ValueError, match=r"more than the file has|neither an array nor"):
        load_weights(None, tmp_path / "a.weights.h5")
