"""The gate step writes a graph that equals its Keras model, and measures on every kind of synthetic film."""

import json

import numpy as np
import pytest

from kneeoa_hub.imaging.gate import CLASSES
from kneeoa_hub.runtime import GateNetwork

pytestmark = pytest.mark.keras


@pytest.mark.slow
def test_it_writes_graph_limits_and_figures(audited, tmp_path, monkeypatch):
    from tuning import gate as step
    from tuning.gate import GateSettings, gate
    from tuning.networks.gate_net import build, with_mirror
    from tuning.synthetic import negatives

    monkeypatch.setattr(step, "MEASURED", 4)
    monkeypatch.setattr(step, "PHANTOMS", 5)
    out = gate(audited, tmp_path / "gate", GateSettings(pictures=64, epochs=1))
    result = json.loads((out / "gate.json").read_text("utf-8"))
    assert 0 <= result["config"]["min_upright"] <= 0.5
    assert set(result["figures"]["knees"]) == {"synthetic_val"}
    assert "photographs" not in result["figures"]["made"]  # which it was trained on
    for name in ({*negatives.OTHERS, *negatives.HELD_OUT} - {"photographs"}) | {
        "cut off",
        "inverted",
        "turned by 180 degrees",
    }:
        row = result["figures"]["made"][name]
        assert sum(row[key]["value"] for key in ("refused", "put_right", "let_through")) == pytest.approx(1)
        assert f"| {name} | 4 |" in (out / "gate.md").read_text("utf-8")
    model = build(step.SIDE)
    model.load_weights(out / "gate.weights.h5")
    model = with_mirror(model)
    images = np.random.default_rng(0).standard_normal((3, step.SIDE, step.SIDE, 1)).astype(np.float32)
    predictions = GateNetwork(out / "gate.onnx", step.SIDE).run(images)
    assert predictions.shape == (3, len(CLASSES))
    assert np.abs(predictions - np.asarray(model(images))).max() < 1e-5
    assert gate(audited, out, GateSettings(pictures=64, epochs=1)) == out  # an existing output is used as it is


def test_a_film_and_its_mirror_image_get_the_same_probabilities_except_for_quarter_turns():
    import keras

    from tuning import gate as step
    from tuning.networks.gate_net import build, with_mirror

    keras.utils.set_random_seed(3)
    model = with_mirror(build(step.SIDE))
    films = np.random.default_rng(3).standard_normal((4, step.SIDE, step.SIDE, 1)).astype(np.float32)
    predictions, mirrored = (np.asarray(model.predict(inputs, verbose=0)) for inputs in (films, films[:, :, ::-1]))  # pyright: ignore[reportArgumentType]
    other = {(1, False): (3, False), (3, False): (1, False), (1, True): (3, True), (3, True): (1, True)}
    places = [CLASSES.index(other[kind]) if kind in other else place for place, kind in enumerate(CLASSES)]
    assert mirrored[:, places] == pytest.approx(predictions, abs=1e-5)
    assert not np.allclose(mirrored, predictions, atol=1e-4)
    assert predictions.sum(1) == pytest.approx(np.ones(4), abs=1e-5)


def test_one_seed_makes_one_synthetic_film_and_two_seeds_make_two():
    from tuning.synthetic import negatives

    films = [np.random.default_rng(n).random((150, 150), np.float32) for n in range(3)]
    for maker in (
        negatives.knee,
        negatives.cut_off,
        negatives.blurred,
        negatives.other,
        negatives.scene,
        *negatives.HELD_OUT.values(),
    ):
        first, again, other = (maker(films, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert first.shape != other.shape or not np.array_equal(first, other)
        assert first.ndim == 2
        assert np.isfinite(first).all()


def test_no_picture_that_is_measured_on_is_trained_on():
    from tuning.synthetic import negatives

    trained = {hash(picture.tobytes()) for picture in negatives.photographs(negatives.PHOTOGRAPHS)}
    measured = {hash(picture.tobytes()) for picture in negatives.photographs(negatives.HELD_OUT_PHOTOGRAPHS)}
    assert len(trained) >= 3
    assert len(measured) >= 10
    assert not trained & measured
