"""A film of one hue, as scanners leave it on its blue base or in sepia, is gray; a picture of several hues is not."""

import io

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import knee_film

GRAY = knee_film(3, 10, height=300, width=300).pixels
TONES = {
    "blue base": lambda gray: np.stack([0.85 * gray, 0.95 * gray, gray], -1),
    "deep blue base": lambda gray: np.stack([0.5 * gray + 30, 0.55 * gray + 70, 0.4 * gray + 140], -1),
    "noise of a scanner on blue base": lambda gray: (
        np.stack([0.7 * gray + 20, 0.8 * gray + 35, 0.8 * gray + 51], -1)
        + np.random.default_rng(0).normal(0, 4, (*gray.shape, 3))
    ),
    "sepia": lambda gray: np.stack([1.35 * gray, 1.2 * gray, 0.94 * gray], -1),
}


def saved(pixels: np.ndarray, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(content, form, **options)
    return content.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("tone", TONES)
def test_a_toned_film_is_graded_like_the_gray_one(grader, tone: str, form: str):
    toned = decode(saved(TONES[tone](GRAY.astype(np.float32)), form))
    assert toned.colour < 0.01
    assert np.corrcoef(toned.pixels.ravel(), GRAY.ravel())[0, 1] > 0.99
    report, plain = grader.grade(saved(TONES[tone](GRAY.astype(np.float32)), form)), grader.grade(GRAY)
    assert [knee.grade for knee in report.knees] == [knee.grade for knee in plain.knees]


def test_two_hues_and_one_pure_colour_are_colour(grader):
    halves = np.stack([GRAY] * 3, -1).astype(np.float32)
    halves[:150, :, 0] *= 0.5
    halves[150:, :, 2] *= 0.5
    red = np.zeros((*GRAY.shape, 3))
    red[..., 0] = GRAY
    for picture in (halves, red):
        report = grader.grade(saved(picture, "PNG"))
        assert report.refused.reason == "not-a-radiograph"
