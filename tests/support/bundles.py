"""Tests that move, check or describe a bundle, and never open its networks, use these small bundles."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kneeoa_hub.bundle import BundleConfig, Conformal, Decision, InputConfig, RefusalConfig
from kneeoa_hub.evidence import (
    CalibrationEvidence,
    DataEvidence,
    Estimate,
    Evidence,
    ExportEvidence,
    GradeEvidence,
    RefusalEvidence,
    SearchEvidence,
    SetEvidence,
    TrainingEvidence,
)
from kneeoa_hub.grades import LABELS
from kneeoa_hub.manifest import write_manifest

CONFIG = BundleConfig(
    name="kneeoa-test",
    version="1.0",
    grades=LABELS,
    input=InputConfig(256, 256),
    members=({"seed": 1, "architecture": {"size": 256}},),
    decision=Decision(),
    temperature=1.0,
    conformal=Conformal(0.9, 0.95, 800),
    refusal=RefusalConfig(0.02, 0.1, 100.0, (0.0,) * 8, (tuple(np.eye(8)[0].tolist()),)),
)
_ONE = Estimate(1.0, 1.0, 1.0, 828)
_FIVE = (100, 200, 300, 200, 28)
EVIDENCE = Evidence(
    metrics={
        "oai_test": SetEvidence(
            qwk=Estimate(0.801, 0.778, 0.822, 828),
            accuracy=_ONE,
            balanced_accuracy=_ONE,
            mae=_ONE,
            auc_oa=_ONE,
            ece=_ONE,
            coverage=_ONE,
            set_size=_ONE,
            refused=_ONE,
        )
    },
    by_grade={"oai_test": GradeEvidence(recall={"0": _ONE}, confusion=(_FIVE,) * 5, films=_FIVE, ece_if_perfect=_ONE)},
    calibration=CalibrationEvidence(
        fitted_on="val", temperature=_ONE, decision_rule="argmax", conformal_threshold=_ONE
    ),
    refusal=RefusalEvidence(max_distance=_ONE, axes=_ONE),
    data=DataEvidence(fingerprint="0", films=828, groups=400, splits={"oai": {"test": _FIVE}}, left_out={}),
    search=SearchEvidence(tuner="none", trials=Estimate(0, 0, 0, 0)),
    training=TrainingEvidence(),
    export=ExportEvidence(onnx_keras_difference=_ONE, onnx_megabytes=_ONE, parameters=_ONE),
    test_looks=_ONE,
    versions={},
)
"""A bundle's evidence holds at least this."""
CARD = """---
library_name: keras
pipeline_tag: image-classification
license: cc-by-4.0
tags:
- medical
---
# kneeoa-test

![confusion](figures/confusion.png)
"""


@cache
def tiny_graph() -> bytes:
    """Return a graph of the contract that grades by the mean of the film; 20 kB, so that a full disk cuts it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 256, 256, 1])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 5]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 8]),
        helper.make_tensor_value_info("activation_map", TensorProto.FLOAT, ["N", 256, 256]),
    ]
    weights = {
        "over_film": np.array([1, 2]), "over_channel": np.array([3]),
        "grades": np.linspace(-1, 1, 5, dtype=np.float32)[None], "features": np.ones((1, 8), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["image", "over_film"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "grades"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("MatMul", ["mean", "features"], ["embedding"]),
        helper.make_node("ReduceMean", ["image", "over_channel"], ["activation_map"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [image], outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, doc_string="of a test " * 2000
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make_bundle(
    folder: Path, *, model: bytes | None = None, weights: int = 0, card: str = CARD, **changes: Any
) -> Path:
    """Return a complete bundle of about 20 kB in a new folder.

    weights: the byte that they repeat. changes: fields of its BundleConfig, such as version="2.0".
    """
    (folder / "figures").mkdir(parents=True)
    (folder / "bundle.json").write_text(replace(CONFIG, **changes).to_json(), "utf-8")
    (folder / "model.onnx").write_bytes(tiny_graph() if model is None else model)
    (folder / "evidence.json").write_text(json.dumps(EVIDENCE.to_dict()), "utf-8")
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "metadata.json").write_text("{}", "utf-8")
    (folder / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes([0, weights]) * 2000)
    (folder / "README.md").write_text(card, "utf-8")
    Image.new("L", (8, 8), 128).save(folder / "figures" / "confusion.png")
    write_manifest(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below the folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def changed(bundle: Path, folder: Path, evidence: dict[str, Any] | None = None, **parts: Any) -> Path:
    """Copy a bundle to `folder` with other values in bundle.json and evidence.json.

    A mapping changes these values of a part, such as decision={"rule": "median"}; anything else takes its place.
    """
    shutil.copytree(bundle, folder)
    for file, changes in (("bundle.json", parts), ("evidence.json", evidence or {})):
        content = json.loads((folder / file).read_text("utf-8"))
        for name, values in changes.items():
            content[name] = {**content.get(name, {}), **values} if isinstance(values, dict) else values
        (folder / file).write_text(json.dumps(content), "utf-8")
    write_manifest(folder)
    return folder
