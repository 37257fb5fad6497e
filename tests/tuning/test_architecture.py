"""Every choice of the search space builds a network that works, and the CNN of 2023 is a point of it."""

import csv
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest

from kneeoa_hub.errors import SettingsError

pytestmark = pytest.mark.keras


def test_the_cnn_of_2023_has_the_layers_that_were_published():
    import keras

    from tuning.networks.architecture import build
    from tuning.networks.search_space import NAMED

    model = build(NAMED["baseline-2023"])
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.Activation)]
    described = [
        (type(layer).__name__, getattr(layer, "filters", getattr(layer, "units", getattr(layer, "rate", None))))
        for layer in layers
    ]
    assert described == [
        ("InputLayer", None),
        ("Conv2D", 128), ("MaxPooling2D", None),
        ("Conv2D", 64), ("MaxPooling2D", None),
        ("Conv2D", 32), ("MaxPooling2D", None),
        ("Flatten", None), ("Dropout", 0.2), ("Dense", 128), ("Dropout", 0.1), ("Dense", 64), ("Dropout", 0.1),
        ("Dense", 5), ("Softmax", None),
    ]  # fmt: skip
    assert model.input_shape == (None, 256, 256, 1)
    assert {layer.kernel_size for layer in layers if isinstance(layer, keras.layers.Conv2D)} == {(3, 3)}
    assert (
        sum(layer.activation.__name__ == "relu" for layer in model.layers if isinstance(layer, keras.layers.Activation))
        == 3
    )
    assert round(model.count_params() / 1e6, 2) == 3.79


def test_any_trial_of_a_search_can_be_built(tmp_path):
    from tuning.networks.architecture import Architecture
    from tuning.networks.search_space import NAMED, SEARCH_SPACE
    from tuning.training.search_result import architecture_of_trial

    architectures = {
        "0000": Architecture(fold=True, dense=""),
        "0001": NAMED["baseline-2023"],
        "0002": Architecture(fold=False, normalisation=True, pooling="max"),
    }
    with (tmp_path / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["trial", "val_qwk", *SEARCH_SPACE])
        writer.writeheader()
        writer.writerows(
            {"trial": trial, "val_qwk": 0.5, **asdict(architecture)} for trial, architecture in architectures.items()
        )
    assert {trial: architecture_of_trial(tmp_path, trial) for trial in architectures} == architectures
    with pytest.raises(SettingsError, match=r"--architecture 0003: .*trials.csv has 0000, 0001, 0002"):
        architecture_of_trial(tmp_path, "0003")


def test_the_cnn_of_2023_is_a_point_of_the_search_space():
    from tuning.networks.search_space import NAMED, SEARCH_SPACE, narrowed

    choices = asdict(NAMED["baseline-2023"])
    assert all(value in SEARCH_SPACE[name] for name, value in choices.items())
    assert narrowed({name: [str(value)] for name, value in choices.items()}) == {
        name: (value,) for name, value in choices.items()
    }


def test_every_choice_gives_a_network_whose_probabilities_sum_to_1():
    """Each network takes the next value of every choice, so that together they take each value at least once."""
    from tuning.networks.architecture import Architecture, compiled
    from tuning.networks.search_space import SEARCH_SPACE

    for turn in range(max(map(len, SEARCH_SPACE.values()))):
        architecture = Architecture(**{name: choices[turn % len(choices)] for name, choices in SEARCH_SPACE.items()})
        model = compiled(architecture)
        height, width = architecture.input.height, architecture.input.width
        assert height <= width == architecture.size
        probabilities = np.asarray(
            model(np.random.default_rng(0).standard_normal((2, height, width, 1)).astype(np.float32))
        )
        assert probabilities.shape == (2, 5)
        assert (probabilities >= 0).all()
        assert np.allclose(probabilities.sum(1), 1, atol=1e-5)


def test_a_folded_network_gives_a_knee_and_its_mirror_image_one_grade():
    from tuning.networks.architecture import Architecture, build
    from tuning.networks.ensemble import Member, assemble
    from tuning.networks.search_space import SEARCH_SPACE

    for view in SEARCH_SPACE["view"]:
        architecture = Architecture(size=96, view=view, fold=True, normalisation=False)
        films = np.random.default_rng(0).standard_normal((2, architecture.input.height, 96, 1)).astype(np.float32)
        member = build(architecture)
        assert np.allclose(member(films), member(films[:, :, ::-1]), atol=1e-6)
        assert not np.allclose(member(films), member(films[:, ::-1]), atol=1e-6)
        answer, mirrored = (assemble([Member("", architecture, member)])(x) for x in (films, films[:, :, ::-1]))
        assert answer["embedding"].shape == (2, 2 * architecture.stages[-1])
        assert np.allclose(answer["activation_map"], np.asarray(mirrored["activation_map"])[:, :, ::-1], atol=1e-5)


def test_the_deepest_network_without_padding_fits_the_smallest_film():
    from tuning.networks.architecture import Architecture, build
    from tuning.networks.search_space import SEARCH_SPACE

    for view, fold in product(SEARCH_SPACE["view"], SEARCH_SPACE["fold"]):
        deepest = Architecture(
            size=96,
            view=view,
            fold=fold,
            stem="conv5",
            block="unpadded",
            widths="16-32-64-128",
            blocks=2,
            pooling="flatten",
        )
        assert build(deepest).output_shape == (None, 5)


def test_a_search_draws_a_backbone_only_when_it_is_named():
    from tuning.networks.search_space import narrowed

    assert narrowed({})["backbone"] == ("",)
    assert narrowed({"backbone": ["", "lite0"]})["backbone"] == ("", "lite0")


@pytest.mark.parametrize("only", [{"depth": ["3"]}, {"size": ["100"]}, {"block": ["residual", "dense"]}])
def test_an_error_names_the_choices_when_one_is_not_in_the_search_space(only):
    from tuning.networks.search_space import narrowed

    with pytest.raises(SettingsError, match=next(iter(only))):
        narrowed(only)


def test_in_mixed_precision_weights_and_probabilities_stay_float32():
    from tuning.networks.architecture import Architecture, build
    from tuning.networks.search_space import SEARCH_SPACE
    from tuning.training.computation import precision

    for loss in SEARCH_SPACE["loss"]:
        architecture = Architecture(size=96, widths="16-32-64-128", fold=True, loss=loss)
        with precision("mixed_bfloat16"):
            mixed = build(architecture)
        exact = build(architecture)
        exact.set_weights(mixed.get_weights())
        films = np.random.default_rng(0).standard_normal((3, 96, 96, 1)).astype(np.float32)
        assert mixed.get_layer("features").compute_dtype == "bfloat16"
        assert {weight.dtype for weight in mixed.weights} == {"float32"}
        answer = np.asarray(mixed(films))
        assert answer.dtype == np.float32
        assert np.abs(answer.sum(1) - 1).max() < 1e-6
        assert np.abs(answer - np.asarray(exact(films))).max() < 0.01
