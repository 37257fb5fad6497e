"""Runs the networks of a bundle in onnxruntime. Threads may share each network."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import Bundle, InputConfig
from .errors import BundleError
from .grades import NUM_GRADES
from .third_party import quiet_onnxruntime
from .watchdog import watchdog

OUTPUTS = ("probabilities", "embedding", "activation_map")
"""The grading network, `model.onnx`, has these outputs."""
GATE_OUTPUT, GATE_CLASSES = "kinds", 11
"""The gate's network, `gate.onnx`, has this output, with eleven classes."""

RUN_SECONDS = 60
"""A forward pass, which takes milliseconds, and opening a graph each end after a minute of computing, since a graph may
hold an endless loop."""
FUNCTIONS = 25
"""The field of this number in a model (ONNX's ModelProto) defines functions. onnxruntime replaces each call by the
function, so thirty functions that each call the one before twice make a graph of a billion nodes.
"""
FIXED_BYTES = {1: 8, 5: 4}
"""A protobuf value of kind 1 has eight bytes, and one of kind 5 has four."""
MEMORY_BYTES = 2**31
"""All forward passes of the process use at most 2 GB of memory together. A pass takes tens of megabytes, but a graph
may ask for a constant of any size."""
SUM_TOLERANCE = 0.001
"""The sum of probabilities may differ from 1 by 0.001 through rounding."""


@dataclass(frozen=True)
class Outputs:
    """Holds what the grading network computes for N knees.

    Attributes:
        probabilities: [N,5] float64; each row sums to 1.
        embedding: [N,D] float32.
        activation_map: [N,h,w] float32, for the reported grade.
    """

    probabilities: np.ndarray
    embedding: np.ndarray
    activation_map: np.ndarray


def open_graph(path: Path, size: tuple[int, int], outputs: tuple[str, ...], threads: int = 0) -> "Graph":
    """Open an ONNX graph from a bundle.

    Args:
        path: The graph's file.
        size: Height and width of its input `image` [N,height,width,1].
        outputs: Outputs that it must have.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.

    Returns:
        The graph, ready to run.

    Raises:
        BundleError: The graph cannot be opened, or has another input or other outputs.
    """
    quiet_onnxruntime()
    import onnxruntime  # takes 0.3 s, and is not needed to pull or verify

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # A thread of the pool waits for work in a loop, which is quicker within a pass. After it the loop would only slow
    # the next network and Python down.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # A graph may name other files that hold its weights, and no manifest lists these. A graph that is opened from
    # bytes, with a folder that cannot exist, gets none of them.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path / "none"))
    content = path.read_bytes()
    try:
        if FUNCTIONS in _fields(content):
            raise ValueError("it has functions, which could call each other without end")
        cancel = getattr(options, "set_load_cancellation_flag", bool)  # older releases of onnxruntime have none
        with watchdog.ending(RUN_SECONDS, lambda: cancel(True), computing=True):
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of onnxruntime have no public base class
        raise BundleError(f"{path} can't be opened by onnxruntime ({error}); pull the bundle again.") from None
    inputs = {value.name: value.shape for value in session.get_inputs()}
    given = {value.name for value in session.get_outputs()}
    if list(inputs) != ["image"] or inputs["image"][1:] != [*size, 1]:
        raise BundleError(f"{path} takes {inputs}; bundle.json promises image [N,{size[0]},{size[1]},1].")
    if not given >= set(outputs):
        raise BundleError(f"{path} gives {sorted(given)}; this graph of a bundle must give {', '.join(outputs)}.")
    return Graph(session, path)


