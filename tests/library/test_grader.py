"""What `grader.grade` promises for any film, on the shipped bundle."""

import html
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks.film_kinds import dicom
from kneeoa_hub import errors, from_pretrained
from kneeoa_hub.grades import LABELS
from kneeoa_hub.imaging.doubts import doubts
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.letterbox import Letterboxed
from kneeoa_hub.imaging.phantom import knee_film, sample_films, two_knee_film
from kneeoa_hub.imaging.screen import Screening
from kneeoa_hub.output.printable import HtmlDocument

from ..support.bundles import changed


def test_the_public_names_hold_what_they_promise(grader, films):
    for path in films.values():
        report = grader.grade(path)
        assert report.refused is None
        for knee in report.knees:
            assert knee.label == LABELS[knee.grade]
            assert sum(knee.probabilities) == pytest.approx(1, abs=1e-6)
            assert knee.severity == pytest.approx(sum(i * p for i, p in enumerate(knee.probabilities)))
            assert knee.oa_probability == pytest.approx(sum(knee.probabilities[2:]))
            assert knee.grade in knee.grade_set
            assert knee.grade_set == tuple(range(knee.grade_set[0], knee.grade_set[-1] + 1))
            assert knee.heatmap.dtype == np.float32
            assert knee.heatmap.min() >= 0
            assert knee.heatmap.max() == 1 or not knee.heatmap.any()
            assert knee.embedding.dtype == np.float32
            assert knee.embedding.ndim == 1
        assert json.loads(json.dumps(report.to_dict()))["model"] == grader.model
        last = f"Model {grader.model}, revision {grader.revision}. Its grades follow the readers of OAI. Research use"
        assert report.findings().splitlines()[-1].startswith(last)
        assert "readers" not in replace(report, protocol=None).findings()
        assert report.overlay().size == (report.film.shape[1], report.film.shape[0])


def test_both_knees_are_found_and_sides_are_said_with_a_warning(grader):
    film = two_knee_film((0, 4), seed=5)
    report = grader.grade(film.pixels)
    assert [knee.side for knee in report.knees] == ["right", "left"]
    assert report.knees[0].box[0] < report.knees[1].box[0]
    assert any("right" in warning for warning in report.warnings)


def test_a_lone_crop_has_no_side(grader):
    assert grader.grade(knee_film(2, seed=1).pixels).knees[0].side is None


