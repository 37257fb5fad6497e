"""Burnt-in markers: which letters are read, and what follows from them for the side of a knee."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.laterality import (
    CONTRADICTION,
    MARKERS_MIRRORED_WARNING,
    MARKERS_WARNING,
    SIDE_WARNING,
    knee_sides,
    on_the_film,
)
from kneeoa_hub.imaging.markers import Marker, MarkerReader
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from kneeoa_hub.imaging.screen import Screening

BOTH = ((20, 40, 60, 80), (140, 40, 180, 80))
ONE = ((20, 40, 80, 100),)
NAMED, MIRRORED, BY_MARKER = ("right", "left"), ("left", "right"), (MARKERS_WARNING,)


@pytest.fixture(scope="module")
def reader() -> MarkerReader:
    return MarkerReader(threads=1)


def drawn(letter: str, x: int, mirrored: bool = False, ink: int = 30, paper: int = 250) -> np.ndarray:
    """A film of two legs, 900 pixels wide, with a letter in a box, by default a dark one in a light box."""
    picture = Image.fromarray(two_knee_film((1, 2), 7).pixels).resize((900, 450))
    box = Image.new("L", (40, 44), paper)
    ImageDraw.Draw(box).text((20, 22), letter, ink, ImageFont.load_default(36), anchor="mm")
    picture.paste(box.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else box, (x, 20))
    return np.asarray(picture)


@pytest.mark.parametrize("letter", ["L", "R"])
@pytest.mark.parametrize(("ink", "paper"), [(30, 250), (140, 230), (240, 10)])
def test_an_upright_letter_is_read_where_it_is(reader, letter, ink, paper):
    (marker,) = reader(drawn(letter, 840, ink=ink, paper=paper).astype(np.float32))
    assert marker.letter == letter
    assert np.hypot(marker.x - 860, marker.y - 42) < 12
    assert reader(drawn(letter, 840, mirrored=True, ink=ink, paper=paper).astype(np.float32)) == ()


def test_no_letter_is_read_on_a_joint_and_the_unit_of_the_grays_does_not_matter(reader):
    film = drawn("R", 840).astype(np.float32)
    assert reader(film, [(780, 0, 900, 90)]) == ()
    assert [one.letter for one in reader(film, [(0, 0, 450, 450)])] == ["R"]
    assert [one.letter for one in reader(film * 1e30 - 1e31)] == ["R"]
    assert reader(np.full((500, 600), 7, np.float32)) == ()


def test_nothing_is_read_where_there_is_no_letter(reader):
    for letter in "DE7":
        assert reader(drawn(letter, 10).astype(np.float32)) == ()
    assert reader(knee_film(2, 7).pixels) == ()  # a crop of a joint is not searched


@pytest.mark.parametrize(
    ("letters", "said", "sides", "warnings"),
    [
        ({}, "", NAMED, (SIDE_WARNING,)),
        ({"R": 5}, "", NAMED, BY_MARKER),
        ({"L": 195}, "", NAMED, BY_MARKER),
        ({"R": 90, "L": 110}, "", NAMED, BY_MARKER),
        ({"R": 195}, "", MIRRORED, (MARKERS_MIRRORED_WARNING,)),
        ({"L": 5, "R": 195}, "", MIRRORED, (MARKERS_MIRRORED_WARNING,)),
        ({"L": 70}, "", NAMED, (SIDE_WARNING,)),  # between the legs it may be of either
        ({"R": 5}, "L", NAMED, ()),
        ({"R": 195}, "L", NAMED, (CONTRADICTION,)),
    ],
)
def test_letters_give_the_sides_of_two_knees_where_the_header_does_not(letters, said, sides, warnings):
    film = Film(np.zeros((120, 200), np.float32), "film", orientation=(said, "F" if said else ""))
    markers = [Marker(letter, x, 10, 1) for letter, x in letters.items()]
    assert knee_sides(film, Screening(film, BOTH), lambda: markers) == (sides, warnings)


@pytest.mark.parametrize(
    ("letters", "said", "width", "side", "warnings"),
    [
        ("R", None, 100, "right", BY_MARKER),
        ("L", "left", 100, "left", ()),
        ("L", "right", 100, "right", (CONTRADICTION,)),
        ("RL", None, 100, None, ()),
        ("R", None, 300, None, ()),  # wide enough for another leg, whose marker it may be
    ],
)
def test_a_letter_gives_the_side_of_one_knee_where_the_header_does_not(letters, said, width, side, warnings):
    film = Film(np.zeros((120, width), np.float32), "film", side=said)
    markers = [Marker(letter, 10, 10, 1) for letter in letters]
    assert knee_sides(film, Screening(film, ONE), lambda: markers) == ((side,), warnings)


@pytest.mark.parametrize("paper", [255, 210])
def test_words_on_a_page_beside_the_film_are_no_markers(paper):
    page = np.full((1000, 1600), paper, np.float32)
    page[250:850, 500:1100] = knee_film(3, 10, height=600, width=600).pixels
    beside, within = Marker("L", 100.0, 60.0, 0.99), Marker("R", 560.0, 800.0, 0.99)
    assert on_the_film([beside, within], page) == (within,)
    film = knee_film(3, 10, height=600, width=600).pixels
    assert on_the_film([beside], film.astype(np.float32)) == (beside,)


def test_letters_are_not_looked_for_where_they_could_say_nothing():
    def never() -> tuple[Marker, ...]:
        raise AssertionError

    wide, stacked = Film(np.zeros((120, 300), np.float32), "film"), ((20, 10, 60, 50), (20, 60, 60, 100))
    for boxes in (ONE, stacked, (*BOTH, (250, 40, 290, 80))):
        assert knee_sides(wide, Screening(wide, boxes), never) == knee_sides(wide, Screening(wide, boxes))


def test_the_sides_of_a_real_film_come_from_its_letters(grader, data):
    with zipfile.ZipFile(data / "outside.zip") as archive:
        film = np.asarray(Image.open(io.BytesIO(archive.read("films/001.jpg"))).convert("L"))
    report = grader.grade(film)
    assert [knee.side for knee in report.knees] == ["right", "left"]
    assert MARKERS_WARNING in report.warnings
    assert SIDE_WARNING in grader.grade(np.ascontiguousarray(film[:, ::-1])).warnings  # no letter is read in a mirror
