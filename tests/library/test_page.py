"""A film on a page with words is found there, and graded as the film alone."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kneeoa_hub.imaging.page import film_on_page
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film

WORDS = "Radiograph of the knee, standing, from in front.\nJoint space narrowed medially. No fracture."


def page(film: np.ndarray, width: int, height: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return a white page with words above and below a film, and where the film lies on it."""
    left, top = (width - film.shape[1]) // 2, height // 4
    sheet = Image.new("L", (width, height), 255)
    sheet.paste(Image.fromarray(film), (left, top))
    draw = ImageDraw.Draw(sheet)
    for x, y in ((0.08, 0.06), (0.08, 0.15), (0.1, 0.78), (0.1, 0.88)):
        draw.multiline_text((x * width, y * height), WORDS, fill=0, font_size=height // 45)
    return np.asarray(sheet), (left, top, left + film.shape[1], top + film.shape[0])


@pytest.mark.parametrize(("width", "height"), [(520, 760), (1100, 1500)])
def test_a_film_is_found_on_a_page_of_any_size(width: int, height: int) -> None:
    sheet, place = page(knee_film(2, 4, height=260, width=260).pixels.astype(np.uint8), width, height)
    found = film_on_page(sheet)
    assert found
    assert max(abs(one - two) for one, two in zip(found, place, strict=True)) <= height // 100


def test_a_film_without_a_page_has_none() -> None:
    assert film_on_page(two_knee_film((1, 3), 5, height=500, width=640).pixels) is None
    assert film_on_page(np.full((200, 300), 9.5)) is None
    assert film_on_page(np.full((200, 300), 255) - np.eye(200, 300) * 255) is None


def test_one_of_two_films_on_a_page_is_not_taken_for_all_of_it() -> None:
    sheet = Image.new("L", (1100, 1500), 255)
    for number, place in enumerate([(100, 200), (650, 800)]):
        film = knee_film(2, number, height=350 + 50 * number, width=350 + 50 * number).pixels.astype(np.uint8)
        sheet.paste(Image.fromarray(film), place)
    assert film_on_page(np.asarray(sheet)) is None


def test_a_film_on_a_page_is_graded_as_the_film_alone(grader) -> None:
    film = two_knee_film((0, 3), 5, height=300, width=380).pixels.astype(np.uint8)
    sheet, (left, top, _, _) = page(film, 1500, 1900)
    alone, found = grader.grade(film), grader.grade(sheet)
    assert [knee.grade for knee in found.knees] == [knee.grade for knee in alone.knees]
    for knee, other in zip(found.knees, alone.knees, strict=True):
        moved = np.add(other.box, (left, top, left, top))
        assert np.abs(np.subtract(knee.box, moved)).max() <= 12
