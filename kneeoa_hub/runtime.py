"""The networks of a bundle in onnxruntime. Threads may share each of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import InputConfig
from .errors import BundleError
from .grades import NUM_GRADES

OUTPUTS = ("probabilities", "embedding", "activation_map")
"""Outputs of the grading network, `model.onnx`."""
GATE_OUTPUT, GATE_CLASSES = "kinds", 11
"""Output of the gate's network, `gate.onnx`, and how many classes it has."""


@dataclass(frozen=True)
class Outputs:
    """What the grading network says of N knees.

    Attributes:
        probabilities: [N,5] float64; each row sums to 1.
        embedding: [N,D] float32.
        activation_map: [N,h,w] float32, for the reported grade.
    """

    probabilities: np.ndarray
    embedding: np.ndarray
    activation_map: np.ndarray


def open_graph(path: Path, size: tuple[int, int], outputs: tuple[str, ...], threads: int = 0) -> Any:
    """Open an ONNX graph from a bundle.

    Args:
        path: The graph's file.
        size: Height and width of its input `image` [N,height,width,1].
        outputs: Outputs that it must have.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.

    Returns:
        The onnxruntime session.

    Raises:
        BundleError: The graph cannot be opened, or has another input or other outputs.
    """
    # From 1.29 on, onnxruntime reports every process and model to its maker, and stores an identifier of the machine,
    # unless this variable is set.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # takes 0.3 s, and is not needed to pull or verify

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # A graph may name other files that hold its weights, and no manifest lists these. A graph that is opened from
    # bytes, with a folder that cannot exist, gets none of them.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path / "none"))
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of onnxruntime have no public base class
        raise BundleError(f"{path} can't be opened by onnxruntime ({error}); pull the bundle again.") from None
    inputs = {value.name: value.shape for value in session.get_inputs()}
    given = {value.name for value in session.get_outputs()}
    if list(inputs) != ["image"] or inputs["image"][1:] != [*size, 1]:
        raise BundleError(f"{path} takes {inputs}; bundle.json promises image [N,{size[0]},{size[1]},1].")
    if not given >= set(outputs):
        raise BundleError(f"{path} gives {sorted(given)}; this graph of a bundle must give {', '.join(outputs)}.")
    return session


class Network:
    """The grading network, `model.onnx`. The constructor raises BundleError for a graph of another form.

    Attributes:
        embedding_width: The width D of the embedding where the graph fixes it as an int.
    """

    def __init__(self, path: Path, config: InputConfig, threads: int = 0):
        self._session = open_graph(path, (config.height, config.width), OUTPUTS, threads)
        shapes = {value.name: value.shape for value in self._session.get_outputs()}
        self.embedding_width: Any = shapes["embedding"][-1] if shapes["embedding"] else None

    def run(self, images: np.ndarray) -> Outputs:
        """Grade knees: [N,H,W,1] float32 from `imaging.letterbox.network_input`."""
        probabilities, embedding, activation_map = self._session.run(list(OUTPUTS), {"image": images})
        probabilities = np.asarray(probabilities, np.float64)
        if probabilities.shape != (len(images), NUM_GRADES) or not np.isfinite(probabilities).all():
            raise BundleError(
                f"The network gave probabilities of shape {probabilities.shape}, or values that are not finite; pull"
                " the bundle again."
            )
        probabilities /= probabilities.sum(1, keepdims=True)
        return Outputs(probabilities, np.asarray(embedding), np.asarray(activation_map))


class GateNetwork:
    """The gate's network, `gate.onnx`, which tells what a picture of a knee shows, see `imaging.gate.CLASSES`.

    Attributes:
        input: The shape of its input.
    """

    def __init__(self, path: Path, size: int, threads: int = 0):
        self.input: InputConfig = InputConfig(size, size)
        self._session = open_graph(path, (size, size), (GATE_OUTPUT,), threads)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities [N,11] of pictures: [N,size,size,1] float32 from `network_input`."""
        probabilities = np.asarray(self._session.run([GATE_OUTPUT], {"image": images})[0])
        if probabilities.shape != (len(images), GATE_CLASSES) or not np.isfinite(probabilities).all():
            raise BundleError(
                f"The gate gave probabilities of shape {probabilities.shape}, or values that are not finite; pull the"
                " bundle again."
            )
        return probabilities
