"""These ONNX graphs have the contract's shape and do not keep to it when they are run."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

HUGE = 10_000_000
"""This many rows of 1024 numbers are 40 GB."""


def lying_graph(probabilities: tuple[float, ...]) -> bytes:
    """Return a graph that gives the same values for every input."""
    from onnx import numpy_helper

    return _graph([], numpy_helper.from_array(np.array([probabilities], np.float32), "answer"))


def endless_graph() -> bytes:
    """Return a graph with a loop whose condition stays true."""
    from onnx import TensorProto, helper, numpy_helper

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["value"], ["same"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1, 5]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, [1, 5]),
        ],
    )
    return _graph(
        [helper.make_node("Loop", ["", "yes", "start"], ["answer"], body=body)],
        numpy_helper.from_array(np.array(True), "yes"),
        numpy_helper.from_array(np.full((1, 5), 0.2, np.float32), "start"),
    )


def huge_graph() -> bytes:
    """Return a graph with a constant of 40 GB."""
    from onnx import helper, numpy_helper

    return _graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["constant"]),
            helper.make_node("ReduceSum", ["constant"], ["sum"], keepdims=0),
            helper.make_node("Add", ["fifths", "sum"], ["answer"]),
        ],
        numpy_helper.from_array(np.array([HUGE, 1024]), "shape"),
        numpy_helper.from_array(np.full((1, 5), 0.2, np.float32), "fifths"),
    )


def laughing_graph(depth: int = 30) -> bytes:
    """Return a graph of 2 kB whose functions each call the one before twice: 2^30 nodes when inlined."""
    from onnx import helper, load_model_from_string

    model = load_model_from_string(lying_graph((0.2,) * 5))
    operators, own = helper.make_opsetid("", 18), helper.make_opsetid("own", 1)
    for number in range(depth):
        call = f"f{number - 1}" if number else "Identity"
        domain = "own" if number else ""
        twice = [helper.make_node(call, [one], [other], domain=domain) for one, other in ("xa", "ay")]
        model.functions.append(helper.make_function("own", f"f{number}", ["x"], ["y"], twice, [operators, own]))
    model.opset_import.append(own)
    model.graph.node.insert(0, helper.make_node(f"f{depth - 1}", ["image"], ["laughed"], domain="own"))
    return model.SerializeToString()


def _graph(nodes: "list[NodeProto]", *values: "TensorProto") -> bytes:
    """Return a graph whose probabilities are `answer`, which the nodes make of the values."""
    from onnx import TensorProto, helper, numpy_helper

    outputs = {"probabilities": ["N", 5], "embedding": ["N", 8], "activation_map": ["N", 256, 256]}
    ends = [
        helper.make_node("ReduceMean", ["image", "film"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "answer"], ["probabilities"]),
        helper.make_node("MatMul", ["mean", "features"], ["embedding"]),
        helper.make_node("ReduceMean", ["image", "channel"], ["activation_map"], keepdims=0),
    ]
    constants = {
        "film": np.array([1, 2]),
        "channel": np.array([3]),
        "nothing": np.zeros(1, np.float32),
        "features": np.ones((1, 8), np.float32),
    }
    graph = helper.make_graph(
        [*nodes, *ends],
        "lying",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 256, 256, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [*values, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
