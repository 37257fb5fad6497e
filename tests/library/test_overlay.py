"""The drawings over a film leave the knee visible."""

import tracemalloc

import numpy as np
import pytest

from kneeoa_hub import overlay
from kneeoa_hub.output.sidecars import places_of
from kneeoa_hub.overlay import DARK, Mark, drawn

LABEL = tuple(bytes.fromhex(DARK[1:]))
"""The background of a label: a blue that no gray film has."""


def labelled(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """[H,W] bool: where labels are, over a film of noise."""
    film = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    picture = drawn(
        film, [Mark(box, "Right: KL 2 Mild", np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)) for box in boxes]
    )
    return (np.asarray(picture) == LABEL).all(-1)


@pytest.mark.parametrize(
    ("boxes", "rows"),
    [
        ([(200, 900, 400, 1100)], (700, 900)),
        ([(550, 900, 600, 950)], (700, 900)),
        ([(200, 10, 400, 210)], (210, 400)),
        ([(100, 900, 290, 1090), (310, 920, 500, 1110)], (800, 920)),
        ([(200, 600, 400, 900), (210, 910, 410, 1210)], (400, 1400)),
    ],
    ids=[
        "above",
        "above, wider than the box",
        "below, where the film ends above",
        "two legs",
        "below, where another knee is above",
    ],
)
def test_a_label_is_beside_the_box_and_hides_no_knee(boxes, rows):
    labels = labelled((2000, 600), *boxes)
    for left, top, right, bottom in boxes:
        assert not labels[top:bottom, left:right].any()
    assert labels.any()
    assert not labels[: rows[0]].any()
    assert not labels[rows[1] :].any()


def test_labels_of_small_knees_side_by_side_do_not_hide_each_other():
    labels = labelled((2000, 600), (250, 900, 290, 950), (300, 900, 340, 950))
    assert labels[:900].any()
    assert labels[950:].any()


def test_a_knee_that_fills_the_film_has_its_label_at_its_upper_edge():
    labels = labelled((400, 400), (0, 0, 400, 400))
    assert labels[:40].any()
    assert not labels[40:].any()


def test_a_film_is_drawn_by_rows_to_the_same_picture_in_little_memory(monkeypatch):
    film = np.random.default_rng(0).integers(0, 4096, (1500, 1300)).astype(np.float32)
    marks = [Mark((0, 0, 1300, 700), "KL 2 Mild", np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))]
    marks.append(
        Mark((101, 777, 1205, 1499), "KL 3 Moderate", np.linspace(1, 0, 1024, dtype=np.float32).reshape(32, 32))
    )
    tracemalloc.start()
    picture = drawn(film, marks)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < film.nbytes
    monkeypatch.setattr(overlay, "BLOCK", len(film))
    assert (np.asarray(picture) == np.asarray(drawn(film, marks))).all()


def test_a_file_written_beside_films_is_named_with_the_whole_uid():
    given = ("a/1.2.840.5.1", "a/1.2.840.5.10", "a/knee.dcm", "b/knee.dcm", "c.PNG")
    assert list(places_of(given, {}).values()) == ["1.2.840.5.1", "1.2.840.5.10", "knee", "knee-1", "c"]
