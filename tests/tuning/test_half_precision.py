"""Half precision in a bundle's files: smaller, and the same answers to the last bit."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from tuning.networks.half_precision import halve_graph, halve_weights


def kernel(seed: int) -> np.ndarray:
    """Return a kernel [3,3,16,32] that half precision holds exactly."""
    values = np.random.default_rng(seed).standard_normal((3, 3, 16, 32))
    return values.astype(np.float16).astype(np.float32)


def write_graph(path: Path, stored: np.ndarray) -> Path:
    """Write the graph of one convolution [N,16,8,8] with a kernel [32,16,3,3]."""
    shapes = {"x": ("N", 16, 8, 8), "y": ("N", 32, 6, 6)}
    x, y = (make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items())
    node = make_node("Conv", ["x", "w"], ["y"])
    graph = make_graph([node], "one", [x], [y], [numpy_helper.from_array(stored, "w")])
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=9), path)
    return path


def answers(path: Path) -> np.ndarray:
    """Return what the graph answers to one input."""
    x = np.random.default_rng(9).standard_normal((2, 16, 8, 8)).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return np.asarray(y)


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled by a normalisation"])
def test_a_graph_of_half_precision_is_half_as_large_and_answers_the_same(tmp_path: Path, scaled: bool) -> None:
    scale = np.random.default_rng(1).uniform(0.1, 3, (32, 1, 1, 1)).astype(np.float32)
    stored = kernel(0).transpose(3, 2, 0, 1) * (scale if scaled else np.float32(1))
    path = write_graph(tmp_path / "model.onnx", stored)
    whole, size = answers(path), path.stat().st_size
    halve_graph(path, [kernel(3), kernel(0)])
    assert path.stat().st_size < 0.6 * size
    assert np.array_equal(answers(path), whole)


def test_a_kernel_that_half_precision_would_change_stays(tmp_path: Path) -> None:
    stored = np.random.default_rng(2).standard_normal((32, 16, 3, 3)).astype(np.float32)
    path = write_graph(tmp_path / "model.onnx", stored)
    halve_graph(path, [kernel(0)])
    (kept,) = onnx.load(path).graph.initializer
    assert np.array_equal(numpy_helper.to_array(kept), stored)


@pytest.mark.keras
def test_keras_reads_weights_of_half_precision(tmp_path: Path) -> None:
    import keras

    def network() -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 16)), keras.layers.Conv2D(32, 3)])

    first, second = network(), network()
    first.set_weights([kernel(0), np.full(32, 0.1, np.float32)])
    path = tmp_path / "small.weights.h5"
    first.save_weights(path)
    size = path.stat().st_size
    halve_weights(path)
    second.load_weights(path)
    assert path.stat().st_size < 0.7 * size
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
