"""A plain border round a film does not change its grade; a film without one is left as it is."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.imaging.borders import inner_film
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film

SIDE = 224


@cache
def film_of(grade: int, seed: int) -> np.ndarray:
    return knee_film(grade, seed, height=SIDE, width=SIDE).pixels.astype(np.uint8)


def assert_found(film: np.ndarray, width: int) -> None:
    wanted = (width, width, width + SIDE, width + SIDE)
    assert all(abs(one - two) <= 4 for one, two in zip(inner_film(film), wanted, strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grade", range(5))
def test_a_film_without_a_border_is_left_as_it_is(grade: int, seed: int) -> None:
    film = film_of(grade, seed)
    assert inner_film(film) == (0, 0, SIDE, SIDE)
    assert inner_film(film.astype(np.float32) * 200 - 4000) == (0, 0, SIDE, SIDE)


@pytest.mark.parametrize("gray", [0, 120, 255])
@pytest.mark.parametrize("widths", [(22, 22, 22, 22), (60, 0, 0, 0), (0, 9, 30, 0), (5, 5, 5, 5), (400, 300, 0, 20)])
def test_a_border_of_any_gray_and_width_is_found(gray: int, widths: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = widths
    bordered = np.pad(film_of(1, 1), ((top, bottom), (left, right)), constant_values=gray)
    found = inner_film(bordered)
    wanted = (left, top, left + SIDE, top + SIDE)
    assert all(abs(one - two) <= 2 for one, two in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("widths", "grays"), [((12, 20), (255, 128)), ((6, 2, 12), (255, 0, 255))])
def test_borders_within_each_other_are_found(widths: tuple[int, ...], grays: tuple[int, ...]) -> None:
    film = film_of(2, 1)
    for width, gray in zip(widths, grays, strict=True):
        film = np.pad(film, width, constant_values=gray)
    assert_found(film, sum(widths))


@pytest.mark.parametrize("gray", [0, 255])
def test_a_bordered_film_is_graded_as_the_film_alone(grader, gray: int) -> None:
    for grade, seed in ((0, 0), (0, 2), (1, 1), (2, 0), (2, 2), (3, 1), (4, 0)):
        film = film_of(grade, seed)
        alone, (knee,) = grader.grade(film).knees[0], grader.grade(np.pad(film, 30, constant_values=gray)).knees
        assert knee.grade == alone.grade
        assert abs(knee.severity - alone.severity) < 0.15
        assert all(abs(one - two - 30) <= 4 for one, two in zip(knee.box, alone.box, strict=True))


@pytest.mark.parametrize("quality", [60, 25])
@pytest.mark.parametrize("width", [24, 29])
def test_a_compressed_border_is_found(quality: int, width: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.pad(film_of(1, 1), width, constant_values=255)).save(stream, "JPEG", quality=quality)
    assert_found(np.asarray(Image.open(stream)), width)


@pytest.mark.parametrize("gray", [9, 128, 246])
def test_a_border_with_the_noise_of_a_scanner_is_found(gray: int) -> None:
    bordered = np.pad(film_of(3, 2).astype(float), 40, constant_values=gray)
    noise = np.random.default_rng(0).normal(0, 4, bordered.shape)
    assert_found(np.clip(bordered + noise, 0, 255).astype(np.uint8), 40)


@pytest.mark.parametrize(("width", "cut"), [(400, True), (40, False)])
def test_a_wide_margin_is_a_border_even_where_a_leg_fades_into_it(width: int, cut: bool) -> None:
    fading = film_of(1, 1) * np.minimum(1, np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / 60)
    left, top, right, bottom = inner_film(np.pad(fading, ((0, 0), (width, width))))
    assert (top, bottom) == (0, SIDE)
    assert (width <= left <= width + 20 and right >= width + SIDE - 20) if cut else (left, right) == (0, SIDE + 2 * 40)


def test_dark_surroundings_of_legs_are_no_border() -> None:
    film = two_knee_film((1, 3), 5, height=500, width=640).pixels
    assert inner_film(film) == (0, 0, film.shape[1], film.shape[0])


@pytest.mark.parametrize("side", [300, 2400])
@pytest.mark.parametrize("texture", ["noise", "weave"])
def test_noise_and_texture_are_no_border(texture: str, side: int) -> None:
    down, across = np.mgrid[:side, :side]
    noise, weave = np.random.default_rng(0).normal(0, 1, (side, side)), np.sin(down / 1.7) * np.sin(across / 1.7)
    found = inner_film(noise if texture == "noise" else weave)
    assert all(abs(one - two) <= 1 for one, two in zip(found, (0, 0, side, side), strict=True))


@pytest.mark.parametrize("film", [np.zeros((200, 200)), np.full((200, 300), 9.5), np.eye(256)])
def test_blank_and_odd_films_stay_whole(film: np.ndarray) -> None:
    assert inner_film(film) == (0, 0, film.shape[1], film.shape[0])
