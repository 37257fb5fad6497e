"""Weights are stored in half precision where it holds them exactly: files are half as large, and no answer changes.

Networks of `tuning.training.accelerated` are kept in half precision. Keras computes with single precision and writes
it, too; the export to ONNX also multiplies each kernel by the scale of the normalisation behind it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.helper import make_node

SMALLEST = 1024
"""Arrays with fewer values stay as they are: they would save nothing."""
EQUAL = 1e-6
"""A kernel times its scale may differ from the value in the graph by this fraction of the largest one, which is its
rounding."""
TO_INPUTS_FIRST = ((3, 2, 0, 1), (2, 3, 0, 1))
"""These are the axes of a kernel and of a depthwise kernel of Keras, in the order of ONNX."""


def halve_weights(path: Path) -> None:
    """Store the arrays of a .weights.h5 file in half precision, where that holds them exactly."""
    with h5py.File(path) as file:
        arrays: dict[str, np.ndarray] = {}
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        if not any(map(_exact, arrays.values())):
            return
        attributes = {name: dict(file[name].attrs) for name in _groups(file)}
    with h5py.File(path, "w") as file:
        for name, values in attributes.items():
            file.require_group(name).attrs.update(values)
        for name, array in arrays.items():
            file.create_dataset(name, data=array.astype(np.float16) if _exact(array) else array)


def halve_graph(path: Path, weights: Iterable[np.ndarray]) -> None:
    """Store the kernels of an ONNX graph in half precision, where that holds them exactly.

    Args:
        path: The graph. ONNX Runtime computes the same kernels from it when it loads it.
        weights: The weights of the Keras model that was exported, before its kernels were scaled.
    """
    graph = onnx.load(path)
    kernels = list(_halves(weights))
    nodes = []
    for stored in list(graph.graph.initializer):
        array = numpy_helper.to_array(stored)
        if array.dtype != np.float32 or array.size < SMALLEST:
            continue
        half, scale = (array, None) if _exact(array) else _factors(array, kernels)
        if half is None:
            continue
        graph.graph.initializer.remove(stored)
        whole = stored.name if scale is None else f"{stored.name}/kernel"
        graph.graph.initializer.append(numpy_helper.from_array(half.astype(np.float16), f"{stored.name}/half"))
        nodes.append(make_node("Cast", [f"{stored.name}/half"], [whole], to=onnx.TensorProto.FLOAT))
        if scale is not None:
            graph.graph.initializer.append(numpy_helper.from_array(scale, f"{stored.name}/scale"))
            nodes.append(make_node("Mul", [whole, f"{stored.name}/scale"], [stored.name]))
    for place, node in enumerate(nodes):
        graph.graph.node.insert(place, node)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _groups(file: h5py.File) -> list[str]:
    names = ["/"]
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Group) else None)
    return names


def _exact(array: np.ndarray) -> bool:
    """Return whether half precision holds an array of single precision exactly."""
    if array.dtype != np.float32 or array.size < SMALLEST or np.abs(array).max() > np.finfo(np.float16).max:
        return False
    return bool((array.astype(np.float16) == array).all())


def _halves(weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield, with the axes of ONNX, the kernels that half precision holds exactly."""
    for kernel in weights:
        if kernel.ndim == 4 and _exact(kernel):
            yield from (kernel.transpose(axes) for axes in TO_INPUTS_FIRST)


def _factors(array: np.ndarray, kernels: Iterable[np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return a kernel and the scale [N,1,1,1] of its outputs whose product is the array; None and None for others."""
    for kernel in kernels:
        if kernel.shape != array.shape:
            continue
        axes = tuple(range(1, array.ndim))
        known, wanted = kernel.astype(np.float64), array.astype(np.float64)
        norm = (known**2).sum(axes, keepdims=True)
        scale = ((known * wanted).sum(axes, keepdims=True) / np.where(norm, norm, 1)).astype(np.float32)
        if np.abs(kernel * scale - array).max() <= EQUAL * np.abs(array).max():
            return kernel, scale
    return None, None
