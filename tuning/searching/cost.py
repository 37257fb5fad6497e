"""What a network costs its users: the size of its graph, and the time it takes for one film."""

import contextlib
import io
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
from keras_tuner.engine.trial import TrialStatus

from ..networks.architecture import Architecture, build
from ..run.folder import with_room
from .durable import Durable
from .settings import SearchSettings, epochs_of
from .space import point_of

RUNS = 15
"""Runs of one film, of which the fastest counts: what else the machine does can only slow one down."""
GRAPH = "The graph of a network, in the folder for temporary files (TMPDIR)"
"""An error says that this can't be written."""


def cost_of(architecture: Architecture) -> dict[str, float]:
    """Return the bytes of a network's ONNX graph, and the milliseconds that it takes for one film on one thread.

    Nothing is returned where Keras can't write the graph, which needs TensorFlow. The weights do not matter, so each
    network is measured once. Raises OutputError where the folder for temporary files is full.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    of_training = Architecture()
    return dict(
        _measured(
            replace(
                architecture,
                loss="coral" if architecture.loss == "coral" else of_training.loss,
                dropout=of_training.dropout,
                learning_rate=of_training.learning_rate,
                weight_decay=of_training.weight_decay,
                reach=of_training.reach,
                augmentation=of_training.augmentation,
            )
        )
    )


def complete_costs(oracle: Durable, settings: SearchSettings) -> None:
    """Measure the costs of the finished trials of full length that were trained where they can't be measured."""
    for trial in oracle.ended():
        full = trial.status == TrialStatus.COMPLETED and epochs_of(trial, settings) == settings.epochs
        if full and not trial.metrics.exists("bytes"):
            oracle.add_measures(trial, cost_of(point_of(trial.hyperparameters.values).architecture))


@cache
def _measured(architecture: Architecture) -> tuple[tuple[str, float], ...]:
    import onnxruntime

    network = build(architecture, published=False)
    image = np.zeros((1, *network.input_shape[1:]), np.float32)
    network.predict_on_batch(image)  # Keras exports only a model that has been called
    # What can't be written is no fault of the trial.
    with with_room(GRAPH), tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        with contextlib.redirect_stdout(io.StringIO()):
            network.export(graph, format="onnx", verbose=False)
        content = graph.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        session.run(None, {"image": image})
        seconds.append(time.perf_counter() - began)
    return (("bytes", float(len(content))), ("milliseconds", 1000 * min(seconds)))
