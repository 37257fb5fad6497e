"""The transforms of a DICOM film: windows, photometric interpretation, rescaling, tables and padding."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
)

from benchmarks.film_kinds import dicom
from kneeoa_hub.errors import DamagedFilm, FilmError
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.dicom_grays import MISSED_WINDOW, NO_WINDOW, UNKNOWN_GRAYS

from ..support.dicom_films import knee, written


def test_undeclared_padding_does_not_disable_the_window():
    film = np.pad(4095 - knee(12), 70, constant_values=65535)
    read = decode(dicom(film, PhotometricInterpretation="MONOCHROME1", WindowCenter=2048, WindowWidth=4096))
    assert read.warnings == ()


def test_a_window_without_width_is_ignored_with_a_warning():
    film = decode(dicom(knee(), WindowCenter=2000, WindowWidth=0))
    assert (film.pixels == knee()).all()
    assert film.warnings == (NO_WINDOW,)


@pytest.mark.parametrize(
    ("centre", "width"),
    [(-5000, 400), (40, 400), (9000, 400), ("1e400", "1e400"), (2048, "1e400"), (2048, "1e300"), ("-1e300", 1)],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_misses_the_film_is_ignored_with_a_warning(centre, width, photometric):
    stored = knee().copy()
    stored[:, :70] %= 200  # a background, of which a window of low values would show the noise
    film = decode(dicom(stored, WindowCenter=centre, WindowWidth=width, PhotometricInterpretation=photometric))
    assert film.warnings == (MISSED_WINDOW,)
    assert (film.pixels == (stored if photometric == "MONOCHROME2" else stored.max() - stored)).all()


@pytest.mark.parametrize(
    ("centre", "width"), [(2048, 4096), (1000, 1200), (3500, 1000), (2048, 100_000), ([2048, 40], [4096, 400])]
)
def test_any_other_window_is_applied(centre, width):
    film = decode(dicom(knee(), WindowCenter=centre, WindowWidth=width))
    assert film.warnings == ()
    assert not (film.pixels == knee()).all()


@pytest.mark.parametrize(
    "header",
    [
        {"RescaleSlope": "1e300"},
        {"RescaleSlope": "1e400"},
        {"RescaleSlope": "1e300", "WindowCenter": 40, "WindowWidth": 400},
    ],
)
def test_values_that_are_not_finite_are_an_error_without_a_warning(header):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DamagedFilm, match="not finite numbers"):
            decode(dicom(knee(), RescaleIntercept=5, RescaleType="US", **header))
        with pytest.raises(FilmError, match="not finite"):
            decode(knee().astype(np.float64) * 1e300)
        decode(dicom(knee(), WindowCenter="1e400", WindowWidth="1e400"))


def test_lossy_jpeg_is_read():
    eight = knee(8).astype(np.uint8)
    assert np.abs(decode(dicom(eight, JPEGBaseline8Bit)).pixels - eight).max() < 8


def test_bone_is_bright_in_either_photometric_interpretation():
    negative = 4095 - knee()
    assert (
        decode(dicom(negative, PhotometricInterpretation="MONOCHROME1")).pixels == knee() - float(knee().min())
    ).all()


@pytest.mark.parametrize("photometric", ["monochrome1", "Monochrome1 ", "MONOCHROME1"])
def test_the_photometric_interpretation_is_read_in_any_case(photometric: str):
    film = decode(negative(photometric))
    assert (film.pixels == knee() - float(knee().min())).all()
    assert film.warnings == ()


def negative(photometric: str) -> bytes:
    """A negative with a value that pydicom would not write."""
    content = dicom(4095 - knee(), PhotometricInterpretation="MONOCHROME1 ")
    assert content.count(b"MONOCHROME1 ") == 1
    return content.replace(b"MONOCHROME1 ", photometric.ljust(12).encode())


@pytest.mark.parametrize("photometric", [None, "", "GRAY", "MONOCHROME"])
def test_an_unknown_photometric_interpretation_gives_a_warning(photometric: str | None):
    dataset = pydicom.dcmread(io.BytesIO(dicom(knee())))
    if photometric is None:
        del dataset.PhotometricInterpretation
    else:
        dataset.PhotometricInterpretation = photometric
    film = decode(written(dataset))
    assert (film.pixels == knee()).all()
    assert film.warnings == (UNKNOWN_GRAYS,)


def test_an_undeclared_negative_is_graded_like_the_film_with_both_warnings(grader):
    dataset = pydicom.dcmread(io.BytesIO(dicom(4095 - knee())))
    del dataset.PhotometricInterpretation
    guessed, plain = grader.grade(written(dataset)), grader.grade(dicom(knee()))
    assert [one.grade for one in guessed.knees] == [one.grade for one in plain.knees]
    assert UNKNOWN_GRAYS in guessed.warnings
    assert any("inverted" in warning for warning in guessed.warnings)


def test_the_rescale_slope_and_the_window_are_applied():
    rescaled = decode(dicom(knee(), RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US")).pixels
    assert (rescaled == 2.0 * knee() - 1000).all()
    windowed = decode(dicom(knee(), WindowCenter=2000, WindowWidth=1000)).pixels
    assert windowed[knee() < 1500].max() == windowed.min()
    assert windowed[knee() > 2500].min() == windowed.max()
    assert windowed.max() > windowed.min()


def test_a_voi_table_is_applied():
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], list(range(0, 65536, 16))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    assert (decode(dicom(knee(), VOILUTSequence=[table])).pixels == 16.0 * knee()).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_the_darkest_part_of_the_film(photometric):
    stored = knee() // 2 + 500
    stored[:20] = 4095
    pixels = decode(dicom(stored, PixelPaddingValue=4095, PhotometricInterpretation=photometric)).pixels
    assert (pixels[:20] == pixels[20:].min()).all()
    assert pixels[20:].std() > 100
