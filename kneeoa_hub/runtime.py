"""The bundle's network in onnxruntime: a session that threads may share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import InputConfig
from .errors import BundleError
from .grades import NUM_GRADES

OUTPUTS = ("probabilities", "embedding", "activation_map")
GATE_OUTPUT, GATE_CLASSES = "kinds", 11


@dataclass(frozen=True)
class Outputs:
    """probabilities [N,5] float64 that sum to 1; embedding [N,D] and activation_map [N,h,w] float32."""

    probabilities: np.ndarray
    embedding: np.ndarray
    activation_map: np.ndarray


def open_graph(path: Path, size: tuple[int, int], outputs: tuple[str, ...], threads: int = 0) -> Any:
    """An onnxruntime session for a graph of input `image` [N,*size,1] and these outputs.

    Raises BundleError for another.
    """
    # From 1.29 on, onnxruntime tells its maker of every process and model, and keeps an id of the machine, unless this
    # says otherwise.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # 0.3 s, and not needed to pull or verify

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # A graph may name other files that hold its weights, which no manifest lists: from bytes, and from a folder that
    # can't be, it gets none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path / "none"))
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common public base
        raise BundleError(f"{path} can't be opened by onnxruntime ({error}); pull the bundle again.") from None
    shapes = {value.name: value.shape for value in session.get_inputs()}
    given = {value.name for value in session.get_outputs()}
    if list(shapes) != ["image"] or shapes["image"][1:] != [*size, 1]:
        raise BundleError(f"{path} takes {shapes}; bundle.json promises image [N,{size[0]},{size[1]},1].")
    if not given >= set(outputs):
        raise BundleError(f"{path} gives {sorted(given)}; a bundle's graph gives {', '.join(outputs)}.")
    return session


class Network:
    """`model.onnx` of a bundle. Raises BundleError when the graph can't be opened or has not the contract's shape."""

    def __init__(self, path: Path, config: InputConfig, threads: int = 0):
        self._session = open_graph(path, (config.height, config.width), OUTPUTS, threads)
        shapes = {value.name: value.shape for value in self._session.get_outputs()}
        self.embedding_width: Any = shapes["embedding"][-1] if shapes["embedding"] else None

    def run(self, images: np.ndarray) -> Outputs:
        """images: [N,H,W,1] float32 from `imaging.letterbox.network_input`."""
        probabilities, embedding, activation_map = self._session.run(list(OUTPUTS), {"image": images})
        probabilities = np.asarray(probabilities, np.float64)
        if probabilities.shape != (len(images), NUM_GRADES) or not np.isfinite(probabilities).all():
            raise BundleError(
                f"The network answered {probabilities.shape} or values that are not finite; pull the bundle again."
            )
        probabilities /= probabilities.sum(1, keepdims=True)
        return Outputs(probabilities, np.asarray(embedding), np.asarray(activation_map))


class GateNetwork:
    """`gate.onnx` of a bundle: what a knee's picture shows, see `imaging.gate.CLASSES`."""

    def __init__(self, path: Path, size: int, threads: int = 0):
        self.input: InputConfig = InputConfig(size, size)
        self._session = open_graph(path, (size, size), (GATE_OUTPUT,), threads)

    def run(self, images: np.ndarray) -> np.ndarray:
        """[N,size,size,1] float32 from `imaging.letterbox.network_input` -> probabilities [N,11]."""
        answers = np.asarray(self._session.run([GATE_OUTPUT], {"image": images})[0])
        if answers.shape != (len(images), GATE_CLASSES) or not np.isfinite(answers).all():
            raise BundleError(
                f"The gate answered {answers.shape} or values that are not finite; pull the bundle again."
            )
        return answers
