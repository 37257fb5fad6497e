"""A knee fills its frame alike, however its film was cut, bordered or exposed."""

import numpy as np
import pytest

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.imaging.borders import without_borders
from kneeoa_hub.imaging.frame import HIGH, LOW, SIDE, Place, frame, network_values, place_of
from kneeoa_hub.imaging.heatmap import heatmap_over
from kneeoa_hub.imaging.letterbox import letterbox, network_input
from kneeoa_hub.imaging.phantom import knee_film

FILM = knee_film(2, 3).pixels.astype(np.float32)
MIDDLE = FILM.shape[1] / 2, FILM.shape[0] / 2
WHOLE = float(min(FILM.shape))
PLACE = Place(*MIDDLE, WHOLE)


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """Mean difference of two frames in grays of 255."""
    return float(np.abs(one.astype(float) - two).mean())


@pytest.mark.parametrize("gray", [0, 128, 255])
def test_a_border_does_not_change_the_frame(gray: int) -> None:
    bordered = np.pad(FILM, 40, constant_values=gray)
    left, top, right, bottom = without_borders(bordered)
    wider = Place(PLACE.x, PLACE.y, 1.2 * WHOLE)
    moved = Place(PLACE.x + 40 - left, PLACE.y + 40 - top, wider.side)
    assert apart(frame(FILM, wider).pixels, frame(bordered[top:bottom, left:right], moved).pixels) < 0.5


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (16.0, 300.0), (0.01, -5.0)])
def test_unit_and_zero_of_the_grays_do_not_change_the_frame(factor: float, offset: float) -> None:
    assert apart(frame(FILM, PLACE).pixels, frame(FILM * factor + offset, PLACE).pixels) < 0.5


def test_a_film_that_ends_within_the_frame_keeps_its_position_and_the_rest_is_dark() -> None:
    cut = round(0.1 * WHOLE)
    part = frame(FILM[cut:-cut, cut:-cut], Place(PLACE.x - cut, PLACE.y - cut, PLACE.side))
    left, top, right, bottom = part.content
    assert 0 < left < right < SIDE
    assert apart(part.pixels[top:bottom, left:right], frame(FILM, PLACE).pixels[top:bottom, left:right]) < 1.0
    assert not part.pixels[:top].any()
    assert not part.pixels[:, right:].any()


def test_a_film_of_twice_the_resolution_gives_the_same_frame() -> None:
    twice = np.kron(FILM, np.ones((2, 2), np.float32))
    assert apart(frame(FILM, PLACE).pixels, frame(twice, Place(2 * PLACE.x, 2 * PLACE.y, 2 * PLACE.side)).pixels) < 3.0


def test_a_flat_film_and_a_place_beyond_it_give_a_frame() -> None:
    assert frame(np.full((200, 200), 7.0, np.float32), Place(100, 100, 200)).pixels.shape == (SIDE, SIDE)
    beyond = frame(FILM, Place(-900.0, -900.0, 100.0))
    assert beyond.content[2] - beyond.content[0] == 0
    assert not beyond.pixels.any()


def test_a_film_that_is_flat_but_for_a_few_pixels_gives_a_frame() -> None:
    film = np.full((300, 300), 40, np.uint8)
    film[148:152, 148:152] = 240
    pixels = frame(film, Place(150, 150, 300)).pixels
    assert pixels[SIDE // 2, SIDE // 2] == 255
    assert pixels[SIDE // 4, SIDE // 4] < 255


def test_the_inputs_of_the_network_have_a_mean_near_zero() -> None:
    values = network_values(frame(FILM, PLACE).pixels)
    assert values.shape == (SIDE, SIDE, 1)
    assert values.dtype == np.float32
    assert abs(float(values[80:176, 60:196].mean())) < 1.0


def test_collimation_does_not_change_the_exposure_of_what_is_left() -> None:
    dark = FILM.copy()
    dark[:, :24], dark[200:] = 0, 0
    plain, collimated = frame(FILM, PLACE).pixels, frame(dark, PLACE).pixels
    inside = np.s_[20:220, 40:240]
    assert apart(plain[inside], collimated[inside]) < 1


FRAMED = InputConfig(96, 96, LOW, HIGH, "frame")


@pytest.mark.parametrize("box", [(10, 20, 110, 120), (-30, 0, 70, 60), (5, 5, 45, 205)])
def test_a_bundle_that_frames_sees_the_square_about_the_middle_of_a_box(box: tuple[int, int, int, int]) -> None:
    fitted, wanted = letterbox(FILM, box, FRAMED), frame(FILM, place_of(box), 96)
    assert np.array_equal(fitted.pixels, wanted.pixels)
    assert np.array_equal(network_input(FILM, box, FRAMED), network_values(wanted.pixels))


def test_a_heatmap_lies_where_its_map_does_though_the_frame_reaches_beyond_the_film() -> None:
    activation = np.zeros((8, 8), np.float32)
    activation[6, 1] = 1.0  # below and to the left, in a square whose lower half the film shows
    region, box = (0, -64, 128, 64), (0, 0, 128, 64)
    heatmap = heatmap_over(activation, box, region, (0, 48, 96, 96), FRAMED)
    assert heatmap.shape == (16, 32)
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert abs(row - 10) <= 1
    assert abs(column - 6) <= 1


@pytest.mark.parametrize("reach", [0.8, 1.25])
def test_another_reach_is_another_square_about_the_same_middle(reach: float) -> None:
    config = InputConfig(96, 96, LOW, HIGH, "frame", reach)
    fitted = letterbox(FILM, (20, 40, 120, 140), config)
    other = Place(70, 90, 100 * reach)
    assert np.array_equal(fitted.pixels, frame(FILM, other, 96).pixels)


@pytest.mark.parametrize(("reach", "corner"), [(0.5, (8, 8)), (1.0, (0, 0))])
def test_a_heatmap_covers_the_box_and_is_zero_where_a_closer_frame_ends(reach: float, corner: tuple[int, int]) -> None:
    activation = (np.linspace(1, 2, 64, dtype=np.float32) ** 4).reshape(8, 8)[::-1, ::-1]
    box = (0, 0, 128, 128)
    heatmap = heatmap_over(activation, box, box, (0, 0, 96, 96), InputConfig(96, 96, LOW, HIGH, "frame", reach))
    assert heatmap.shape == (32, 32)
    assert np.unravel_index(heatmap.argmax(), heatmap.shape) == corner
    rows, columns = np.nonzero(heatmap)
    assert (rows.min(), columns.min()) == corner
    assert (rows.max(), columns.max()) == (31 - corner[0], 31 - corner[1])


def test_a_map_that_is_strong_over_most_of_the_box_shows_no_place() -> None:
    activation = np.ones((8, 8), np.float32)
    activation[:3] = 0
    box = (0, 0, 128, 128)
    assert not heatmap_over(activation, box, box, (0, 0, 96, 96), FRAMED).any()
    assert heatmap_over(1 - activation, box, box, (0, 0, 96, 96), FRAMED).max() == 1


def test_a_heatmap_of_a_wider_frame_shows_the_part_over_the_box() -> None:
    activation = np.zeros((8, 8), np.float32)
    activation[4, 4] = 1.0
    box = (0, 0, 128, 128)
    heatmap = heatmap_over(activation, box, box, (0, 0, 96, 96), InputConfig(96, 96, LOW, HIGH, "frame", 1.25))
    assert heatmap.shape == (32, 32)
    assert all(abs(place - 18) <= 1 for place in np.unravel_index(heatmap.argmax(), heatmap.shape))
