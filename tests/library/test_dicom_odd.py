"""DICOM films as archives hold them against the standard: each gives its values, with a warning where one is due."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from imagecodecs import htj2k_encode, jpeg2k_encode, jpeg8_encode, jpegls_encode
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from benchmarks.film_kinds import dicom
from benchmarks.odd_films import framed
from kneeoa_hub.errors import DamagedFilm, FilmError, FilmTooLarge, UnsupportedFilm
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.deflated import PIECE_BYTES
from kneeoa_hub.imaging.dicom_grays import NO_RESCALE, NO_WINDOW
from kneeoa_hub.imaging.dicom_header import FILM_CLASSES
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.sizes import is_large
from kneeoa_hub.imaging.stored_bits import CONTRADICTED

from ..support.dicom_films import changed, knee, written

TWELVE = knee(12)
EIGHT = knee(8).astype(np.uint8)
BITS = {"BitsStored": 12, "HighBit": 11}


def without(*names: str, **header: object) -> bytes:
    """A film of 12 bits whose header lacks elements."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(TWELVE, **BITS, **header)))
    for name in names:
        delattr(dataset, name)
    return written(dataset)


# Bits, weighed against the values


def signed(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.int32) - 2048).astype(np.int16).view(np.uint16)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless])
@pytest.mark.parametrize(
    ("cells", "header", "wanted"),
    [
        (TWELVE, {"BitsStored": 11, "HighBit": 10}, TWELVE),
        (TWELVE, {"BitsStored": 10, "HighBit": 9}, TWELVE),
        (TWELVE, {"BitsStored": 12, "HighBit": 15}, TWELVE),
        (TWELVE, {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}, TWELVE),
        (knee(16), {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1}, knee(16)),
        (signed(TWELVE), {"BitsStored": 12, "HighBit": 11}, TWELVE.astype(np.int32) - 2048),
        (signed(TWELVE), {"BitsStored": 16, "HighBit": 15}, TWELVE.astype(np.int32) - 2048),
        (EIGHT, {"PixelRepresentation": 1}, EIGHT),
        (TWELVE, {"BitsStored": 4, "HighBit": 3}, TWELVE),
        (TWELVE, {"BitsStored": 0, "HighBit": 0}, TWELVE),
    ],
    ids=[
        *("11 of 12", "10 of 12", "high bit 15", "sign", "sign of 16", "no sign", "no sign of 16", "sign of 8"),
        *("4 of 12", "none"),
    ],
)
def test_bits_that_do_not_fit_the_values_are_corrected_with_a_warning(syntax, cells, header, wanted):
    film = decode(dicom(cells, syntax, **header))
    # Where nothing says at which value the film begins, its grays are right up to a constant.
    assert np.ptp(film.pixels - wanted.astype(np.float32)) == 0
    if not (syntax == JPEGLSLossless and header.get("HighBit") == 15 and header["BitsStored"] == 12):
        assert CONTRADICTED in film.warnings


@pytest.mark.parametrize("value", [4095, 65535])
def test_a_white_marker_and_black_shutters_do_not_make_a_film_signed(value: int):
    film = TWELVE // 2
    film[5:40, 5:60], film[:, -20:] = value, 0
    read = decode(dicom(film, BitsStored=16 if value > 4095 else 12, HighBit=15 if value > 4095 else 11))
    assert (read.pixels == film).all()
    assert read.warnings == ()


@pytest.mark.parametrize(
    "missing", ["PixelRepresentation", "HighBit", "BitsStored", "BitsAllocated", "SamplesPerPixel"]
)
def test_a_missing_element_of_the_pixels_is_filled_in(missing: str):
    names = ("HighBit", missing) if missing == "BitsStored" else (missing,)
    film = decode(without(*names))
    assert (film.pixels == TWELVE).all()


def test_a_missing_sign_is_inferred_from_the_values():
    dataset = pydicom.dcmread(io.BytesIO(dicom(signed(TWELVE), **BITS)))
    del dataset.PixelRepresentation
    assert (decode(written(dataset)).pixels == TWELVE.astype(np.float32) - 2048).all()


# Rescaling and tables


