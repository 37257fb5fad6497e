"""Random changes of training films keep their grades."""

import numpy as np
import pytest

from tuning.data.datasets import Knees
from tuning.data.table import AuditedFilm

pytestmark = pytest.mark.keras


def films(count: int) -> Knees:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 64, 64)).astype(np.uint8)
    contents = np.tile(np.array([0, 0, 64, 64], np.int16), (count, 1))

    rows = (
        AuditedFilm("noise", "", f"{number}.png", number % 5, str(number), "", "train", "", "", 64, 64, 1, 0, "yes")
        for number in range(count)
    )
    return Knees(pixels, contents, tuple(rows))


def test_films_and_grades_are_mixed_with_the_same_weights_and_only_between_neighbours():
    from tuning.data.augment import mix, one_hot

    grades = np.repeat(np.arange(5), 20)
    images = np.broadcast_to(grades[:, None, None].astype(np.float32), (100, 4, 4))
    mixed, targets = mix(images, one_hot(grades), 0.4, np.random.default_rng(1))
    assert np.allclose(targets.sum(1), 1)
    # Each image was as bright as its grade, so its brightness now is the grade expected of its target.
    assert np.allclose(mixed[:, 0, 0], targets @ np.arange(5), atol=1e-6)
    assert (targets.argmax(1) == grades).mean() > 0.95
    assert all(
        set(np.flatnonzero(row)) <= {grade - 1, grade, grade + 1} for row, grade in zip(targets, grades, strict=True)
    )
    assert (targets.max(1) < 1).any()


def test_an_occlusion_blanks_a_rectangle_in_its_proportion_of_the_films():
    from tuning.data.augment import occlude

    images = np.ones((200, 50, 40), np.float32)
    occlude(images, 0.5, np.random.default_rng(2))
    blanked = (images == 0).any((1, 2))
    assert 0.4 < blanked.mean() < 0.6
    for image in images[blanked]:
        rows, columns = np.flatnonzero((image == 0).any(1)), np.flatnonzero((image == 0).any(0))
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
        assert 5 <= len(rows) <= 20
        assert 4 <= len(columns) <= 16


def test_at_strength_0_a_film_is_at_most_mirrored():
    from tuning.data.augment import augment

    knees = films(1)
    seen = {
        augment(knees.pixels[0], knees.contents[0], 0.0, np.random.default_rng(seed)).tobytes() for seed in range(20)
    }
    assert len(seen) == 2


def test_batches_depend_on_seed_and_epoch_alone():
    from tuning.data.augment import Mixing, TrainingBatches

    knees, mixing = films(40), Mixing(0.4, 0.5)
    first, again = (TrainingBatches(knees, 8, 0.7, 3, mixing) for _ in range(2))
    for batches in (first, again):
        batches.start_epoch(4)
    assert all(np.array_equal(a, b) for a, b in zip(first[2], again[2], strict=True))
    again.start_epoch(5)
    assert not np.array_equal(first[2][0], again[2][0])
