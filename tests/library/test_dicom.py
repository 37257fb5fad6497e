"""DICOM films: transfer syntaxes, stored bits and transforms. Nothing of the patient leaves the header."""

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
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.film_kinds import LOSSLESS, PATIENT, PREAMBLE, dicom
from kneeoa_hub.errors import DamagedFilm, FilmError, FilmTooLarge, SeveralFrames, UnsupportedFilm
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.dicom_grays import MISSED_WINDOW, NO_WINDOW, UNKNOWN_GRAYS
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.stored_bits import CONTRADICTED

from ..support.dicom_films import knee


def test_undeclared_padding_does_not_disable_the_window():
    film = np.pad(4095 - knee(12), 70, constant_values=65535)
    read = decode(dicom(film, PhotometricInterpretation="MONOCHROME1", WindowCenter=2048, WindowWidth=4096))
    assert read.warnings == ()


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_lossless_transfer_syntax_keeps_every_bit(syntax):
    assert (decode(dicom(knee(), syntax)).pixels == knee()).all()


def stored(pixels: np.ndarray, syntax: UID, bits: int, end: int | None = None, **header: object) -> bytes:
    """A film with `stored` of 16 bits. Its compressed frame is cut off at `end`."""
    return dicom(pixels, syntax, end, BitsStored=bits, HighBit=bits - 1, **header)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless])
@pytest.mark.parametrize("bits", [12, 16])
def test_the_lossless_jpeg_of_most_radiography_machines_keeps_every_bit(syntax: UID, bits: int):
    assert (decode(stored(knee(bits), syntax, bits)).pixels == knee(bits)).all()


def test_signed_values_in_lossless_jpeg_keep_their_sign():
    signed = knee(11).astype(np.int16) - 1000
    film = stored((signed & 4095).astype(np.uint16), JPEGLosslessSV1, 12, PixelRepresentation=1)
    assert (decode(film).pixels == signed).all()


IN_CELLS = (*LOSSLESS[:-4], JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
OVERLAY = (np.indices(knee().shape).sum(0) % 7 == 0).astype(np.uint16) << 12


@pytest.mark.parametrize("syntax", IN_CELLS)
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_outside_the_stored_ones_are_not_part_of_the_film(syntax: UID, signed: int):
    """An overlay in the upper bits once changed the grade of a film from one transfer syntax to another."""
    values = knee() - np.uint16(2048) if signed else knee()
    for junk in (OVERLAY, np.uint16(0x8000), np.uint16(0xF000)):
        film = dicom(values & 4095 | junk, syntax, BitsStored=12, HighBit=11, PixelRepresentation=signed)
        assert (decode(film).pixels == knee().astype(np.float32) - 2048 * signed).all()


@pytest.mark.parametrize("syntax", IN_CELLS)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("high", [11, 12, 14, 15])
def test_the_high_bit_says_where_values_lie_in_their_cells(syntax: UID, signed: int, high: int):
    values = (knee() - np.uint16(2048) if signed else knee()) & 4095
    around = 2 ** (high - 11) - 1
    film = dicom(
        values << (high - 11) | np.uint16(around), syntax, BitsStored=12, HighBit=high, PixelRepresentation=signed
    )
    assert (decode(film).pixels == knee().astype(np.float32) - 2048 * signed).all()


def test_a_frame_of_bare_values_is_not_shifted_by_the_high_bit():
    for syntax in (JPEGLosslessSV1, JPEG2000Lossless):
        assert (decode(dicom(knee(), syntax, BitsStored=12, HighBit=15)).pixels == knee()).all()


def test_a_frame_of_16_bits_with_8_stored_is_read():
    eight = knee(8).astype(np.uint8)
    film = dicom(eight.astype(np.uint16) << 8, JPEG2000Lossless, BitsStored=8, HighBit=15)
    assert (decode(film).pixels == eight).all()


def test_lossy_values_above_the_highest_one_are_white_and_not_black():
    film = dicom(knee() | np.uint16(0x1000), JPEG2000, BitsStored=12, HighBit=11)
    assert (decode(film).pixels == 4095).all()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1])