@pytest.mark.parametrize(
    ("slope", "intercept", "wanted"),
    [
        (b"", b"", TWELVE),
        (b"1 ", b"", TWELVE),
        (b"", b"-100", TWELVE.astype(np.float32) - 100),
        (b"2,0 ", b"0 ", 2.0 * TWELVE),
        (b"0,5 ", b"-1,5", 0.5 * TWELVE - 1.5),
        (b"1.5\\", b"", 1.5 * TWELVE),
        (b"\0 ", b"0 ", TWELVE),
    ],
)
def test_rescaling_that_is_empty_or_has_a_decimal_comma_is_applied(slope: bytes, intercept: bytes, wanted):
    content = dicom(TWELVE, RescaleSlope="9", RescaleIntercept="9", **BITS)
    content = changed(changed(content, "RescaleSlope", b"DS", slope), "RescaleIntercept", b"DS", intercept)
    film = decode(content)
    assert (film.pixels == np.asarray(wanted, np.float32)).all()
    assert film.warnings == ()


@pytest.mark.parametrize("slope", [b"one ", b"0 "])
def test_rescaling_that_cannot_be_applied_is_left_out_with_a_warning(slope: bytes):
    content = changed(dicom(TWELVE, RescaleSlope="9", RescaleIntercept="0", **BITS), "RescaleSlope", b"DS", slope)
    film = decode(content)
    assert (film.pixels == TWELVE).all()
    assert film.warnings == (NO_RESCALE,)


def test_a_window_with_decimal_commas_is_applied_and_a_negative_slope_keeps_its_direction():
    content = dicom(TWELVE, WindowCenter="9", WindowWidth="9", **BITS)
    content = changed(changed(content, "WindowCenter", b"DS", b"2047,5"), "WindowWidth", b"DS", b"1000,0")
    windowed = decode(content)
    assert windowed.warnings == ()
    assert (np.diff(windowed.pixels.ravel()[np.argsort(TWELVE, axis=None)]) >= 0).all()
    turned = decode(dicom(TWELVE, RescaleSlope=-1, RescaleIntercept=0, WindowCenter=-2048, WindowWidth=4096, **BITS))
    assert np.corrcoef(turned.pixels.ravel(), TWELVE.ravel())[0, 1] < -0.99


def table(entries: np.ndarray, descriptor: list[int] | None, words: bool = True) -> Dataset:
    item = Dataset()
    if descriptor:
        item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "OW", entries.astype("<u2" if words else np.uint8).tobytes())
    return item


TWICE = np.minimum(2 * np.arange(4096), 4095)


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (table(TWICE, [4096, 0, 12]), TWICE[TWELVE]),
        (table(TWICE * 3, [4096, 0, 14]), 3 * TWICE[TWELVE]),
        (table(TWICE, None), TWICE[TWELVE]),
        (table(np.arange(256), [256, 0, 8], words=False), np.minimum(TWELVE, 255)),
        (table(TWICE[100:], [3996, 100, 12]), TWICE[np.maximum(TWELVE, 100)]),
    ],
    ids=["12 bits", "14 bits", "no descriptor", "8 bits in bytes", "from 100"],
)
def test_a_modality_table_is_applied(item: Dataset, wanted: np.ndarray):
    film = decode(dicom(TWELVE, ModalityLUTSequence=[item], **BITS))
    assert (film.pixels == wanted).all()
    assert film.warnings == ()


@pytest.mark.parametrize(
    "item",
    [table(TWICE[:100], [4096, 0, 12]), table(TWICE[:100], None), table(TWICE, [4096, 0]), Dataset()],
    ids=["cut off", "no descriptor and cut off", "short descriptor", "empty"],
)
def test_a_table_that_cannot_be_applied_is_left_out_with_a_warning(item: Dataset):
    for sequence, warning in (("ModalityLUTSequence", NO_RESCALE), ("VOILUTSequence", NO_WINDOW)):
        film = decode(dicom(TWELVE, **{sequence: [item]}, **BITS))
        assert (film.pixels == TWELVE).all()
        assert film.warnings == (warning,)


# Bytes behind a frame, and syntaxes

FRAMES = {
    JPEGBaseline8Bit: lambda: jpeg8_encode(EIGHT, level=97),
    JPEGLosslessSV1: lambda: jpeg8_encode(EIGHT, lossless=True),
    JPEGLSLossless: lambda: jpegls_encode(EIGHT),
    JPEG2000Lossless: lambda: jpeg2k_encode(EIGHT, codecformat="J2K", reversible=True, level=0),
    HTJ2KLossless: lambda: htj2k_encode(EIGHT),
}


