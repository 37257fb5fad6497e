"""The output of a locator's graph becomes boxes, and bundles without a locator find knees by a rule."""

import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub import errors, from_pretrained
from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig, parse_config, read_bundle
from kneeoa_hub.imaging import locate
from kneeoa_hub.imaging.locate import Joint, Locator, find_knees, graded_regions, joint_boxes, locator_input, peaks
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from kneeoa_hub.imaging.refusal import MESSAGES

from ..support.bundles import CONFIG as BUNDLE_CONFIG
from ..support.bundles import tiny_graph
from ..support.locators import CONFIG, graph_that_finds, with_locator
from ..support.schemas import schema


def grader_that_finds(grader, tmp_path, *joints):
    """The shipped bundle's grader with a locator that finds these joints in every film."""
    return from_pretrained(with_locator(grader.bundle.folder, tmp_path / "bundle", graph_that_finds(joints)))


def written(graph: bytes, folder: Path) -> Path:
    """The file of a locator's graph."""
    (folder / LOCATOR).write_bytes(graph)
    return folder / LOCATOR


def test_a_film_without_a_joint_is_refused_with_its_own_reason(grader, tmp_path):
    blind, film = grader_that_finds(grader, tmp_path), knee_film(2, 1).pixels
    report = blind.grade(film)
    assert report.refused
    assert (report.refused.reason, report.knees) == ("no-knee-found", ())
    assert report.refused.message == MESSAGES["no-knee-found"]
    assert [knee.box for knee in blind.grade(film, boxes=[(10, 10, 200, 200)]).knees] == [(10, 10, 200, 200)]


def test_force_grades_the_whole_film_when_no_joint_is_found(grader, tmp_path):
    report = grader_that_finds(grader, tmp_path).grade(knee_film(2, 1).pixels, force=True)
    assert report.refused
    assert report.refused.reason == "no-knee-found"
    assert [knee.box for knee in report.knees] == [(0, 0, 224, 224)]


def test_joints_become_boxes_in_film_pixels_from_left_to_right(grader, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "WINDOW", 100)  # so large that a second pass shows no more than the first
    finds = grader_that_finds(grader, tmp_path, (4, 6, 0.25), (3, 1, 0.5))
    report = finds.grade(np.tile(knee_film(2, 1, height=448, width=448).pixels, (2, 2)), force=True)
    # Places of 112 px, whose middles lie half a place further; 896 px, of which the sides are a quarter and a half.
    assert [knee.box for knee in report.knees] == [(0, 168, 392, 616), (616, 392, 840, 616)]
    assert [knee.side for knee in report.knees] == ["right", "left"]


def test_three_joints_have_no_side(grader, tmp_path):
    finds = grader_that_finds(grader, tmp_path, (4, 1, 0.25), (4, 4, 0.25), (4, 6, 0.25))
    assert [knee.side for knee in finds.grade(knee_film(2, 1, height=448, width=448).pixels, force=True).knees] == [
        None
    ] * 3


def test_a_knee_is_graded_in_the_frame_of_its_joint_also_where_it_fills_the_film(grader, tmp_path):
    finds, film = grader_that_finds(grader, tmp_path, (4, 3, 0.96)), knee_film(3, 4).pixels
    (found,) = finds.grade(film).knees
    assert found.box == (0, 18, 206, 224)  # the joint's box reaches beyond the film, and is cut to it
    (whole,) = finds.grade(film, boxes=[(0, 0, 224, 224)]).knees
    assert found.probabilities != whole.probabilities


def test_one_joint_in_a_strip_or_a_crop_is_the_whole_film_and_in_a_larger_film_it_is_not():
    strip = joint_boxes((Joint(150, 80, 152, 1),), (162, 300))
    assert strip == ((74, 4, 226, 156),)
    assert graded_regions(strip, (162, 300)) == ((0, 0, 300, 162),)
    assert graded_regions(strip, (224, 300)) == strip
    assert joint_boxes((Joint(110, 115, 215, 1),), (224, 224)) == ((0, 0, 224, 224),)
    assert joint_boxes((Joint(200, 500, 300, 1),), (1000, 400)) == ((50, 350, 350, 650),)
    assert joint_boxes((Joint(80, 80, 140, 1), Joint(230, 80, 140, 1)), (162, 300)) == (
        (10, 10, 150, 150),
        (160, 10, 300, 150),
    )


def test_no_joint_is_found_twice_and_no_more_than_four():
    heat, shape = np.zeros((8, 8), np.float32), np.zeros((8, 8, 3), np.float32)
    shape[..., 2] = np.log(0.5)
    heat[4, 2], heat[4, 4] = 0.9, 0.8  # 16 px apart, and the joint has 32
    assert [joint.x for joint in peaks(heat, shape, CONFIG)] == [20]
    shape[..., 2] = np.log(0.2)
    heat[::2, ::2] = 0.7
    assert len(peaks(heat, shape, CONFIG)) == 4
    for row, column in ((0, 0), (0, 7), (7, 0), (7, 7)):
        corner = np.zeros((8, 8), np.float32)
        corner[row, column] = 0.9
        assert [joint.score for joint in peaks(corner, shape, CONFIG)] == [pytest.approx(0.9)]
    assert peaks(np.full((8, 8), 0.4, np.float32), shape, CONFIG) == []


def test_a_joint_below_the_threshold_is_faint(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "FAINT", 0.9)
    graph = graph_that_finds([(4, 1, 0.2), (4, 6, 0.2)])  # with a heat of 1.00 and 0.99
    config = replace(CONFIG, threshold=0.995)
    finds = Locator(written(graph, tmp_path), config)
    film = knee_film(2, 1, height=448, width=448).pixels.astype(np.float32)
    assert (len(finds.find(film)), len(finds.find_faint(film))) == (1, 2)


