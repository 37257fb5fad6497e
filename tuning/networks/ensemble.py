"""An ensemble joins members of any architectures in one model: mirrored, averaged, calibrated, with embedding and map.

It consists only of Keras's own layers and operations, so that `keras.saving.load_model` needs no code of this package.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from kneeoa_hub.bundle import Decision, InputConfig
from kneeoa_hub.decision import MEDIAN
from kneeoa_hub.errors import DataError
from kneeoa_hub.grades import NUM_GRADES

from ..run.keras_ops import layers, ops
from .architecture import Architecture

LEAST_PROBABILITY = 1e-7
"""Probabilities are at least this large, so that their logarithms are finite."""


@dataclass(frozen=True)
class Member:
    """A member is one trained network.

    Attributes:
        name: Its architecture and its seed, such as "folded-0".
        architecture: The point of the search space.
        network: Network from image [N,size,size,1] to probabilities [N,5].
    """

    name: str
    architecture: Architecture
    network: keras.Model


def input_of(architectures: Sequence[Architecture]) -> InputConfig:
    """Return the input of an ensemble: that of its largest member; every other member shrinks it to its own.

    Raises DataError for members whose inputs show different parts of a knee.
    """
    inputs = [architecture.input for architecture in architectures]
    if len(ways := {f"{config.crop}, reach {config.reach:g}" for config in inputs}) > 1:
        raise DataError(f"Members whose inputs are made in different ways ({'; '.join(sorted(ways))}) can't be joined.")
    return max(inputs, key=lambda config: config.width)


def assemble(
    members: Sequence[Member],
    config: InputConfig | None = None,
    temperature: float = 1.0,
    decision: Decision = Decision(),
    mean_maps: np.ndarray | None = None,
) -> keras.Model:
    """Return a model from image [N,H,W,1] to "probabilities" [N,5], "embedding" [N,D] and "activation_map" [N,h,w].

    Each member answers for the film and its mirror image, unless it folds the film, when both are the same. The map
    shows the evidence for the grade that the decision rule reports: the classifier applied to every place of the
    features, minus its mean over the grades (class activation map: Zhou et al., CVPR 2016), minus the same in the mean
    film. Without the latter, a map mostly shows what all films have in common, such as the padding.

    Args:
        members: The members.
        config: The input, if not `input_of` the members.
        temperature: The logarithms of the mean probabilities are divided by it.
        decision: The decision rule.
        mean_maps: [h,w,5], see `mean_class_maps`.
    """
    config = config or input_of([member.architecture for member in members])
    image = keras.Input((config.height, config.width, 1), name="image")
    parts = [_parts(member, f"member_{number}") for number, member in enumerate(members)]
    places = max(part.output_shape[2][1] for part in parts), max(part.output_shape[2][2] for part in parts)
    probabilities, vectors, maps = [], [], []
    for member, part in zip(members, parts, strict=True):
        side = member.architecture.size
        seen = _resized(image, side, side, Image.Resampling.BICUBIC)
        views = [part(seen)]
        if not member.architecture.fold:
            probability, vector, mapped = part(ops.flip(seen, axis=2))
            views.append([probability, vector, ops.flip(mapped, axis=2)])
        probabilities.append(_mean([view[0] for view in views]))
        vectors.append(_mean([view[1] for view in views]))
        maps.append(_resized(_mean([view[2] for view in views]), *places, Image.Resampling.BILINEAR))
    calibrated = ops.softmax(ops.log(ops.maximum(_mean(probabilities), LEAST_PROBABILITY)) / temperature, axis=-1)
    vector = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
    chosen = reported_one_hot(calibrated, decision)
    evidence = layers.Activation("linear", name="grade_maps")(_mean(maps))
    if mean_maps is not None:
        # Nested lists become a constant of the graph; an array would become a further input of the exported graph.
        evidence = layers.Rescaling(1.0, offset=(-mean_maps[None]).tolist())(evidence)
    evidence = ops.sum(evidence * ops.expand_dims(ops.expand_dims(chosen, 1), 1), axis=-1)
    outputs = {
        "probabilities": layers.Activation("linear", name="probabilities")(calibrated),
        "embedding": layers.Activation("linear", name="embedding")(vector),
        "activation_map": layers.Activation("linear", name="activation_map")(evidence),
    }
    return keras.Model(image, outputs, name="kneeoa")


def mean_class_maps(model: keras.Model, inputs: np.ndarray, batch: int = 64) -> np.ndarray:
    """Return the mean over films of an assembled model's map for every grade: [h,w,5].

    Args:
        model: The assembled ensemble.
        inputs: The films as the network sees them [N,H,W,1].
        batch: The number of films of one call.
    """
    maps = keras.Model(model.input, model.get_layer("grade_maps").output)
    parts = np.array_split(inputs, -(-len(inputs) // batch))
    return np.sum([np.asarray(maps.predict_on_batch(part)).sum(0) for part in parts], axis=0) / len(inputs)


def unmirrored(member: Member, config: InputConfig) -> keras.Model:
    """Return a model from the ensemble's input to a member's probabilities [N,5], without the mirror image."""
    image, side = keras.Input((config.height, config.width, 1), name="image"), member.architecture.size
    return keras.Model(image, member.network(_resized(image, side, side, Image.Resampling.BICUBIC)))


def _mean(values):
    return values[0] if len(values) == 1 else ops.sum(ops.stack(values), axis=0) / len(values)


def reported_one_hot(probabilities, decision: Decision):
    """Return [N,5]: 1 at the reported grade and 0 elsewhere, without argmax, which ONNX lacks here."""
    if decision.rule == "argmax":
        return ops.cast(probabilities >= ops.max(probabilities, axis=-1, keepdims=True), "float32")
    ones = ops.ones_like(probabilities[:, :1])
    grades = ops.concatenate([ones * grade for grade in range(NUM_GRADES)], axis=-1)
    if decision.rule == "median":
        reached = [ops.sum(probabilities[:, : grade + 1], axis=-1, keepdims=True) for grade in range(NUM_GRADES - 1)]
        over = [ops.cast(mass < MEDIAN, "float32") for mass in reached]
    else:
        severity = ops.sum(probabilities * grades, axis=-1, keepdims=True)
        over = [ops.cast(severity > threshold, "float32") for threshold in decision.thresholds]
    steps = ops.concatenate([ones, *over, ones * 0.0], axis=-1)
    return steps[:, :-1] - steps[:, 1:]


def _parts(member: Member, name: str) -> keras.Model:
    """Return a model from image to probabilities [N,5], embedding [N,D] and evidence by place [N,h,w,5]."""
    network = member.network
    return keras.Model(
        network.input,
        [network.output, network.get_layer("embedding").output, _grade_maps(network, member.architecture)],
        name=name,
    )


def _grade_maps(network: keras.Model, architecture: Architecture):
    """Return the evidence for each grade at each place of the input [N,h,w,5]."""
    features = network.get_layer("features").output
    # The places of a band are some of those of the whole film; outside the band there is no evidence.
    margin = round(features.shape[1] * architecture.margin / (architecture.size - 2 * architecture.margin))
    evidence = _grade_evidence(network, features, architecture)
    return layers.ZeroPadding2D((margin, 0))(evidence) if margin else evidence


def _grade_evidence(network: keras.Model, features, architecture: Architecture):
    """Return the evidence for each grade at each place of the features [N,h,w,5]."""
    if architecture.hidden or architecture.pooling == "flatten":
        # Behind hidden layers no place has weights of its own, so the mean activation stands for every grade.
        return ops.repeat(ops.mean(features, axis=-1, keepdims=True), NUM_GRADES, axis=-1)
    if architecture.fold:  # as if both halves showed what this place shows
        features = ops.concatenate([features, features], axis=-1)
    places = network.get_layer("classifier")(features)
    if architecture.loss == "coral":
        return ops.concatenate([-places] + [places] * (NUM_GRADES - 1), axis=-1)
    return places - ops.mean(places, axis=-1, keepdims=True)


def _resized(x, height: int, width: int, filter: Image.Resampling):
    """Return [N,H,W,C] resized to [N,height,width,C] by two products with fixed matrices.

    The matrices hold Pillow's filter, with which `imaging.letterbox` resizes; resizing layers have no antialiasing in
    ONNX.
    """
    if tuple(x.shape[1:3]) == (height, width):
        return x
    x = _weighed(layers.Permute((1, 3, 2))(x), width, filter)  # [N,H,C,width]
    x = _weighed(layers.Permute((3, 2, 1))(x), height, filter)  # [N,width,C,height]
    return layers.Permute((3, 1, 2))(x)


def _weighed(x, length: int, filter: Image.Resampling):
    """Return [...,L] resized to [...,length]."""
    given = x.shape[-1]
    weights = Image.fromarray(np.eye(given, dtype=np.float32)).resize((length, given), filter)
    layer = layers.Dense(length, use_bias=False, trainable=False)
    resized = layer(x)
    layer.set_weights([np.asarray(weights)])
    return resized
