"""Changes leave films that a reader could grade, and their effect on the grades is measured."""

import numpy as np
import pytest

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.phantom import knee_film
from tuning.evaluation.film_changes import CHANGES, Change, compressed, pixels_of

FILM = knee_film(2, 1).pixels.astype(np.uint8)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_gives_a_film_that_can_be_read_the_same_for_the_same_seed(change: Change) -> None:
    if "CLAHE" in change.name or change.kind == "several":
        pytest.importorskip("skimage")
    once, again = (pixels_of(change.apply(FILM, np.random.default_rng(4))) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.uint8
    assert once.ndim == 2
    assert once.std() > 5
    assert once.shape != FILM.shape or not np.array_equal(once, FILM)


def test_changes_that_come_together_leave_something_of_the_film() -> None:
    pytest.importorskip("skimage")
    number, several = len(CHANGES) - 1, CHANGES[-1]
    assert several.kind == "several"
    for film in (87, 114):  # of these a window on a white page left a black film
        assert pixels_of(several.apply(FILM, np.random.default_rng([0, number, film]))).std() > 9


def test_names_of_changes_differ() -> None:
    assert len({change.name for change in CHANGES}) == len(CHANGES)


def test_a_change_that_does_nothing_costs_nothing_and_one_that_spoils_films_refuses_them() -> None:
    from tuning.evaluation.robustness import AS_IT_IS, TrueFilm, robustness

    films = [
        TrueFilm(knee_film(grade, seed).pixels.astype(np.uint8), grade, f"{grade}{seed}")
        for grade in range(5)
        for seed in range(2)
    ]
    nothing = Change("nothing", "quality", lambda pixels, rng: pixels)
    some = Change("every second blank", "quality", lambda pixels, rng: pixels * int(rng.integers(2)))
    crushed = Change(
        "every second compressed",
        "quality",
        lambda pixels, rng: compressed(pixels, rng, quality=10) if rng.integers(2) else pixels,
    )
    grader = from_pretrained()
    plain, same, blanked, in_files = robustness(grader, films, (nothing, some, crushed))
    assert list(robustness(grader, films, (some,)))[1] == blanked
    assert plain.change == AS_IT_IS
    assert plain.refused.value == 0
    assert same.qwk == plain.qwk
    assert same.same.value == 1
    assert same.bias.value == 0
    for spoilt in (blanked, in_files):
        assert 0 < spoilt.refused.value < 1
        assert spoilt.same.value == 1
        assert spoilt.qwk_loss
        assert spoilt.qwk_loss.value == 0  # against the same films
