"""Tests use these locators: a graph with a constant output, and a bundle with such a locator."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig
from kneeoa_hub.manifest import write_manifest

CONFIG = LocatorConfig(InputConfig(64, 64), 0.5)
CELLS = 8


def graph_that_finds(
    joints: Sequence[tuple[int, int, float]], nearer: Sequence[tuple[int, int, float]] | None = None
) -> bytes:
    """Whatever the film, the joints (row, column, side) are found: places of an 8x8 grid, and the side as a share of
    the film's.

    nearer: what is found instead in a picture that is the same everywhere, such as a part of a film with one mark.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", CONFIG.input.height, CONFIG.input.width, 1])
    outputs = [
        helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, CELLS, CELLS]),
        helper.make_tensor_value_info("shape", TensorProto.FLOAT, [1, CELLS, CELLS, 3]),
    ]
    weights = {"nothing": np.zeros((), np.float32)}
    weights["heat far"], weights["shape far"] = _tables(joints)
    weights["heat near"], weights["shape near"] = _tables(joints if nearer is None else nearer)
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "nothing"], ["marked"]),
        helper.make_node("Where", ["marked", "heat far", "heat near"], ["heat"]),
        helper.make_node("Where", ["marked", "shape far", "shape near"], ["shape"]),
    ]
    graph = helper.make_graph(
        nodes, "fixed", [image], outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tables(joints: Sequence[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Heat [1,8,8] and shape [1,8,8,3] of a locator's answer; the joints after the first are a little less sure."""
    heat, shape = np.zeros((1, CELLS, CELLS), np.float32), np.zeros((1, CELLS, CELLS, 3), np.float32)
    for number, (row, column, side) in enumerate(joints):
        heat[0, row, column], shape[0, row, column, 2] = 1 - number / 100, np.log(side)
    return heat, shape


def with_locator(bundle: Path, folder: Path, graph: bytes | None, config: LocatorConfig = CONFIG) -> Path:
    """Return a copy of a bundle in `folder` that has a locator and no gate; with graph=None its file is missing."""
    shutil.copytree(bundle, folder)
    document = json.loads((folder / "bundle.json").read_text("utf-8"))
    document.pop("gate", None)
    document["locator"] = asdict(config)
    (folder / "bundle.json").write_text(json.dumps(document), "utf-8")
    (folder / LOCATOR).unlink(missing_ok=True)
    if graph is not None:
        (folder / LOCATOR).write_bytes(graph)
    write_manifest(folder)
    return folder
