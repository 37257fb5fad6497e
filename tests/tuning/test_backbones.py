"""Backbones begin with published weights, which are read without torch and checked."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from kneeoa_hub.errors import SettingsError

pytestmark = pytest.mark.keras

NAMES = ("lite0", "lite1")


def test_every_backbone_is_tried() -> None:
    from tuning.networks.backbones import BACKBONES

    assert set(BACKBONES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_a_backbone_gets_the_published_weights(name: str) -> None:
    import keras

    from tuning.networks import backbones

    image = keras.Input((64, 32, 1))
    model = keras.Model(image, backbones.features(image, name))
    backbones.load(model, name)
    published = backbones.published_arrays(name)
    layers = [layer for layer in model.layers if layer.get_weights()]
    assert {layer.name for layer in layers} == set(published)
    for layer in layers:
        for ours, theirs in zip(layer.get_weights(), published[layer.name], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if layer.name.endswith("_norm"):
            assert (layer.get_weights()[3] >= 0).all()  # variances; some published channels are dead
    answers = np.asarray(model(np.random.default_rng(0).normal(0, 1, (2, 64, 32, 1)).astype(np.float32)))
    assert answers.shape == (2, 2, 1, 320)
    assert 0.1 < answers.std() < 10


def test_a_backbone_that_is_not_known_is_an_error() -> None:
    from tuning.networks import backbones

    with pytest.raises(SettingsError, match="lite0"):
        backbones.features(None, "resnet")


def test_a_file_that_is_not_the_published_one_is_not_opened() -> None:
    from tuning.networks import backbones

    content = pickle.dumps(OrderedDict(weight=1))
    with pytest.raises(SettingsError, match="sha256"):
        backbones.read_tensors(content, backbones.BACKBONES["lite0"])


class Harmful:
    def __reduce__(self):
        return print, ("this would have run",)


def test_a_pickle_that_asks_for_anything_but_tensors_is_not_run(capsys) -> None:
    from tuning.networks import backbones

    with pytest.raises(SettingsError, match="no tensor"):
        backbones.TensorUnpickler(io.BytesIO(pickle.dumps(Harmful())), {}).load()
    assert not capsys.readouterr().out