class Graph:
    """Runs an opened graph. Every run ends.

    Attributes:
        path: The graph's file.
        shapes: Shape of each output, with a name for a size that the graph leaves open.
    """

    def __init__(self, session: Any, path: Path):
        self._session = session
        self.path: Path = path
        self.shapes: dict[str, Sequence[int | str]] = {value.name: value.shape for value in session.get_outputs()}

    def run(self, outputs: Sequence[str], images: np.ndarray) -> list[np.ndarray]:
        """Return these outputs for images.

        Raises BundleError if the graph fails, does not end in RUN_SECONDS, needs more than MEMORY_BYTES, or gives
        values that are not finite.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        try:
            with watchdog.ending(RUN_SECONDS, lambda: setattr(options, "terminate", True), computing=True):
                values = [np.asarray(one) for one in self._session.run(list(outputs), {"image": images}, options)]
        except Exception as error:  # the exceptions of onnxruntime have no public base class
            why = f"it did not end in {RUN_SECONDS} s" if options.terminate else str(error)[:200]
            raise BundleError(f"{self.path} can't be run ({why}); pull the bundle again.") from None
        for name, value in zip(outputs, values, strict=True):
            if not np.isfinite(value).all():
                raise BundleError(
                    f"{self.path} gave values of {name} that are not finite numbers; pull the bundle again."
                )
        return values


def _fields(message: bytes) -> set[int]:
    """Return the numbers of the fields of a protobuf message. Raises ValueError if it is no such message."""
    found, at = set(), 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(message) or shift > 63:
                raise ValueError("it is cut off")
            value |= (message[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 128:
                return value

    while at < len(message):
        field, kind = divmod(number(), 8)
        found.add(field)
        if kind == 0:
            number()
        elif kind in FIXED_BYTES:
            at += FIXED_BYTES[kind]
        elif kind == 2:
            size = number()
            at += size
        else:
            raise ValueError("it is not ONNX")
    return found


@cache
def _limit_memory() -> None:
    """Give all graphs of the process one allocator with a limit."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    with suppress(Exception):  # the program that uses the library has an allocator of its own
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"max_mem": MEMORY_BYTES}))


def _check_probabilities(probabilities: np.ndarray, shape: tuple[int, int], path: Path) -> None:
    """Raise BundleError for values that are no probabilities."""
    sums = probabilities.sum(-1)
    if probabilities.shape != shape or (probabilities < 0).any() or (np.abs(sums - 1) > SUM_TOLERANCE).any():
        raise BundleError(
            f"{path} gave probabilities of shape {probabilities.shape} and sum {sums.flat[:1]}; they need shape"
            f" {shape} and sum 1. Pull the bundle again."
        )


class Network:
    """Runs the grading network, `model.onnx`. The constructor raises BundleError for a graph of another form.

    Attributes:
        embedding_width: The width D of the embedding if the graph fixes it as an int.
    """

    def __init__(self, path: Path, config: InputConfig, threads: int = 0):
        self._graph = open_graph(path, (config.height, config.width), OUTPUTS, threads)
        embedding = self._graph.shapes["embedding"]
        self.embedding_width: Any = embedding[-1] if embedding else None

    def run(self, images: np.ndarray) -> Outputs:
        """Grade knees: [N,H,W,1] float32 from `imaging.letterbox.network_input`."""
        probabilities, embedding, activation_map = self._graph.run(OUTPUTS, images)
        probabilities = probabilities.astype(np.float64)
        _check_probabilities(probabilities, (len(images), NUM_GRADES), self._graph.path)
        probabilities /= probabilities.sum(1, keepdims=True)
        return Outputs(probabilities, embedding, activation_map)


def open_grading(bundle: Bundle, threads: int = 0) -> Network:
    """Open the grading network of a bundle.

    Raises BundleError if the network cannot be opened, or if its embedding and the mean of the training embeddings
    differ in width.
    """
    network = Network(bundle.folder / "model.onnx", bundle.config.input, threads)
    width, mean = network.embedding_width, len(bundle.config.refusal.mean)
    if isinstance(width, int) and width != mean:
        raise BundleError(
            f"{bundle.folder}: the network's embedding has {width} values, but the mean in bundle.json has {mean}; pull"
            " the bundle again."
        )
    return network


class GateNetwork:
    """Runs the gate's network, `gate.onnx`, which classifies a picture of a knee; see `imaging.gate.CLASSES`.

    Attributes:
        input: The shape of its input.
    """

    def __init__(self, path: Path, size: int, threads: int = 0):
        self.input: InputConfig = InputConfig(size, size)
        self._graph = open_graph(path, (size, size), (GATE_OUTPUT,), threads)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities [N,11] of pictures: [N,size,size,1] float32 from `network_input`."""
        (probabilities,) = self._graph.run((GATE_OUTPUT,), images)
        _check_probabilities(probabilities, (len(images), GATE_CLASSES), self._graph.path)
        return probabilities
