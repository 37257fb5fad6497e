"""Members of different architectures and sizes work as one network, in Keras and in ONNX."""

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.runtime import OUTPUTS, Network

if TYPE_CHECKING:
    from tuning.networks.architecture import Architecture
    from tuning.networks.ensemble import Member

pytestmark = pytest.mark.keras

SMALL = {"widths": "16-32-64-128", "blocks": 1, "block": "plain"}


@pytest.fixture(scope="module")
def architectures() -> "list[Architecture]":
    from tuning.networks.architecture import Architecture

    return [
        Architecture(size=96, fold=True, **SMALL),
        Architecture(size=128, view="band", loss="coral", **SMALL),
        Architecture(size=96, pooling="max", **SMALL),
    ]


@pytest.fixture(scope="module")
def members(architectures) -> "list[Member]":
    import keras

    from tuning.networks.architecture import build
    from tuning.networks.ensemble import Member

    keras.utils.set_random_seed(0)
    return [Member(str(number), architecture, build(architecture)) for number, architecture in enumerate(architectures)]


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """[3,128,128,1], smooth as films are."""
    noise = np.random.default_rng(0).standard_normal((3, 16, 16)).astype(np.float32)
    return np.stack([np.asarray(Image.fromarray(film).resize((128, 128), Image.Resampling.BICUBIC)) for film in noise])[
        ..., None
    ]


def shrunk(films: np.ndarray, size: int) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.fromarray(film[..., 0]).resize((size, size), Image.Resampling.BICUBIC)) for film in films]
    )[..., None]


def test_the_input_is_that_of_the_largest_member(architectures):
    from tuning.networks.ensemble import input_of

    assert input_of(architectures) == architectures[1].input


def test_every_member_sees_the_film_at_its_own_size_as_pillow_shrinks_it(members, films, architectures):
    from tuning.networks.ensemble import input_of, unmirrored

    for member in members:
        alone = np.asarray(unmirrored(member, input_of(architectures))(films))
        assert np.abs(alone - np.asarray(member.network(shrunk(films, member.architecture.size)))).max() < 1e-5


def test_probabilities_are_the_mean_over_members_and_mirror_images(members, films):
    from tuning.networks.ensemble import assemble

    expected = np.zeros((3, 5))
    for member in members:
        seen = shrunk(films, member.architecture.size)
        expected += (np.asarray(member.network(seen)) + np.asarray(member.network(seen[:, :, ::-1]))) / 2 / len(members)
    answer = assemble(members)(films)
    assert np.abs(np.asarray(answer["probabilities"]) - expected).max() < 1e-5
    assert answer["embedding"].shape == (3, 2 * 128 + 128 + 128)


def test_a_band_sees_its_rows_alone_and_its_map_is_empty_elsewhere(members, films):
    from tuning.networks.ensemble import assemble

    band = members[1]
    margin = band.architecture.margin
    assert margin == 32
    changed = films.copy()
    changed[:, :margin] = changed[:, -margin:] = 7
    before, after = (assemble([band])(x) for x in (films, changed))
    assert np.array_equal(before["probabilities"], after["probabilities"])
    maps = np.asarray(before["activation_map"])
    assert maps.shape == (3, 4, 4)
    assert not maps[:, [0, -1]].any()
    assert maps[:, 1:-1].any()


def test_its_onnx_graph_gives_the_same_outputs(members, films, tmp_path, architectures):
    import keras

    from tuning.networks.ensemble import assemble, input_of

    assemble(members, temperature=0.7).save(tmp_path / "model", zipped=False)
    loaded: Any = keras.saving.load_model(tmp_path / "model", compile=False, safe_mode=True)
    answer = loaded.predict_on_batch(films)
    with contextlib.redirect_stdout(io.StringIO()):
        loaded.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    graph = Network(tmp_path / "model.onnx", input_of(architectures)).run(films)
    for name in OUTPUTS:
        assert np.abs(np.asarray(answer[name]) - getattr(graph, name)).max() < 1e-4
