"""Random changes of films within the training step: no change at strength 0, equal for equal draws, never a NaN."""

import numpy as np
import pytest

from kneeoa_hub.imaging.frame import BRIGHTEST, DARKEST, Place, frame, network_values
from kneeoa_hub.imaging.phantom import knee_film

pytestmark = pytest.mark.keras


SIZE, COUNT = 128, 12
GRADES = np.arange(COUNT) % 5


@pytest.fixture(scope="module")
def films() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Synthetic films [12,224,224], their joints and contents."""
    pictures = np.stack([knee_film(int(grade), seed).pixels for seed, grade in enumerate(GRADES)]).astype(np.uint8)
    side = float(pictures.shape[1])
    joints = np.tile(np.array([[side / 2, side / 2, side]], np.float32), (COUNT, 1))
    return pictures, joints, np.tile(np.array([[0, 0, side, side]], np.float32), (COUNT, 1))


def changed(
    films: tuple[np.ndarray, np.ndarray, np.ndarray], strength: float, seed: int = 0, **settings: float
) -> np.ndarray:
    from tuning.data import changes

    rng = np.random.default_rng(seed)
    draws = changes.draw(rng, GRADES, strength, **settings)
    return np.asarray(changes.framed(*films, draws, changes.noise_bank(rng), SIZE))


@pytest.mark.parametrize("top", [0, 50], ids=["square films", "strips"])
def test_without_changes_it_is_the_frame_that_films_are_graded_in(films, top) -> None:
    pictures, joints, content = films
    bottom = pictures.shape[1] - top
    ours = np.stack(
        [
            network_values(frame(film[top:bottom], Place(x, y - top, side), SIZE).pixels)
            for film, (x, y, side) in zip(pictures, joints.tolist(), strict=True)
        ]
    )
    given = changed((pictures, joints, content + np.array([0, top, 0, -top], np.float32)), 0.0)
    assert given.shape == ours.shape
    assert np.corrcoef(given.ravel(), ours.ravel())[0, 1] > 0.995
    assert np.abs(given - ours).mean() < 0.1


def test_the_same_draws_give_the_same_films(films) -> None:
    np.testing.assert_array_equal(changed(films, 1.0, mixup=0.3, erase=0.5), changed(films, 1.0, mixup=0.3, erase=0.5))
    assert np.abs(changed(films, 1.0, 1) - changed(films, 1.0, 2)).mean() > 0.1


def test_changes_stay_finite_and_within_the_range_of_a_film(films) -> None:
    for seed in range(6):
        values = changed(films, 1.0, seed, mixup=0.2, erase=0.3)
        assert np.isfinite(values).all()
        assert values.min() >= DARKEST
        assert values.max() <= BRIGHTEST


def test_films_are_mixed_with_those_of_the_same_or_a_neighbouring_grade() -> None:
    from tuning.data import changes

    draws = changes.draw(np.random.default_rng(3), GRADES, 1.0, mixup=0.4)
    assert (np.abs(GRADES[draws.partner] - GRADES) <= 1).all()
    assert ((draws.mix >= 0.5) & (draws.mix <= 1.0)).all()
    assert (draws.mix < 1.0).any()


def test_compression_at_high_quality_changes_little_and_at_low_quality_much(films) -> None:
    from tuning.data import changes

    image = films[0][:, :SIZE, :SIZE].astype(np.float32) / 255
    fine, coarse = (np.asarray(changes.compressed(image, np.full(COUNT, factor, np.float32))) for factor in (0.1, 4.0))
    assert np.abs(fine - image).mean() < 0.01 < np.abs(coarse - image).mean()