@pytest.mark.parametrize("tail", [b"", b"\0", b" ", b"\0 ", b"\r\n", b"LEAD  " * 9, b"\xff\xff\xff", b"a\xff\xd9b"])
@pytest.mark.parametrize("syntax", FRAMES)
def test_bytes_behind_a_frame_are_left_out(syntax, tail: bytes):
    frame = FRAMES[syntax]()
    film = decode(framed(EIGHT, frame + tail, syntax))
    assert np.abs(film.pixels - EIGHT).max() <= (6 if syntax == JPEGBaseline8Bit else 0)
    with pytest.raises(DamagedFilm):
        decode(framed(EIGHT, frame[: len(frame) // 2] + tail.replace(b"\xff\xd9", b""), syntax))


def rle_frame() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(dicom(EIGHT, RLELossless)))
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


@pytest.mark.parametrize("said", [*FRAMES, RLELossless, ExplicitVRLittleEndian])
@pytest.mark.parametrize("syntax", [*FRAMES, RLELossless])
def test_a_frame_tells_its_own_syntax_where_the_header_names_another(syntax, said):
    frame = FRAMES[syntax]() if syntax in FRAMES else rle_frame()
    pixels = decode(framed(EIGHT, frame, said)).pixels
    assert np.abs(pixels - EIGHT).max() <= (6 if syntax == JPEGBaseline8Bit else 0)


@pytest.mark.parametrize("said", [RLELossless, ExplicitVRLittleEndian])
@pytest.mark.parametrize("pixel_data", [EIGHT.tobytes(), bytes(FRAMES[JPEG2000Lossless]())], ids=["cells", "frame"])
def test_pixel_data_without_the_items_of_a_frame_are_read(said, pixel_data: bytes):
    content = dicom(EIGHT, ExplicitVRLittleEndian, PixelData=pixel_data + bytes(len(pixel_data) % 2))
    film = decode(content.replace(ExplicitVRLittleEndian.encode() + b"\0", said.encode() + b"\0", 1))
    assert (film.pixels == EIGHT).all()


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_high_throughput_jpeg_2000_is_read(syntax, bits: int):
    values = knee(bits).astype(np.uint8 if bits == 8 else np.uint16)
    film = decode(framed(values, htj2k_encode(values), syntax, BitsStored=bits, HighBit=bits - 1))
    assert (film.pixels == values).all()


def deflated(**header: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(dicom(TWELVE, **BITS, **header)))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return written(dataset)


def test_a_deflated_film_is_read_up_to_a_bound_and_a_text_of_its_uid_means_nothing():
    film = decode(deflated(ImageLaterality="L"))
    assert (film.pixels == TWELVE).all()
    assert film.side == "left"
    assert is_large(deflated())
    assert (decode(dicom(TWELVE, StudyDescription="1.2.840.10008.1.2.1.99")).pixels == TWELVE).all()
    with pytest.raises(FilmTooLarge, match="inflated"):
        decode(deflated(PixelData=bytes(5 * 2**20)), Limits(max_pixels=1000))
    with pytest.raises(FilmError):
        decode(deflated()[:-2000])


@pytest.mark.parametrize("behind", [b"", b"\0", bytes(7)])
def test_bytes_behind_the_end_of_a_deflated_film_are_left_out(behind: bytes):
    film = deflated(PixelData=bytes(2 * PIECE_BYTES)).rstrip(b"\0") + behind
    assert decode(film).pixels.shape == TWELVE.shape
    assert read_identity(film).sop_class == FILM_CLASSES[1]


# Gray films in three channels


def in_colour(pixels: np.ndarray, photometric: str, **header: Any) -> bytes:
    return dicom(
        EIGHT, PixelData=pixels.tobytes(), PhotometricInterpretation=photometric, SamplesPerPixel=3,
        PlanarConfiguration=0, **header,
    )  # fmt: skip


def compressed(photometric: str, syntax: UID, frame: bytes | bytearray) -> bytes:
    return framed(EIGHT, frame, syntax, PhotometricInterpretation=photometric, SamplesPerPixel=3, PlanarConfiguration=0)


def rle() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(in_colour(RGB, "RGB")))
    dataset.compress(RLELossless, generate_instance_uid=False)
    return written(dataset)


def palette(entries: np.ndarray) -> bytes:
    tables: dict[str, Any] = {}
    for colour, values in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{colour}PaletteColorLookupTableData"] = values.astype("<u2").tobytes()
    return dicom(EIGHT, PhotometricInterpretation="PALETTE COLOR", **tables)


def in_segments(segments: list[int], bits: int = 16) -> bytes:
    """Return the film with a palette of 256 entries that is stored in segments (PS3.3 C.7.9.2)."""
    tables: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        data = np.array(segments, "<u2" if bits > 8 else "u1").tobytes()
        tables[f"Segmented{colour}PaletteColorLookupTableData"] = data + bytes(len(data) % 2)
    return dicom(EIGHT, PhotometricInterpretation="PALETTE COLOR", **tables)


RGB = np.stack([EIGHT] * 3, -1)
YBR = np.stack([EIGHT, np.full_like(EIGHT, 128), np.full_like(EIGHT, 128)], -1)
PAIRS = np.concatenate([EIGHT.reshape(-1, 2), np.full((EIGHT.size // 2, 2), 128, np.uint8)], 1)
LEVELS = np.arange(256)[:, None] * 257
SEGMENTS = [0, 2, 0, 257, 2, 1, 22, 0, 1, 253, 65535, 0, 1, 514]
"""What `LEVELS` holds: two entries, one that stands at byte 22, and a line."""
BYTES = [0, 2, 0, 1, 1, 254, 255]
THREE = {
    "RGB": lambda: in_colour(RGB, "RGB"),
    "YBR_FULL": lambda: in_colour(YBR, "YBR_FULL"),
    "YBR named RGB": lambda: in_colour(YBR, "RGB"),
    "RGB named YBR": lambda: in_colour(RGB, "YBR_FULL"),
    "YBR_FULL_422": lambda: in_colour(PAIRS, "YBR_FULL_422"),
    "RGB, RLE": rle,
    "RGB, JPEG-LS": lambda: compressed("RGB", JPEGLSLossless, jpegls_encode(RGB)),
    "RGB, JPEG 2000": lambda: compressed("YBR_RCT", JPEG2000Lossless, FRAMES_OF_RGB()),
    "RGB, lossless JPEG": lambda: compressed("RGB", JPEGLosslessSV1, jpeg8_encode(RGB, lossless=True)),
    "palette": lambda: palette(np.repeat(LEVELS, 3, 1)),
    "palette in segments": lambda: in_segments(SEGMENTS),
    "palette in segments of 8 bits": lambda: in_segments(BYTES, 8),
}
NEARLY = {
    "YBR_FULL_422, JPEG": lambda: compressed("YBR_FULL_422", JPEGBaseline8Bit, jpeg8_encode(RGB, level=97)),
    "JPEG named MONOCHROME2": lambda: framed(EIGHT, jpeg8_encode(RGB, level=97), JPEGBaseline8Bit),
    "JPEG named RGB": lambda: compressed("RGB", JPEGBaseline8Bit, jpeg8_encode(RGB, level=97)),
}


def FRAMES_OF_RGB() -> bytes | bytearray:
    return jpeg2k_encode(RGB, codecformat="J2K", reversible=True, level=0, mct=True)


@pytest.mark.parametrize("kind", [*THREE, *NEARLY])
def test_a_gray_film_in_three_channels_is_read_by_its_pixels(kind: str):
    film = decode((THREE | NEARLY)[kind]())
    assert film.colour < 0.01
    scale = 257 if kind in ("palette", "palette in segments") else 1
    assert np.abs(film.pixels / scale - EIGHT).max() <= (6 if kind in NEARLY else 0)


def test_a_toned_film_is_gray_and_a_picture_of_several_hues_is_colour(grader):
    blue = np.rint(EIGHT[..., None] * [0.85, 0.95, 1.0]).astype(np.uint8)
    assert decode(in_colour(blue, "RGB")).colour < 0.01
    assert decode(palette(LEVELS * [0.85, 0.95, 1.0])).colour < 0.01
    rainbow = np.stack([LEVELS[step * np.arange(256) % 256, 0] for step in (3, 7, 11)], -1)
    assert grader.grade(palette(rainbow)).refused.reason == "not-a-radiograph"


def test_a_palette_that_is_cut_off_and_two_channels_are_errors():
    dataset = pydicom.dcmread(io.BytesIO(palette(np.repeat(LEVELS, 3, 1))))
    dataset.BluePaletteColorLookupTableData = bytes(10)
    for film in (written(dataset), *map(in_segments, ([0, 9, 1], [0, 0], [1, 9, 1], [7, 1, 1], [2, 65535, 0, 0] * 9))):
        with pytest.raises(DamagedFilm, match="palette is missing or not complete; export it again"):
            decode(film)
    with pytest.raises(UnsupportedFilm, match="colour"):
        decode(dicom(EIGHT, SamplesPerPixel=2))


def test_a_dicomdir_says_what_it_is():
    dataset = pydicom.dcmread(io.BytesIO(dicom(TWELVE)))
    for name in ("PixelData", "Rows", "Columns"):
        delattr(dataset, name)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MediaStorageDirectoryStorage
    with pytest.raises(UnsupportedFilm, match="DICOMDIR, the list of the films"):
        decode(written(dataset))
