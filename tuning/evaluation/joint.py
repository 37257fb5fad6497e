"""Films whose joint has a known place show whether the exported model uses the joint.

In a frame, the joint of every film has one place. Other inputs show the joint in one place only for crops around it.
"""

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
) -> tuple[tuple[JointEvidence, ...], MeanMaps | None]:
    """Return what blanking the joint costs and where the maps peak, and the mean map of each reported grade.

    The first evidence and the maps are of DATASET where it is known, or of the largest dataset.

    Args:
        model: The exported model, with temperature, decision rule and mean class maps.
        knees: Validation knees.
        config: Its input.
        decision: Its decision rule.

    Returns:
        One evidence for each dataset whose joint has a known place, and the maps; () and None where there is none.
    """
    names, counts = np.unique(knees.datasets, return_counts=True)
    sizes = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    known = [name for name in sizes if name == DATASET or config.crop == "frame"]
    known.sort(key=lambda name: (name != DATASET, -sizes[name], name))
    measured = [_measured(model, knees.take(knees.datasets == name), name, config, decision) for name in known]
    return tuple(evidence for evidence, _ in measured), measured[0][1] if measured else None


def _measured(
    model: keras.Model, films: Knees, name: str, config: InputConfig, decision: Decision
) -> tuple[JointEvidence, MeanMaps]:
    """Return evidence and mean maps of the films of one dataset."""
    outputs = predict(model, films, "evaluate: maps")

    def grading(inputs: np.ndarray) -> np.ndarray:
        parts = np.array_split(inputs, -(-len(inputs) // BATCH))
        batches = steps.progress(parts, "evaluate: films with a blanked part")
        probabilities = [np.asarray(model.predict_on_batch(part)["probabilities"]) for part in batches]
        return np.concatenate([reported_grade(part, decision) for part in probabilities])

    evidence = JointEvidence(
        films=f"{name}_val",
        covered=masked_kappas(grading, films, config),
        map_peak=peaks(outputs.activation_map, films, config),
    )
    grades = reported_grade(outputs.probabilities, decision)
    return evidence, mean_maps(outputs.activation_map, grades, films, config)