def test_two_parts_of_one_joint_are_one_joint_after_the_second_pass(tmp_path):
    graph = graph_that_finds([(3, 2, 0.3), (3, 4, 0.3)], nearer=[(4, 3, 1.0)])
    finds = Locator(written(graph, tmp_path), CONFIG)
    film = np.zeros((1000, 1000), np.float32)
    film[950:, 950:] = 255  # far from both parts, so that the windows about them are black
    (joint,) = finds.joints(film)
    assert (joint.x, joint.y, joint.side) == pytest.approx((274.5, 475.5, 600), abs=1.5)  # as seen about the surer part


def test_a_joint_in_the_padding_beside_a_narrow_film_is_none(tmp_path):
    graph = graph_that_finds([(3, 7, 0.1), (3, 0, 0.1), (3, 3, 0.2)])
    finds = Locator(written(graph, tmp_path), CONFIG)
    (joint,) = finds.joints(np.eye(800, 100, dtype=np.float32))
    assert joint.x + joint.side / 2 > 0


@pytest.mark.parametrize("side", [0.2188, 0.2232, 0.25], ids=["less than a pixel", "two pixels", "a sixteenth"])
def test_a_joint_that_barely_touches_the_film_is_none(grader, tmp_path, monkeypatch, side):
    monkeypatch.setattr(locate, "WINDOW", 100)
    # The middle lies 98 px beside the film, and the side is a proportion of 896 px.
    blind, film = grader_that_finds(grader, tmp_path, (3, 2, side)), np.tile(knee_film(2, 1).pixels[:, 47:177], (4, 1))
    for force, boxes in ((False, []), (True, [(0, 0, 130, 896)])):
        report = blind.grade(film, force=force)
        assert report.refused
        assert (report.refused.reason, [knee.box for knee in report.knees]) == ("no-knee-found", boxes)


def test_a_joint_of_which_a_tenth_is_on_the_film_is_one(grader, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "WINDOW", 100)
    finds, film = grader_that_finds(grader, tmp_path, (3, 2, 0.28)), np.tile(knee_film(2, 1).pixels[:, 47:177], (4, 1))
    assert [knee.box for knee in finds.grade(film, force=True).knees] == [(0, 267, 27, 517)]


def test_one_side_in_the_header_is_not_given_to_two_knees(grader, tmp_path, monkeypatch):
    from kneeoa_hub import grader as module

    finds = grader_that_finds(grader, tmp_path, (4, 2, 0.25), (4, 6, 0.25))
    decode = module.decode
    monkeypatch.setattr(module, "decode", lambda *given: replace(decode(*given), side="left"))
    report = finds.grade(knee_film(2, 1, height=448, width=448).pixels, force=True)
    assert [knee.side for knee in report.knees] == [None, None]
    assert any("header says left" in warning for warning in report.warnings)


@pytest.mark.slow
def test_the_locator_sees_a_large_film_like_its_reduction():
    film = two_knee_film((1, 3), 5, height=900, width=1800)
    small = np.asarray(Image.fromarray(film.pixels).resize((384, 192), Image.Resampling.BOX))
    config = InputConfig(96, 96)
    (large, scale, offset), (same, _, there) = locator_input(film.pixels, config), locator_input(small, config)
    assert offset == there == (0, 24)
    assert scale == pytest.approx(96 / 1800)
    content = np.s_[24:72]
    assert np.corrcoef(large[content].ravel(), same[content].ravel())[0, 1] > 0.99


def test_a_bundle_without_a_locator_finds_by_rule(grader):
    assert parse_config(BUNDLE_CONFIG.to_json().encode(), "bundle.json").locator is None
    assert "locator" not in json.loads(BUNDLE_CONFIG.to_json())
    film = two_knee_film((0, 4), 5)
    assert len(find_knees(film.pixels)) == len(grader.grade(film.pixels).knees) == 2


def test_a_locator_is_part_of_the_contract(grader, tmp_path):
    folder = with_locator(grader.bundle.folder, tmp_path / "whole", graph_that_finds([(4, 4, 0.5)]))
    bundle = read_bundle(folder)
    assert bundle.config.locator == LocatorConfig(InputConfig(64, 64), 0.5)
    schema("bundle").validate(json.loads(bundle.config.to_json()))
    with pytest.raises(errors.BundleIncomplete, match=r"locator\.onnx, and manifest\.json does not list it"):
        read_bundle(with_locator(grader.bundle.folder, tmp_path / "missing", None))
    with pytest.raises(errors.BundleError, match="promises image"):
        from_pretrained(with_locator(grader.bundle.folder, tmp_path / "other", tiny_graph()))


def test_real_crops_are_graded_whole_and_real_strips_show_one_knee_or_two(grader, data):
    with zipfile.ZipFile(data / "oai_val.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::20]
        crops = [archive.read(name) for name in names]
    boxes = [[knee.box for knee in grader.grade(crop, force=True).knees] for crop in crops]
    assert len(boxes) >= 40
    nearly = [len(found) == 1 and np.ptp(np.reshape(found[0], (2, 2)), axis=0).min() > 0.9 * 224 for found in boxes]
    assert sum(nearly) >= 0.95 * len(boxes)
    with tarfile.open(data / "gornale_original_png.tar") as archive:
        names = sorted(member.name for member in archive.getmembers() if member.isfile())[::30]
        files = [file for name in names if (file := archive.extractfile(name))]
        strips = [grader.grade(file.read(), force=True) for file in files]
    right = [len(report.knees) == 1 + (report.film.shape[1] == 640) for report in strips]
    assert sum(report.film.shape[1] == 640 for report in strips) >= 3
    assert sum(right) >= 0.95 * len(right)