def boxes(*centres: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    return [(x - 200, y - 200, x + 200, y + 200) for x, y in centres]


@pytest.mark.parametrize(
    ("places", "names"),
    [
        ([(200, 300)], ["Knee"]),
        ([(700, 200), (200, 300)], ["Knee at the picture's left", "Knee at the picture's right"]),
        ([(250, 900), (300, 200)], ["Knee at the picture's bottom", "Knee at the picture's top"]),
        ([(200, 300), (500, 300), (900, 200)], [f"Knee {n} of 3 from the picture's left" for n in (1, 2, 3)]),
        ([(200, 1000), (210, 200), (220, 600)], [f"Knee {n} of 3 from the picture's top" for n in (3, 1, 2)]),
        (
            [(200, 200), (200, 700), (800, 200), (800, 700)],
            [f"Knee {n} of 4 from the picture's left" for n in (1, 2, 3, 4)],
        ),
    ],
)
def test_knees_without_a_known_side_are_distinguished_by_their_position(grader, places, names):
    film = np.tile(knee_film(2, seed=1).pixels, (6, 6))
    report = grader.grade(
        dicom(film.astype(np.uint16), ImageLaterality="R") if len(places) < 3 else film,
        boxes=boxes(*places),
        force=True,
    )
    assert [knee.side for knee in report.knees] == [None] * len(places)
    assert list(report.names) == names
    findings, impression = report.findings().split("IMPRESSION")
    document = HtmlDocument()
    document.add("film", report)
    for name, knee in zip(names, report.knees, strict=True):
        assert f"\n{name}: Kellgren-Lawrence grade {knee.grade}" in findings
        assert f"\n{name}: radiographic osteoarthritis" in impression
        assert f'<section class="knee" aria-label="{html.escape(name)}">' in document.content().decode()


@pytest.mark.parametrize(
    "draw",
    [
        partial(knee_film, 2, seed=5),
        partial(knee_film, 3, seed=8, height=1801, width=1507),
        partial(two_knee_film, (1, 3), seed=4),
    ],
    ids=["crop", "large", "both knees"],
)
def test_a_film_and_its_mirror_image_get_the_same_answers(grader, draw):
    film = draw()
    knees, mirrored = grader.grade(film.pixels).knees, grader.grade(film.pixels[:, ::-1]).knees[::-1]
    assert len(knees) == len(mirrored) == len(film.boxes)
    for one, other in zip(knees, mirrored, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-3)


@pytest.mark.parametrize("part", ["whole", "cut at a side", "white border", "inverted", "turned", "on a screenshot"])
def test_a_film_is_graded_alike_in_the_box_that_its_report_gives(grader, part):
    from benchmarks.special_cases import on_screenshot

    pixels = knee_film(2, seed=5).pixels
    pixels = {
        "whole": pixels,
        "cut at a side": pixels[:, pixels.shape[1] // 6 :],
        "white border": np.pad(pixels, 40, constant_values=255),
        "inverted": 255 - pixels,
        "turned": np.rot90(pixels),
        "on a screenshot": on_screenshot(pixels[:, pixels.shape[1] // 6 :], np.random.default_rng(1)),
    }[part]
    (found,) = grader.grade(pixels).knees
    (given,) = grader.grade(pixels, boxes=[found.box]).knees
    assert (given.box, given.probabilities) == (found.box, found.probabilities)


@pytest.mark.parametrize("scale", [256, 257])
def test_exposure_and_bit_depth_do_not_change_the_grade(grader, scale):
    pixels = knee_film(3, seed=9).pixels
    eight, sixteen = grader.grade(pixels).knees[0], grader.grade(pixels.astype(np.uint16) * scale).knees[0]
    assert sixteen.grade == eight.grade
    assert sixteen.probabilities == pytest.approx(eight.probabilities, abs=0.01)


def test_a_blank_film_and_a_colour_picture_are_refused_with_a_reason(grader):
    blank = grader.grade(np.full((300, 300), 90, np.uint8))
    assert (blank.refused.reason, blank.knees) == ("no-detail", ())
    assert "refused" not in blank.findings()
    assert "Not graded" in blank.findings()


@pytest.mark.parametrize(("zero", "unit"), [(20000, 1), (-30000, 1), (8000, 16), (0, 1e-9), (0, 1e-33), (1e30, 1e28)])
def test_zero_point_and_unit_of_the_grays_change_neither_grade_nor_refusal(grader, zero, unit):
    knee, noise = knee_film(3, seed=9).pixels, np.random.default_rng(0).normal(90, 20, (300, 300))
    usual = grader.grade(knee).knees[0]
    other = grader.grade(zero + unit * knee.astype(np.float64)).knees[0]
    assert (other.grade, other.probabilities) == (usual.grade, pytest.approx(usual.probabilities, abs=0.01))
    reasons = [
        grader.grade(zero + unit * film.astype(np.float64)).refused.reason
        for film in (np.full((300, 300), 90), knee // 64, noise)
    ]
    assert reasons == ["no-detail", "no-detail", "not-a-knee"]


def test_a_small_knee_in_a_black_film_is_not_taken_for_blank(grader):
    knee = knee_film(3, seed=9, height=448, width=448).pixels
    film = np.zeros((5000, 5000), np.uint8)
    film[2000:2448, 2000:2448] = knee
    (alone,), (within,) = (
        grader.grade(knee, boxes=[(10, 10, 438, 438)]).knees,
        grader.grade(film, boxes=[(2010, 2010, 2438, 2438)]).knees,
    )
    assert within.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    found = grader.grade(film)
    assert not found.refused or found.refused.reason != "no-detail"
    lettered = np.zeros((3000, 3000), np.uint8)
    lettered[100:140, 100:110] = np.arange(40)[:, None] * 6
    assert grader.grade(lettered).refused.reason == "no-detail"


def test_force_grades_a_refused_film_and_says_so(grader):
    blank = np.full((300, 300), 90, np.uint8)
    blank[:150] = 92
    report = grader.grade(blank, force=True)
    assert report.refused.reason == "no-detail"
    assert len(report.knees) == 1
    assert any("force" in warning for warning in report.warnings)
    assert report.refusal == f"Refused, but graded by force: {report.refused.message}"
    assert report.refusal in report.findings()
    assert report.findings().count(report.refused.message) == 1
    assert "Not graded" not in report.findings()


def test_a_higher_level_widens_the_prediction_sets_and_an_unknown_one_is_an_error(grader, tmp_path):
    levels = {"others": [[0.5, 0.4], [0.99, 0.999]], "by_grade": []}
    folder = changed(grader.bundle.folder, tmp_path / "levels", conformal=levels)
    film = sample_films()["mild"].pixels
    sets = [from_pretrained(folder, level=level).grade(film) for level in (0.5, None, 0.99)]
    assert [report.level for report in sets] == [0.5, 0.9, 0.99]
    narrow, usual, wide = (set(report.knees[0].grade_set) for report in sets)
    assert narrow <= usual <= wide
    assert narrow < wide
    with pytest.raises(errors.SettingsError, match=r"0\.7 is not among those of this bundle: 0\.5, 0\.9, 0\.99"):
        from_pretrained(folder, level=0.7)


def test_every_sample_film_is_named(films):
    assert set(films) == set(sample_films())


def test_a_band_is_the_middle_of_a_tall_crop_and_the_map_is_empty_outside_it(grader, tmp_path):
    band, whole = (
        from_pretrained(changed(grader.bundle.folder, tmp_path / crop, input={"crop": crop}))
        for crop in ("band", "fit")
    )
    film = np.pad(sample_films()["moderate"].pixels, ((150, 150), (0, 0)), mode="reflect")
    rows = round(448 * band.bundle.config.input.height / band.bundle.config.input.width)
    top = (748 - rows) // 2
    (tall,) = band.grade(film, boxes=[(0, 0, 448, 748)], force=True).knees
    (middle,) = whole.grade(film, boxes=[(0, top, 448, top + rows)], force=True).knees
    assert tall.probabilities == middle.probabilities
    lit = np.flatnonzero(tall.heatmap.max(1))
    assert 5 <= lit.min() < lit.max() <= len(tall.heatmap) - 6
    assert tall.heatmap.max() == 1


def test_a_warning_about_one_of_several_knees_names_the_knee(grader):
    limits = grader.bundle.config.refusal
    boxes = ((0, 0, 200, 200), (200, 0, 400, 200))
    ramp = np.tile(np.arange(64, 192, dtype=np.uint8), (128, 1))
    good, black = (Letterboxed(pixels, (0, 0, 128, 128)) for pixels in (ramp, np.zeros_like(ramp)))
    film = Film(np.zeros((200, 400), np.float32), "film")
    warnings = doubts(
        Screening(film, boxes),
        ("Right knee", "Left knee"),
        (5, 2),
        np.array([0.0, limits.max_distance + 1]),
        (good, black),
        limits,
    )
    assert [text.split(":")[0] for text in warnings] == ["Right knee", "Left knee", "Left knee"]
    assert "almost no grade can be ruled out" in warnings[0]
    assert "unlike the knees that the model knows" in warnings[1]
    assert "100% of the knee is plain black or white" in warnings[2]
    supported = doubts(
        Screening(film, boxes, supported=boxes[1:]),
        ("Right knee", "Left knee"),
        (2, 2),
        np.zeros(2),
        (good, good),
        limits,
    )
    assert [text.split(",")[0] for text in supported] == ["Left knee: It was hard to recognise as a knee"]
    alone = doubts(Screening(film, boxes[:1]), ("Knee",), (5,), np.array([0.0]), (good,), limits)
    assert alone == ("The grade is uncertain; almost no grade can be ruled out. A reader should look at the film.",)
