"""Reads Keras's files of a bundle or a training, after it has bounded what they would cost.

A few kilobytes can describe a network of terabytes, a graph whose parts repeat each other without end, or an array of
any size that holds nothing.
"""

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
"""Keras's folder layout keeps the graph of a model in the first file and its arrays in the second."""
MOST_CALLS = 20_000
"""A graph calls at most 20,000 layers. A member calls about 200."""
MOST_VALUES = 2**28
"""A layer gives at most 268 million values for one film, a gigabyte. A member's widest layer gives two million."""
REPEATING = ("TimeDistributed", "Bidirectional", "RNN", "LSTM", "GRU")
"""Layers whose names end so repeat other layers for each step of a sequence, as often as the graph says."""
SHARED = "DTypePolicy"
"""A graph may name only this kind of object twice and describe it once. A network within itself would have no end."""


def load_model(folder: Path) -> Any:
    """Load a model in Keras's folder layout, of safe layers alone.

    Raises ValueError for a model that would take far more memory or time than its files let expect; Keras raises any
    kind of exception for what is not its own.
    """
    import keras

    document = json.loads((folder / CONFIG).read_bytes())
    _check_calls(document)
    check_arrays(folder / WEIGHTS)
    # The thread has a state of Keras to itself, so that nothing of this model stays.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_check_sizes, document, (folder / WEIGHTS).stat().st_size).result()
    return keras.saving.load_model(folder, compile=False, safe_mode=True)


def load_weights(network: Any, path: Path) -> None:
    """Load the weights of a network that is built. Raises ValueError if they are not its weights, or are damaged."""
    try:
        check_arrays(path)
        network.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:  # of h5py
        raise ValueError(str(error)) from None


def check_arrays(path: Path) -> None:
    """Raise ValueError if the arrays of an HDF5 file are larger than the file: packed, repeated or never written."""
    import h5py

    with h5py.File(path) as file:
        size = sum(array.nbytes for array in _arrays(file))
    if size > path.stat().st_size:
        raise ValueError(f"the arrays of {path.name} take {size} bytes, more than the file has")


def _arrays(group: Any) -> Iterator[Any]:
    """Yield each array at each of its names. Groups cannot hold themselves: Keras writes a tree."""
    import h5py

    open_groups, seen = [group], {hash(group.id)}
    while open_groups:
        for name in (within := open_groups.pop()):
            kind = within.get(name, getclass=True, getlink=True)
            one = within[name] if kind is h5py.HardLink else None
            if isinstance(one, h5py.Dataset):
                yield one
            elif isinstance(one, h5py.Group) and hash(one.id) not in seen:
                seen.add(hash(one.id))
                open_groups.append(one)
            else:
                raise ValueError(f"{name[:100]!r} is neither an array nor a group of its own")


def _check_calls(document: Any) -> None:
    """Raise ValueError if a graph calls too many layers, or layers that repeat others."""
    calls = _calls(document)
    if calls > MOST_CALLS:
        raise ValueError(f"the graph calls {calls} layers; at most {MOST_CALLS} are possible")


def _calls(part: Any) -> int:
    """Count the calls of layers in a part of a graph. A graph within it is gone through at every call."""
    if isinstance(part, list):
        return sum(map(_calls, part))
    if not isinstance(part, dict):
        return 0
    kind = str(part.get("class_name"))
    if kind.endswith(REPEATING) or ("shared_object_id" in part and kind != SHARED):
        raise ValueError(f"the graph has a {kind[:100]!r}, which could repeat others without end")
    inside = sum(_calls(value) for key, value in part.items() if key != "inbound_nodes")
    nodes = part.get("inbound_nodes")
    return inside if not isinstance(nodes, list) else max(1, len(nodes)) * (1 + inside)


def _check_sizes(document: Any, stored: int) -> None:
    """Build the graph without values. Raises ValueError if its weights or the outputs of a layer are too large."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        model: Any = keras.saving.deserialize_keras_object(document, safe_mode=True)
    if not hasattr(model, "operations"):
        raise ValueError("it is not a graph of layers")
    parameters = sum(math.prod(one.shape) for one in model.variables)
    if parameters > stored:
        raise ValueError(f"the network has {parameters} weights, more than {WEIGHTS} has bytes")
    for operation in _operations(model):
        for node in operation._inbound_nodes:
            for tensor in node.output_tensors:
                if math.prod(one or 1 for one in tensor.shape) > MOST_VALUES:
                    raise ValueError(f"{operation.name!r} gives values of the shape {tensor.shape}")


def _operations(model: Any) -> Iterator[Any]:
    """Yield the layers and operations of a graph, and those of graphs within it."""
    for operation in model.operations:
        yield operation
        within = getattr(operation, "_functional", operation)  # Sequential keeps its graph there
        if hasattr(within, "operations"):
            yield from _operations(within)
