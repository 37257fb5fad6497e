"""A Keras model answers for knees, batch by batch."""

import keras
import numpy as np

from kneeoa_hub.runtime import OUTPUTS, Outputs

from ..data.datasets import Knees
from ..run import steps

BATCH = 64
"""A model is given 64 knees at a time."""


def predict(model: keras.Model, knees: Knees, title: str) -> Outputs:
    """Return the model's probabilities [N,5], embedding [N,D] and activation map [N,h,w].

    Args:
        model: An ensemble, see `ensemble.assemble`.
        knees: N knees, letterboxed for its input.
        title: The title of the progress bar.
    """
    collected: dict[str, list[np.ndarray]] = {name: [] for name in OUTPUTS}
    for start in steps.progress(range(0, len(knees), BATCH), title):
        outputs = model.predict_on_batch(knees.take(np.arange(start, min(start + BATCH, len(knees)))).inputs())
        for name, parts in collected.items():
            parts.append(np.asarray(outputs[name]))
    return Outputs(**{name: np.concatenate(parts) for name, parts in collected.items()})


def take(outputs: Outputs, rows: np.ndarray) -> Outputs:
    """Return the outputs for an index or mask [N] of the knees."""
    return Outputs(*(getattr(outputs, name)[rows] for name in OUTPUTS))
