"""Composed films are the same each time, and their boxes lie where the joints are."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.imaging.phantom import knee_film

if TYPE_CHECKING:
    from tuning.synthetic.compose import Style


@pytest.fixture(scope="module")
def knees():
    from tuning.synthetic.compose import as_knee

    return [
        as_knee(knee_film(seed % 5, seed, side=("left", "right")[seed % 2]).pixels, ("left", "right")[seed % 2])
        for seed in range(10)
    ]


@pytest.fixture(params=["TRAINING", "HELD_OUT"])
def style(request) -> "Style":
    from tuning.synthetic import compose

    return getattr(compose, request.param)


def alike(film, knee, box) -> float:
    """Correlation of a joint's crop, as it is or mirrored, with what the film shows in a box."""
    left, top, right, bottom = box
    shown = np.asarray(
        Image.fromarray(film[top:bottom, left:right].astype(np.float32)).resize((64, 64), Image.Resampling.BOX)
    )
    crop = np.asarray(Image.fromarray(knee.crop).resize((64, 64), Image.Resampling.BOX))
    return max(float(np.corrcoef(shown.ravel(), view.ravel())[0, 1]) for view in (crop, crop[:, ::-1]))


def test_one_seed_composes_one_film(knees, style):
    from tuning.synthetic.compose import compose

    first, again, other = compose(knees, style, 3), compose(knees, style, 3), compose(knees, style, 4)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.joints, again.joints)
    assert first.knees == again.knees
    assert first.pixels.shape != other.pixels.shape or not np.array_equal(first.pixels, other.pixels)


def test_every_box_holds_its_joint(knees, style):
    from tuning.synthetic.compose import compose

    near, beside = [], []
    for seed in range(24):
        film = compose(knees, style, seed)
        height, width = film.pixels.shape
        for joint, box, index in zip(film.joints, film.boxes, film.knees, strict=True):
            moved = tuple(round(edge + 0.15 * joint[2]) for edge in box)
            if (
                box[2] - box[0] > 0.98 * joint[2]
                and box[3] - box[1] > 0.98 * joint[2]
                and moved[2] <= width
                and moved[3] <= height
            ):
                near.append(alike(film.pixels, knees[index], box))
                beside.append(alike(film.pixels, knees[index], moved))
    assert len(near) >= 8
    assert np.median(near) > 0.9
    assert np.mean(np.array(near) > np.array(beside)) > 0.95


def test_films_show_up_to_four_joints_of_realistic_sizes_and_depths(knees, style):
    from tuning.synthetic.compose import SHOWN, compose

    films = [compose(knees, style, seed) for seed in range(80)]
    counts = {len(film.joints) for film in films}
    assert {0, 1, 2} <= counts <= {0, 1, 2, 3, 4}
    assert {film.pixels.dtype for film in films} == {np.dtype(np.uint8), np.dtype(np.uint16)}
    for film in films:
        height, width = film.pixels.shape
        assert 128 <= min(height, width) <= max(height, width) <= max(style.longest, 1200)
        assert [joint[0] for joint in film.joints] == sorted(joint[0] for joint in film.joints)
        for joint, (left, top, right, bottom) in zip(film.joints, film.boxes, strict=True):
            assert min(right - left, bottom - top) >= SHOWN * joint[2]


def test_an_inverted_crop_is_corrected_and_a_strip_is_cut_to_its_centre():
    from tuning.synthetic.compose import as_knee

    film = knee_film(1, 5).pixels
    assert np.corrcoef(as_knee(255 - film).crop.ravel(), as_knee(film).crop.ravel())[0, 1] > 0.99
    assert as_knee(np.pad(film, ((0, 0), (40, 40)), mode="edge")).crop.shape == (224, 224)
