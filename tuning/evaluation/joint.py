"""Films whose joint has a known place show whether the exported model uses the joint."""

import keras
import numpy as np

from kneeoa_hub.bundle import Decision, InputConfig
from kneeoa_hub.decision import reported_grade
from kneeoa_hub.evidence import JointEvidence

from ..data.datasets import Knees
from ..run import steps
from .occlusion import DATASET, MeanMaps, masked_kappas, mean_maps, peaks
from .outputs import BATCH, predict


def joint_evidence(
    model: keras.Model, knees: Knees, config: InputConfig, decision: Decision
) -> tuple[JointEvidence | None, MeanMaps | None]:
    """Return what blanking the joint costs and where the maps peak, and the mean map of each reported grade.

    Args:
        model: The exported model, with temperature, decision rule and mean class maps.
        knees: Validation knees.
        config: Its input.
        decision: Its decision rule.

    Returns:
        None and None where no knee is from a dataset whose joint has a known place.
    """
    films = knees.take(knees.datasets == DATASET)
    if not len(films):
        return None, None
    outputs = predict(model, films, "evaluate: maps")

    def grading(inputs: np.ndarray) -> np.ndarray:
        parts = np.array_split(inputs, -(-len(inputs) // BATCH))
        batches = steps.progress(parts, "evaluate: films with a blanked part")
        probabilities = [np.asarray(model.predict_on_batch(part)["probabilities"]) for part in batches]
        return np.concatenate([reported_grade(part, decision) for part in probabilities])

    evidence = JointEvidence(
        films=f"{DATASET}_val",
        covered=masked_kappas(grading, films, config),
        map_peak=peaks(outputs.activation_map, films, config),
    )
    grades = reported_grade(outputs.probabilities, decision)
    return evidence, mean_maps(outputs.activation_map, grades, films, config)
