"""The step that trains and measures a locator, small and on synthetic films."""

import json

import numpy as np
import pytest

from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig
from kneeoa_hub.card.finding import finding
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import Estimate, FindingEvidence
from kneeoa_hub.imaging.locate import Joint, Locator
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from kneeoa_hub.typed_json import from_json

from ..support.loop import LOCATOR_SETTINGS
from ..support.schemas import definitions, schema

pytestmark = pytest.mark.keras

SIDE = InputConfig(96, 96)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Locator:
    """A locator that has seen a hundred and fifty films."""
    from tuning.locator import LocatorSettings, train
    from tuning.networks.locator_net import write_onnx
    from tuning.synthetic.compose import as_knee
    from tuning.synthetic.locator_examples import make_examples

    knees = [as_knee(knee_film(seed % 5, seed).pixels) for seed in range(12)]
    settings = LocatorSettings(films=150, epochs=6, batch=16, side=96)
    path = tmp_path_factory.mktemp("locator") / LOCATOR
    write_onnx(train(make_examples(knees, SIDE, films=150, seed=0), SIDE, settings), path)
    return Locator(path, LocatorConfig(SIDE, 0.3))


def near(found: tuple[Joint, ...], joints: np.ndarray) -> bool:
    """As many joints as there are, each within a quarter of its side."""
    return len(found) == len(joints) and all(
        np.hypot(joint.x - x, joint.y - y) < side / 4 for joint, (x, y, side) in zip(found, joints, strict=True)
    )


@pytest.mark.slow
def test_joints_of_synthetic_and_composed_films_are_found_where_they_are(small):
    from tuning.synthetic.compose import TRAINING, as_knee, compose

    for seed in range(900, 910):
        film = two_knee_film((seed % 5, 2), seed)
        joints = np.array(
            [((left + right) / 2, (top + bottom) / 2, right - left) for left, top, right, bottom in film.boxes]
        )
        assert near(small.joints(film.pixels), joints)
        assert small.find(knee_film(seed % 5, seed).pixels) == ((0, 0, 224, 224),)
    unseen = [as_knee(knee_film(seed % 5, 500 + seed).pixels) for seed in range(10)]
    films = [compose(unseen, TRAINING, 10_000 + seed) for seed in range(40)]
    assert np.mean([near(small.joints(film.pixels), film.joints) for film in films]) >= 0.75


def test_the_heatmap_peaks_at_the_joint_and_the_offsets_around_it_point_there():
    from tuning.networks.locator_net import STRIDE, targets

    (wanted,) = targets([np.array([[41.0, 61.0, 32.0]])], SIDE)
    row, column = np.unravel_index(wanted[..., 0].argmax(), wanted.shape[:2])
    assert (row, column) == (61 // STRIDE, 41 // STRIDE)
    for y, x in [(row, column), (row - 1, column), (row, column + 1)]:
        assert (x + 0.5) * STRIDE + wanted[y, x, 1] * 32 == pytest.approx(41)
        assert (y + 0.5) * STRIDE + wanted[y, x, 2] * 32 == pytest.approx(61)
        assert 96 * np.exp(wanted[y, x, 3]) == pytest.approx(32)


def test_a_proportion_of_one_has_an_interval():
    from tuning.run.estimates import proportion

    figure = proportion([True] * 100)
    assert (figure.value, figure.high, figure.n) == (1.0, 1.0, 100)
    assert 0.95 < figure.low < 0.98
    assert proportion([]) == Estimate(0, 0, 0, 0)


@pytest.mark.slow
def test_the_step_writes_a_locator_with_figures_as_the_schema_has_them(loop):
    from tuning.locator import LocatorSettings, locator

    out = loop / "locator"
    result = json.loads((out / "locator.json").read_text("utf-8"))
    wanted = {"$ref": "#/$defs/FindingEvidence", "$defs": definitions("evidence")}
    schema("evidence").evolve(schema=wanted).validate(result["finding"])
    assert result["finding"]["crops"]["n"] == 12
    assert result["megabytes"] < 2
    assert {path.name for path in out.iterdir()} == {"step.json", LOCATOR, "locator.json"}
    assert "| validation crops: one joint found |" in finding(from_json(FindingEvidence, result["finding"]))
    with pytest.raises(DataError, match="other input or settings"):
        locator(loop / "audit", out, LocatorSettings(**LOCATOR_SETTINGS | {"epochs": 2}, grader=str(loop / "bundle")))
