"""Synthetic films: the same from the same seed, graded by the joint alone, laid out as a dataset."""

from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.agreement import qwk
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.locate import find_knees
from kneeoa_hub.imaging.phantom import knee_film, sample_films, two_knee_film, write_films


def test_the_same_seed_gives_the_same_film_and_another_another():
    assert (knee_film(2, 7).pixels == knee_film(2, 7).pixels).all()
    assert (knee_film(2, 7).pixels != knee_film(2, 8).pixels).any()


@pytest.mark.parametrize(("height", "width"), [(224, 224), (162, 300), (400, 320)])
def test_sizes_and_bits_are_as_asked(height, width):
    assert knee_film(1, 3, height=height, width=width).pixels.shape == (height, width)
    deep = knee_film(1, 3, height=height, width=width, bits=16).pixels
    assert deep.dtype == np.uint16
    assert deep.max() > 255


@pytest.mark.slow
def test_mean_intensity_does_not_predict_the_grade():
    truth = np.arange(300) % 5
    means = np.array(
        [knee_film(int(grade), 1000 + i, height=128, width=128).pixels.mean() for i, grade in enumerate(truth)]
    )
    slope, start = np.polyfit(means, truth, 1)
    guess = np.clip(np.rint(slope * means + start), 0, 4).astype(int)
    assert qwk(truth, guess) < 0.1


def test_the_locator_finds_both_joints_of_a_two_knee_film():
    for seed in range(20):
        film = two_knee_film((seed % 5, (seed + 2) % 5), seed)
        found = find_knees(film.pixels)
        assert len(found) == 2
        for box, joint in zip(found, film.boxes, strict=True):
            assert box[0] <= (joint[0] + joint[2]) / 2 < box[2]


def test_the_shipped_weights_grade_every_sample_film_as_drawn_and_the_page_of_inputs_says_which_are_warned(grader):
    films, page = sample_films(), (Path(__file__).parents[2] / "docs" / "inputs.md").read_text("utf-8")
    for name, film in films.items():
        report = grader.grade(film.pixels)
        assert tuple(knee.grade for knee in report.knees) == film.grades, name
        assert not any("unlike" in warning for warning in report.warnings), name
        assert f"| synthetic sample | {name} | 1 | 1 graded{', warned' * bool(report.warnings)} |\n" in page
    assert page.count("| synthetic sample |") == len(films)


def test_severity_rises_with_the_drawn_grade(grader):
    means = [
        np.mean([grader.grade(knee_film(grade, 1000 + seed).pixels).knees[0].severity for seed in range(4)])
        for grade in range(5)
    ]
    assert means == sorted(means)
    assert means[4] - means[0] > 2


@pytest.mark.slow
def test_patients_do_not_cross_splits(tmp_path):
    write_films(tmp_path, 60)
    splits: dict[str, set[str]] = {}
    for path in tmp_path.rglob("*.png"):
        splits.setdefault(path.stem[:-1], set()).add(path.parts[-3])
    assert len(splits) == 30
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize("arguments", [{"grade": 5}, {"grade": 1, "bits": 12}, {"grade": 1, "side": "middle"}])
def test_an_impossible_phantom_is_an_error(arguments):
    with pytest.raises(FilmError):
        knee_film(seed=1, **arguments)
