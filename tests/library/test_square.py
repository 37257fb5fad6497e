"""A film whose pixels are not square is resampled once, and boxes and overlay fit the film as it was given."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from benchmarks.film_kinds import dicom, tiff, turned
from kneeoa_hub.errors import FilmTooSmall
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from kneeoa_hub.imaging.square import CONTRADICTION, IMPOSSIBLE, MOST_ASPECT

from ..support.dicom_films import coded

DEEP = knee_film(3, 10, height=448, width=448, bits=16).pixels
GRAY = (DEEP >> 8).astype(np.uint8)
ORIENTATION, X_RESOLUTION, Y_RESOLUTION = 274, 282, 283


def saved(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert("RGB") if form == "WEBP" else image).save(content, form, **options)
    return content.getvalue()


def exif(across: float, down: float) -> Image.Exif:
    tags = Image.Exif()
    tags[X_RESOLUTION], tags[Y_RESOLUTION] = across, down
    return tags


DPI = {"dpi": (200, 100)}
FILES = {
    "PNG, pHYs": lambda rows: saved(rows, "PNG", **DPI),
    "PNG, eXIf": lambda rows: saved(rows, "PNG", exif=exif(200, 100)),
    "JPEG, JFIF": lambda rows: saved(rows, "JPEG", quality=97, **DPI),
    "JPEG, EXIF": lambda rows: saved(rows, "JPEG", quality=97, exif=exif(2, 1)),
    "BMP": lambda rows: saved(rows, "BMP", **DPI),
    "WebP, EXIF": lambda rows: saved(rows, "WEBP", lossless=True, exif=exif(200, 100)),
    "TIFF, per inch": lambda rows: saved(rows, "TIFF", resolution_unit=2, x_resolution=200.0, y_resolution=100.0),
    "TIFF, ratio": lambda rows: saved(rows, "TIFF", resolution_unit=1, x_resolution=2.0, y_resolution=1.0),
    "TIFF, float64": lambda rows: tiff(rows.astype(np.float64), resolution=(200, 100), resolutionunit=2),
}
HEADERS = {
    "Pixel Aspect Ratio": {"PixelAspectRatio": ["2", "1"]},
    "Imager Pixel Spacing": {"ImagerPixelSpacing": ["0.2", "0.1"]},
    "Pixel Spacing": {"PixelSpacing": ["0.2", "0.1"]},
    "Nominal Scanned Pixel Spacing": {"NominalScannedPixelSpacing": ["0.2", "0.1"]},
}


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_states_that_its_pixels_are_twice_as_high_as_wide(kind: str):
    film = decode(FILES[kind](GRAY[::2]))
    assert film.pixels.shape == GRAY.shape
    assert film.scale == pytest.approx((1.0, 2.0), rel=1e-4)
    assert film.as_given.shape == GRAY[::2].shape
    assert np.abs(film.pixels - GRAY)[8:-8].mean() < 3
    assert any("not square (2.00 times" in warning for warning in film.warnings)


@pytest.mark.parametrize("kind", HEADERS)
def test_a_dicom_header_states_that_pixels_are_twice_as_high_or_wide(kind: str):
    high = decode(dicom(np.ascontiguousarray(DEEP[::2]), **HEADERS[kind]))
    assert (high.pixels.shape, high.scale) == (DEEP.shape, (1.0, 2.0))
    ((name, values),) = HEADERS[kind].items()
    wide = decode(dicom(np.ascontiguousarray(DEEP[:, ::2]), **{name: values[::-1]}))
    assert (wide.pixels.shape, wide.scale) == (DEEP.shape, (2.0, 1.0))


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_what_an_enhanced_object_says_of_its_frames_counts(groups: str):
    group, measures, anatomy = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, anatomy.AnatomicRegionSequence = ["0.2", "0.1"], coded("85562004")
    group.PixelMeasuresSequence, group.FrameAnatomySequence = [measures], [anatomy]
    film = decode(dicom(np.ascontiguousarray(DEEP[::2]), **{groups: [group]}))
    assert (film.scale, film.ruled_out) == ((1.0, 2.0), "other-body-part")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_the_stored_axes_keep_their_resolution_where_the_film_is_turned_upright(form: str, orientation: int):
    stored = turned(DEEP if form == "TIFF" else GRAY, orientation)[::2]
    if form == "TIFF":
        tags: dict[str, Any] = {"tiffinfo": {ORIENTATION: orientation, X_RESOLUTION: 200.0, Y_RESOLUTION: 100.0}}
    else:
        about = exif(200, 100)
        about[ORIENTATION] = orientation
        tags = {"exif": about}
    film = decode(saved(np.ascontiguousarray(stored), form, **tags))
    assert film.pixels.shape == GRAY.shape
    assert film.scale == ((2.0, 1.0) if orientation in (6, 8) else (1.0, 2.0))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"PixelSpacing": ["0.143", "0.1436"]},
        {"PixelAspectRatio": ["1", "1"]},
        {"ImagerPixelSpacing": ["0", "0"]},
        {"PixelAspectRatio": ["0", "1"]},
        {"PixelSpacing": None},
    ],
)
def test_other_films_are_left_as_they_are(header: dict[str, Any]):
    film = decode(dicom(DEEP, **header))
    assert (film.pixels == DEEP).all()
    assert (film.scale, film.given, film.warnings) == ((1.0, 1.0), None, ())


def test_an_impossible_shape_and_a_contradiction_give_a_warning():
    far = decode(dicom(DEEP, PixelAspectRatio=[str(int(2 * MOST_ASPECT)), "1"]))
    assert (far.pixels.shape, far.warnings) == (DEEP.shape, (IMPOSSIBLE,))
    rows = np.ascontiguousarray(DEEP[::2])
    both = decode(dicom(rows, PixelSpacing=["0.2", "0.1"], PixelAspectRatio=["1", "1"]))
    assert both.pixels.shape == DEEP.shape
    assert CONTRADICTION in both.warnings


def test_a_film_is_large_enough_by_its_square_pixels():
    low = np.ascontiguousarray(DEEP[::2][:112])
    aspect = {"PixelAspectRatio": ["2", "1"]}
    assert decode(dicom(low, **aspect)).pixels.shape == (224, DEEP.shape[1])
    with pytest.raises(FilmTooSmall, match="x50 px"):
        decode(dicom(np.ascontiguousarray(low[:50]), **aspect))


@pytest.mark.parametrize("second", [HEADERS["Imager Pixel Spacing"], HEADERS["Pixel Aspect Ratio"]])
def test_a_square_statement_before_another_one_counts_as_a_placeholder(second: dict[str, Any]):
    film = decode(dicom(np.ascontiguousarray(DEEP[::2]), PixelSpacing=["1", "1"], **second))
    assert (film.pixels.shape, film.scale) == (DEEP.shape, (1.0, 2.0))
    assert CONTRADICTION in film.warnings


def test_the_limit_on_pixels_holds_for_the_resampled_film():
    rows = GRAY[::2]
    film = decode(saved(rows, "PNG", **DPI), Limits(max_pixels=round(1.5 * rows.size)))
    assert film.pixels.size <= 1.51 * rows.size
    height, width = film.pixels.shape
    assert height == pytest.approx(width, rel=0.01)


def test_grades_boxes_and_overlay_are_those_of_the_film_as_it_was_given(grader):
    square = two_knee_film((2, 3), 4, height=400, width=800, bits=16).pixels
    pressed = np.ascontiguousarray(square[::2])
    content = dicom(pressed, PixelAspectRatio=["2", "1"], PatientOrientation=["L", "F"])
    wanted, report = grader.grade(square), grader.grade(content)
    assert [knee.side for knee in report.knees] == ["right", "left"]
    for knee, other in zip(report.knees, wanted.knees, strict=True):
        assert knee.grade == other.grade
        assert (
            np.abs(
                np.subtract(knee.box, [edge / scale for edge, scale in zip(other.box, (1, 2, 1, 2), strict=True)])
            ).max()
            <= 4
        )
    assert report.film.shape == pressed.shape
    assert report.overlay().size == pressed.shape[::-1]
    assert report.to_dict()["film"] == {"width": 800, "height": 200, "quality": None}
    boxes = [knee.box for knee in report.knees]
    assert [knee.box for knee in grader.grade(content, boxes=boxes, force=True).knees] == boxes
