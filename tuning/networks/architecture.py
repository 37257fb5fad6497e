"""An architecture is a point of the search space; its network is built here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kneeoa_hub.bundle import Crop, InputConfig
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging import frame

from ..run.keras_ops import layers, ops
from . import backbones
from .losses import LOSSES, QuadraticKappa, loss_for


@dataclass(frozen=True)
class Architecture:
    """An architecture is one point of the search space: it says which network is trained, and how.

    Attributes:
        size: Pixels per side of the square input.
        view: "whole", or "band": the network cuts out the rows around the joint line.
        stem: "conv5" (5x5, stride 2) or "none".
        block: A key of BLOCKS.
        widths: Channels of each stage, such as "32-64-128-192"; every stage halves the resolution.
        blocks: Blocks of a stage.
        normalisation: Whether convolutions are followed by batch normalisation.
        pooling: A key of POOLING: how features become a vector.
        dense: Widths of hidden layers before the classifier, such as "128-64"; "" for none.
        dropout: Rate before the classifier.
        loss: See `losses.loss_for`.
        learning_rate: The highest one of the training.
        augmentation: Strength of the random changes of training films, 0 to 1.
        fold: Whether the right half of the film, mirrored, passes through the same layers as the left half. Both
            compartments of the joint are then read in the same way, and a knee and its mirror image give one answer
            (after Tiulpin et al., Sci. Rep. 2018).
        backbone: A key of backbones.BACKBONES, which begins with ImageNet weights and replaces stem and stages; ""
            builds these from random weights.
        crop: How a knee is brought to the input, see `InputConfig`: "fit" letterboxes the whole crop, as releases
            before 0.9.0 did; "frame" takes the square about the joint, however the film was cut.
        weight_decay: Of the kernels, as a part of the learning rate (AdamW: Loshchilov & Hutter, ICLR 2019).
        reach: Side of the frame over that of the joint's box, see `InputConfig`; of "frame" alone.
    """

    size: int = 160
    view: str = "whole"
    stem: str = "conv5"
    block: str = "residual"
    widths: str = "32-64-128-192"
    blocks: int = 1
    normalisation: bool = True
    pooling: str = "average"
    dense: str = ""
    dropout: float = 0.2
    loss: str = "soft_ordinal"
    learning_rate: float = 2e-3
    augmentation: float = 0.7
    fold: bool = False
    backbone: str = ""
    crop: Crop = "fit"
    weight_decay: float = 0.01
    reach: float = 1.0

    @property
    def input(self) -> InputConfig:
        """The network's input."""
        reach = self.reach if self.crop == "frame" else 1.0
        return InputConfig(self.size, self.size, frame.LOW, frame.HIGH, self.crop, reach)

    @property
    def margin(self) -> int:
        """Rows above and below the band around the joint line that the network does not see."""
        return 0 if self.view == "whole" else round((1 - BAND) / 2 * self.size / BAND_STEP) * BAND_STEP

    @property
    def stages(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return _numbers(self.widths)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers before the classifier."""
        return _numbers(self.dense)


HEAD = "classifier_"
"""This comes before a protocol in the name of its classifier, for all but the first."""
BAND, BAND_STEP = 0.7, 32
"""The height of the band is BAND times its width. Its margins are a multiple of BAND_STEP rows, so that the places of
its features are places of the whole film's features too."""
LEAST_UNPADDED = 8
"""A block that does not pad feature maps pads those with fewer rows than this all the same."""


def build(
    architecture: Architecture, name: str = "member", published: bool = True, protocols: Sequence[str] = ()
) -> keras.Model:
    """Return the network of an architecture, from image [N,size,size,1] to probabilities [N,5].

    Its layers "features", "embedding" and "classifier" have these names. With P protocols the probabilities are
    [N,P,5]: each reading protocol has a classifier of its own on the same embedding, the first one "classifier".

    Args:
        architecture: The point of the search space.
        name: Name of the network.
        published: Whether a backbone begins with its published weights; False when trained weights are loaded next.
        protocols: Names of reading protocols.
    """
    image = keras.Input((architecture.input.height, architecture.input.width, 1), name="image")
    x = layers.Cropping2D((architecture.margin, 0))(image) if architecture.margin else image
    x = _folded(x) if architecture.fold else x
    x = backbones.features(x, architecture.backbone) if architecture.backbone else _stages(x, architecture)
    if architecture.pooling == "attention":
        x = layers.Multiply()([x, layers.Conv2D(1, 1, activation="sigmoid")(x)])
    x = layers.Activation("linear", name="features")(_unfolded(x) if architecture.fold else x)
    if architecture.pooling not in POOLING:
        raise _unknown("pooling", architecture.pooling, POOLING)
    pool = POOLING[architecture.pooling]()
    if architecture.fold:  # the mean of both compartments, and the worse one
        left, right = map(pool, _halves(x))
        x = ops.concatenate([(left + right) / 2, ops.maximum(left, right)], axis=-1)
    else:
        x = pool(x)
    x = layers.Dropout(architecture.dropout)(x)
    for width in architecture.hidden:
        x = layers.Dense(width, activation="relu")(x)
        x = layers.Dropout(architecture.dropout / 2)(x)
    # The head stays float32 in a training of mixed precision too.
    x = layers.Activation("linear", name="embedding", dtype="float32")(x)
    outputs = _probabilities(x, architecture)
    if protocols:
        others = [_softmax(x, f"{HEAD}{protocol}") for protocol in protocols[1:]]
        outputs = ops.stack([outputs, *others], axis=1)
    model = keras.Model(image, outputs, name=name)
    if architecture.backbone and published:
        backbones.load(model, architecture.backbone)
    if architecture.loss == "coral":
        model.get_layer("cut_points").set_weights([np.array([[1.5, 0.5, -0.5, -1.5]], np.float32)])
    return model


def with_head(network: keras.Model, architecture: Architecture, protocols: Sequence[str], protocol: str) -> keras.Model:
    """Return a trained network with one of its classifiers alone, [N,5].

    Args:
        network: The trained network, whose output is [N,P,5].
        architecture: The network's own.
        protocols: The P protocols, in the order of the classifiers.
        protocol: The one whose classifier stays.
    """
    alone = build(architecture, published=False)
    _copy_shared(network, alone)
    if protocol != protocols[0]:
        alone.get_layer("classifier").set_weights(network.get_layer(f"{HEAD}{protocol}").get_weights())
    return alone


def with_heads(network: keras.Model, architecture: Architecture, protocols: Sequence[str]) -> keras.Model:
    """Return a trained network with a classifier for each protocol, [N,P,5]; all begin as the one it has.

    Args:
        network: The trained network, whose output is [N,5].
        architecture: The network's own.
        protocols: The P protocols, in the order of the classifiers.
    """
    several = build(architecture, published=False, protocols=protocols)
    _copy_shared(network, several)
    for protocol in protocols[1:]:
        several.get_layer(f"{HEAD}{protocol}").set_weights(network.get_layer("classifier").get_weights())
    return several


def _copy_shared(source: keras.Model, target: keras.Model) -> None:
    """Give one network the weights of another one that differs in its further classifiers at most."""
    given, taking = (
        [layer for layer in model.layers if layer.weights and not layer.name.startswith(HEAD)]
        for model in (source, target)
    )
    for layer, trained in zip(taking, given, strict=True):
        layer.set_weights(trained.get_weights())


def compiled(
    architecture: Architecture, learning_rate: Any = None, protocols: Sequence[str] = (), xla: bool | None = None
) -> keras.Model:
    """Return a new network with its loss, the optimizer AdamW and the validation metric `val_qwk`.

    Args:
        architecture: What to build.
        learning_rate: A number or a schedule of Keras; None takes the architecture's.
        protocols: The protocols that get a classifier each; none gives one classifier for all films.
        xla: Whether XLA compiles its steps; None leaves it to Keras, which takes it on accelerators alone.
    """
    model = build(architecture, protocols=protocols)
    rate = learning_rate or architecture.learning_rate
    optimizer = keras.optimizers.AdamW(rate, weight_decay=architecture.weight_decay, clipnorm=5.0)
    # Biases and the scales of normalisation stay: they are few, and a strong decay would silence their layers.
    optimizer.exclude_from_weight_decay([weight for weight in model.trainable_variables if len(weight.shape) < 2])
    optimizer.build(model.trainable_variables)  # a resumed training restores only variables that exist
    metrics = [QuadraticKappa()] if protocols else [QuadraticKappa(), "accuracy"]
    if architecture.loss not in LOSSES:
        raise _unknown("loss", architecture.loss, LOSSES)
    jit: Any = "auto" if xla is None else xla
    model.compile(optimizer, loss_for(architecture.loss), metrics=metrics, jit_compile=jit)
    return model


def _stages(x, architecture: Architecture):
    """Stem and stages with random weights."""
    if architecture.stem == "conv5":
        x = _conv(x, architecture.stages[0], 5, 2, architecture)
    if architecture.block not in BLOCKS:
        raise _unknown("block", architecture.block, BLOCKS)
    for width in architecture.stages:
        for block in range(architecture.blocks):
            x = BLOCKS[architecture.block](x, width, 2 if block == 0 else 1, architecture)
    return x


def _unknown(choice: str, name: str, known: Iterable[str]) -> SettingsError:
    return SettingsError(
        f"There is no {choice} {name!r}; choose among {', '.join(known)}, or give the file that adds it with"
        " `python -m tuning --with FILE`."
    )


def _numbers(text: str) -> tuple[int, ...]:
    """ "32-64" as numbers."""
    return tuple(int(part) for part in text.split("-") if part)


def _halves(x):
    """Return the left half of [N,H,W,C] and the right half mirrored, each [N,H,W/2,C]."""
    middle = x.shape[2] // 2
    return x[:, :, :middle], ops.flip(x[:, :, -middle:], axis=2)


def _folded(x):
    """Return the halves of [N,H,W,C] as films of their own, [2N,H,W/2,C], so that neither sees the other."""
    return ops.concatenate(_halves(x), axis=0)


def _unfolded(x):
    """Return the halves [2N,h,w,C] side by side again, [N,h,2w,C]."""
    left, right = ops.split(x, 2, axis=0)
    return ops.concatenate([left, ops.flip(right, axis=2)], axis=2)


def _conv(
    x,
    width: int,
    kernel: int,
    stride: int,
    architecture: Architecture,
    activation: str | None = "relu",
    separable: bool = False,
    padding: str = "same",
):
    kind = layers.SeparableConv2D if separable else layers.Conv2D
    normalise = architecture.normalisation
    x = kind(width, kernel, stride, padding=padding, use_bias=not normalise)(x)
    if normalise:
        x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


def _plain(x, width: int, stride: int, architecture: Architecture, padding: str = "same"):
    x = _conv(x, width, 3, 1, architecture, padding=padding)
    return (
        layers.MaxPooling2D(stride, padding="same" if min(x.shape[1:3]) < stride else "valid")(x) if stride > 1 else x
    )


def _residual(x, width: int, stride: int, architecture: Architecture, separable: bool = False, excite: bool = False):
    shortcut = x
    x = _conv(x, width, 3, stride, architecture, separable=separable)
    x = _conv(x, width, 3, 1, architecture, None, separable=separable)
    if excite:
        weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
        weights = layers.Dense(max(width // 8, 4), activation="relu")(weights)
        x = layers.Multiply()([x, layers.Dense(width, activation="sigmoid")(weights)])
    if stride > 1 or shortcut.shape[-1] != width:
        if stride > 1:
            shortcut = layers.AveragePooling2D(stride, padding="same")(shortcut)
        shortcut = _conv(shortcut, width, 1, 1, architecture, None)
    return layers.Activation("relu")(layers.Add()([x, shortcut]))


def _unpadded(x, width: int, stride: int, architecture: Architecture):
    """Build the plain block of 2023, which loses a row on every side, except where few are left."""
    return _plain(x, width, stride, architecture, "valid" if min(x.shape[1:3]) > LEAST_UNPADDED else "same")


BLOCKS = {
    "plain": _plain,
    "residual": _residual,
    "separable": lambda x, width, stride, architecture: _residual(x, width, stride, architecture, separable=True),
    "squeeze_excite": lambda x, width, stride, architecture: _residual(x, width, stride, architecture, excite=True),
    "unpadded": _unpadded,
}
POOLING = {
    "average": layers.GlobalAveragePooling2D,
    "attention": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}


def _logits(embedding, name: str):
    return layers.Dense(NUM_GRADES, name=name, dtype="float32")(embedding)


def _softmax(embedding, name: str):
    return layers.Softmax(dtype="float32")(_logits(embedding, name))


def _probabilities(embedding, architecture: Architecture):
    if architecture.loss != "coral":
        return layers.Softmax(name="probabilities", dtype="float32")(_logits(embedding, "classifier"))
    # CORAL: one severity, and four cut points on it; only built-in layers, so that any Keras can load it.
    severity = layers.Dense(1, use_bias=False, name="classifier", dtype="float32")(embedding)
    cuts = layers.Dense(NUM_GRADES - 1, use_bias=False, name="cut_points", dtype="float32")(ops.ones_like(severity))
    over = ops.sigmoid(severity + cuts)
    edges = ops.concatenate([ops.ones_like(severity), over, ops.zeros_like(severity)], axis=-1)
    mass = ops.relu(edges[:, :-1] - edges[:, 1:]) + 1e-7
    return layers.Activation("linear", name="probabilities", dtype="float32")(
        mass / ops.sum(mass, axis=-1, keepdims=True)
    )
