"""DICOM films: damaged, of several frames or in colour. Nothing of the patient leaves the header."""

import io
import logging
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

from benchmarks.film_kinds import PATIENT, dicom
from kneeoa_hub.errors import DamagedFilm, FilmError, FilmTooLarge, SeveralFrames, UnsupportedFilm
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits

from ..support.dicom_films import knee, stored, written


def test_no_value_of_the_header_is_printed_or_in_a_warning():
    """By pydicom, which quotes numbers of the header where they fit its pixel data badly, and tables in colours of its
    own.
    """
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], list(range(0, 65536, 16))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    films = [
        dicom(knee(), PixelData=knee().tobytes() + bytes(5000)),
        dicom(knee(), NumberOfFrames=0),
        dicom(knee(), NumberOfFrames=None),
        dicom(knee(), VOILUTSequence=[table], RescaleSlope=1.5, RescaleIntercept=0, RescaleType="US"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for film in films:
            assert decode(film).pixels.shape == knee().shape


def test_several_frames_and_no_image_are_errors():
    with pytest.raises(SeveralFrames, match="3 frames"):
        decode(dicom(np.tile(knee(), (3, 1)), NumberOfFrames=3, Rows=knee().shape[0]))
    with pytest.raises(UnsupportedFilm, match="without an image"):
        decode(dicom(knee(), Rows=0))


@pytest.mark.parametrize("planes", [0, 1])
def test_a_gray_film_stored_as_rgb_is_read_and_a_coloured_one_is_not(grader, planes):
    gray = knee(8).astype(np.uint8)
    rgb = np.stack([gray] * 3, -1)
    about = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": planes}

    def filed(pixels: np.ndarray) -> bytes:
        return dicom(gray, PixelData=(np.moveaxis(pixels, -1, 0) if planes else pixels).tobytes(), **about)

    assert (decode(filed(rgb)).pixels == gray).all()
    rgb[0, 0, 2] ^= 1  # as rounding leaves it
    assert decode(filed(rgb)).colour < 1e-6
    rgb[:100, :, 2] //= 3
    rgb[100:, :, 0] //= 3
    assert grader.grade(filed(rgb)).refused.reason == "not-a-radiograph"
    # the pixels tell how many samples there are, whatever the header says
    assert (decode(dicom(gray, **about)).pixels == gray).all()
    assert (decode(dicom(gray, PhotometricInterpretation="YBR_FULL_422")).pixels == gray).all()
    if not planes:
        assert (decode(dicom(gray, PixelData=np.stack([gray] * 3, -1).tobytes())).pixels == gray).all()


def test_a_damaged_or_oversized_film_is_an_error_before_its_pixels_are_read():
    whole = dicom(knee())
    with pytest.raises(DamagedFilm):
        decode(whole[: len(whole) // 2])
    with pytest.raises(FilmTooLarge, match="over 1000 pixels"):
        decode(whole, Limits(max_pixels=1000))
    with pytest.raises(FilmTooLarge, match="60000x60000"):
        decode(dicom(knee(), Rows=60000, Columns=60000))


def test_a_value_against_the_standard_is_read():
    content = (
        dicom(knee(), ViewPosition="LATERAL", PatientID="SECRET")
        .replace(b"LATERAL ", b"lateral ")
        .replace(PATIENT.encode(), b"doe^\xffjan")
    )
    assert decode(content).ruled_out == "not-frontal"


def test_a_patient_name_in_any_element_reaches_no_error_warning_or_log(caplog):
    """A fault may shift the values, so each value in turn is overwritten with a name."""
    header = {
        "WindowCenter": "2048",
        "WindowWidth": "4096",
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "NumberOfFrames": "1",
        "ViewPosition": "AP",
    }
    about: dict[str, Any] = {
        "PatientBirthDate": "19500101",
        "StudyDate": "20200101",
        "StudyInstanceUID": "1.2.3.4.5.6",
        "SpecificCharacterSet": "ISO_IR 100",
    }
    content = dicom(knee(), **header, **about)
    places = [
        (element.value_tell, element.length)
        for element in pydicom.dcmread(io.BytesIO(content)).values()
        if isinstance(element, RawDataElement) and element.length < 100
    ]
    meta = content.index(b"1.2.840.10008.1.2.1")
    caplog.set_level(logging.DEBUG)
    texts = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for at, length in [*places, (meta, 20)]:
            changed = content[:at] + b"DOE^JANE^MARKER^OF^HER^OWN^WITH^ALL^NAMES"[:length] + content[at + length :]
            try:
                texts.append(str(decode(changed).warnings))
            except FilmError as error:
                texts.append(error.message)
    assert len(texts) > 20
    assert any("transfer syntax" in words for words in texts)
    assert "DOE" not in caplog.text + "".join(texts) + "".join(str(warning.message) for warning in warned)


def test_nothing_of_the_patient_leaves_the_header(grader):
    report = grader.grade(dicom(knee(), StudyDate="20200131", InstitutionName="GENERAL"), force=True)
    text = f"{report.to_dict()} {report.findings()} {report!r}"
    assert not any(secret in text for secret in (PATIENT, "12345", "20200131", "GENERAL"))


@pytest.mark.parametrize("stored_bits", [10, 11])
def test_a_frame_that_is_deeper_than_the_header_says_is_read_whole(stored_bits):
    film = pydicom.dcmread(io.BytesIO(stored(knee(12), JPEG2000Lossless, 12)))
    film.BitsStored, film.HighBit = stored_bits, stored_bits - 1
    assert (decode(written(film)).pixels == knee(12)).all()


@pytest.mark.parametrize(
    ("package", "syntax", "message"),
    [
        ("pydicom", ExplicitVRLittleEndian, "DICOM films need pydicom"),
        ("imagecodecs", JPEGLosslessSV1, "is compressed DICOM, which needs imagecodecs"),
        ("imagecodecs", ExplicitVRLittleEndian, "read"),
    ],
)
def test_a_missing_package_is_named_where_the_film_needs_it(package: str, syntax: UID, message: str, tmp_path):
    (tmp_path / "film.dcm").write_bytes(stored(knee(), syntax, 12))
    code = f"""
import sys
sys.modules[{package!r}] = None
from kneeoa_hub.errors import MissingExtra
from kneeoa_hub.imaging.decode import decode
try:
    decode(sys.argv[1])
    print("read")
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "film.dcm")], capture_output=True, text=True, check=True
    )
    assert message in done.stdout