@pytest.mark.parametrize(
    "header",
    [
        {"HighBit": 16},
        {"BitsStored": 17, "HighBit": 16},
        {"BitsStored": 12, "HighBit": 10},
        {"BitsStored": 0},
        {"BitsStored": None},
        {"BitsAllocated": 8},
    ],
)
def test_contradictory_bits_are_resolved_by_the_values(syntax: UID, header: dict[str, int | None]):
    content = dicom(knee(), syntax, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(io.BytesIO(content))
    for name, value in header.items():
        setattr(dataset, name, value)
    film = decode(written(dataset))
    assert (film.pixels == knee()).all()
    consistent = header.get("BitsStored", 12) is None or "BitsAllocated" in header
    assert (CONTRADICTED in film.warnings) != consistent


def test_a_compressed_data_set_without_a_syntax_is_an_error():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    content = dicom(noise, JPEG2000Lossless)
    assert len(content) > noise.nbytes  # so that there is enough to be taken for it
    bare = content[PREAMBLE + content[PREAMBLE:].index(b"\x08\0\x16\0") :]
    with pytest.raises(DamagedFilm):
        decode(bare)


def test_cells_of_an_unusual_size_are_an_error():
    with pytest.raises(UnsupportedFilm, match="8, 16 or 32 bits"):
        decode(dicom(knee(), BitsAllocated=12, BitsStored=12, HighBit=11))


def test_cells_of_32_bits_are_read():
    film = dicom(knee(), PixelData=(knee().astype("<u4") << 8).tobytes(), BitsAllocated=32, BitsStored=20, HighBit=19)
    assert (decode(film).pixels == knee().astype(np.float32) * 256).all()


def test_a_cell_of_8_bits_may_be_stored_as_half_of_a_word_in_big_endian():
    eight = knee(8).astype(np.uint8)
    dataset = pydicom.dcmread(io.BytesIO(dicom(eight, ExplicitVRBigEndian)))
    dataset.PixelData = eight.view("u2").byteswap().tobytes()
    dataset["PixelData"].VR = "OW"
    assert (decode(written(dataset)).pixels == eight).all()


def written(dataset: Dataset) -> bytes:
    content = io.BytesIO()
    dataset.save_as(content)
    return content.getvalue()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("signed", [0, 1])
def test_padding_that_fills_whole_cells_is_recognised_in_the_stored_bits(syntax: UID, signed: int):
    film = np.pad(knee() // 2, ((0, 0), (70, 70)), constant_values=0xF800 if signed else 0xFFFF)
    content = dicom(
        film,
        syntax,
        BitsStored=12,
        HighBit=11,
        PixelPaddingValue=-2048 if signed else 0xFFFF,
        PixelRepresentation=signed,
    )
    assert decode(content).exposed == (70, 0, film.shape[1] - 70, film.shape[0])


def test_lossy_jpeg_of_12_bits_is_read():
    assert np.abs(decode(stored(knee(), JPEGExtended12Bit, 12)).pixels - knee()).max() < 4096 / 128


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGExtended12Bit, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_a_truncated_frame_or_one_of_another_size_is_damaged(syntax: UID):
    with pytest.raises(DamagedFilm):
        decode(dicom(knee(), syntax)[:-3000] if syntax == RLELossless else stored(knee(), syntax, 12, end=-1000))
    for rows in (200, 300, 4000):
        with pytest.raises(DamagedFilm):
            decode(stored(knee(), syntax, 12, Rows=rows))


def test_a_video_is_not_read():
    uncompressed, content = b"1.2.840.10008.1.2.1\0", dicom(knee())
    assert uncompressed in content
    with pytest.raises(UnsupportedFilm, match="transfer syntax"):
        decode(content.replace(uncompressed, MPEG2MPML[:20].encode()))


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
    stored = knee()
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


def test_several_frames_colour_and_no_image_are_errors():
    with pytest.raises(SeveralFrames, match="3 frames"):
        decode(dicom(np.tile(knee(), (3, 1)), NumberOfFrames=3, Rows=knee().shape[0]))
    with pytest.raises(UnsupportedFilm, match="RGB"):
        decode(dicom(knee(8).astype(np.uint8), PhotometricInterpretation="RGB"))
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
    with pytest.raises(DamagedFilm):
        decode(dicom(gray, **about))


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
    content = io.BytesIO()
    film.save_as(content)
    assert (decode(content.getvalue()).pixels == knee(12)).all()


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
