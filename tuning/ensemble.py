"""The members of one architecture as one model: flip-averaged, calibrated, with its embedding and activation map.

Only layers and operations that Keras itself ships are used, so `keras.saving.load_model` needs no code of ours.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from kneeoa_hub.bundle import Decision
from kneeoa_hub.grades import NUM_GRADES

from .space import Architecture

LEAST = 1e-7
"""Probabilities are kept off zero, so that their logarithm is finite."""


def assemble(
    members: Sequence[keras.Model],
    architecture: Architecture,
    temperature: float = 1.0,
    decision: Decision = Decision(),
    usual: np.ndarray | None = None,
) -> keras.Model:
    """image [N,H,W,1] -> {"probabilities" [N,5], "embedding" [N,D], "activation_map" [N,h,w]}.

    Each member answers for the film and its mirror image, unless it folds the film: then both are one. The map
    speaks for the grade that `decision` reports: the classifier applied to every place of the features, less its
    mean over the grades (class activation map: Zhou et al., CVPR 2016), less what it is in the mean film: `usual`
    [h,w,5], see `usual_maps`. Without that, a map shows foremost what every film has there, such as the padding.
    """
    image = keras.Input((architecture.input.height, architecture.input.width, 1), name="image")
    probabilities, embeddings, maps = [], [], []
    for number, member in enumerate(members):
        parts = keras.Model(
            member.input,
            [member.output, member.get_layer("embedding").output, _grade_maps(member, architecture)],
            name=f"member_{number}",
        )
        views = [parts(image)]
        if not architecture.fold:
            seen, vector, places = parts(ops.flip(image, axis=2))
            views.append([seen, vector, ops.flip(places, axis=2)])
        for view in views:
            for values, collected in zip(view, (probabilities, embeddings, maps), strict=True):
                collected.append(values)
    step = len(probabilities) // len(members)
    mean = _mean(probabilities)
    calibrated = ops.softmax(ops.log(ops.maximum(mean, LEAST)) / temperature, axis=-1)
    vectors = [_mean(embeddings[start : start + step]) for start in range(0, len(embeddings), step)]
    vector = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
    chosen = _reported(calibrated, decision)
    places = layers.Activation("linear", name="grade_maps")(_mean(maps))
    if usual is not None:
        # As nested lists they become a constant of the graph; an array would become a further input of the exported one.
        places = layers.Rescaling(1.0, offset=(-usual[None]).tolist())(places)
    places = ops.sum(places * ops.expand_dims(ops.expand_dims(chosen, 1), 1), axis=-1)
    outputs = {
        "probabilities": layers.Activation("linear", name="probabilities")(calibrated),
        "embedding": layers.Activation("linear", name="embedding")(vector),
        "activation_map": layers.Activation("linear", name="activation_map")(places),
    }
    return keras.Model(image, outputs, name="kneeoa")


def usual_maps(model: keras.Model, inputs: np.ndarray, batch: int = 64) -> np.ndarray:
    """[h,w,5]: the mean over films [N,H,W,1] of an assembled model's map for every grade."""
    maps = keras.Model(model.input, model.get_layer("grade_maps").output)
    parts = np.array_split(inputs, -(-len(inputs) // batch))
    return np.sum([np.asarray(maps.predict_on_batch(part)).sum(0) for part in parts], axis=0) / len(inputs)


def _mean(values):
    return values[0] if len(values) == 1 else ops.sum(ops.stack(values), axis=0) / len(values)


def _reported(probabilities, decision: Decision):
    """[N,5] -> [N,5]: one at the grade that the bundle's rule reports. Without argmax, which has no ONNX form here."""
    if decision.rule == "argmax":
        return ops.cast(probabilities >= ops.max(probabilities, axis=-1, keepdims=True), "float32")
    ones = ops.ones_like(probabilities[:, :1])
    grades = ops.concatenate([ones * grade for grade in range(NUM_GRADES)], axis=-1)
    severity = ops.sum(probabilities * grades, axis=-1, keepdims=True)
    over = [ops.cast(severity > threshold, "float32") for threshold in decision.thresholds]
    steps = ops.concatenate([ones, *over, ones * 0.0], axis=-1)
    return steps[:, :-1] - steps[:, 1:]


def _grade_maps(member: keras.Model, architecture: Architecture):
    """[N,h,w,5]: evidence for each grade at each place of the features."""
    features = member.get_layer("features").output
    if architecture.hidden or architecture.pooling == "flatten":
        # Behind hidden layers no place has weights of its own: the mean activation stands for every grade.
        return ops.repeat(ops.mean(features, axis=-1, keepdims=True), NUM_GRADES, axis=-1)
    if architecture.fold:  # as if both halves showed what this place does
        features = ops.concatenate([features, features], axis=-1)
    places = member.get_layer("classifier")(features)
    if architecture.loss == "coral":
        return ops.concatenate([-places] + [places] * (NUM_GRADES - 1), axis=-1)
    return places - ops.mean(places, axis=-1, keepdims=True)
