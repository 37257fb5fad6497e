"""DICOM films keep the values of their stored bits in every transfer syntax."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.film_kinds import LOSSLESS, PREAMBLE, dicom
from benchmarks.odd_films import framed
from kneeoa_hub.errors import DamagedFilm, UnsupportedFilm
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.stored_bits import CONTRADICTED

from ..support.dicom_films import knee, stored, written


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_lossless_transfer_syntax_keeps_every_bit(syntax):
    assert (decode(dicom(knee(), syntax)).pixels == knee()).all()


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


def test_a_compressed_data_set_without_a_syntax_is_read_by_its_frame():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    content = dicom(noise, JPEG2000Lossless)
    assert len(content) > noise.nbytes  # so that there is enough to be taken for it
    bare = content[PREAMBLE + content[PREAMBLE:].index(b"\x08\0\x16\0") :]
    assert (decode(bare).pixels == noise).all()


@pytest.mark.parametrize("allocated", [12, 24, 64])
def test_cells_of_a_size_that_the_header_gives_wrongly_are_counted(allocated: int):
    header = {"BitsAllocated": allocated, "BitsStored": 12, "HighBit": 11}
    assert (decode(dicom(knee(), **header)).pixels == knee()).all()
    packed = knee().tobytes()[: knee().nbytes * 3 // 4]
    with pytest.raises(UnsupportedFilm, match="8, 16 or 32 bits"):
        decode(dicom(knee(), PixelData=packed, **header))


@pytest.mark.parametrize(("bits", "allocated", "stored"), [(8, 16, 12), (8, 16, 8), (12, 32, 32), (12, 32, 12)])
def test_cells_that_are_smaller_than_the_header_says_are_read(bits: int, allocated: int, stored: int):
    pixels = knee(bits).astype("u1" if bits == 8 else "u2")
    film = decode(dicom(pixels, BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1))
    assert (film.pixels == pixels).all()
    assert (CONTRADICTED in film.warnings) == (stored > 8 * pixels.itemsize)


def test_cells_of_32_bits_are_read():
    film = dicom(knee(), PixelData=(knee().astype("<u4") << 8).tobytes(), BitsAllocated=32, BitsStored=20, HighBit=19)
    assert (decode(film).pixels == knee().astype(np.float32) * 256).all()


def test_a_cell_of_8_bits_may_be_stored_as_half_of_a_word_in_big_endian():
    eight = knee(8).astype(np.uint8)
    dataset = pydicom.dcmread(io.BytesIO(dicom(eight, ExplicitVRBigEndian)))
    dataset.PixelData = eight.view("u2").byteswap().tobytes()
    dataset["PixelData"].VR = "OW"
    assert (decode(written(dataset)).pixels == eight).all()


@pytest.fixture(scope="module")
def deep() -> np.ndarray:
    """A film of 448 px whose values take all 16 bits: neighbours differ by more than the few bits of a header hold."""
    pixels = knee_film(3, 10, height=448, width=448, bits=16).pixels.astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 150, pixels.shape)
    return np.clip(np.rint(pixels / pixels.max() * 65000 + noise), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("said", [8, 9, 10, 11, 12, 15])
@pytest.mark.parametrize(("signed", "said_signed"), [(0, 0), (1, 1), (0, 1), (1, 0)])
def test_deep_values_do_not_wrap_by_a_header_that_says_few_bits(
    deep: np.ndarray, said: int, signed: int, said_signed: int
):
    values = deep.astype(np.float32) - 32768 * signed
    film = decode(
        dicom(values.astype("i4").astype("u2"), BitsStored=said, HighBit=said - 1, PixelRepresentation=said_signed)
    )
    assert (film.pixels == values).all()
    assert CONTRADICTED in film.warnings


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("signed", [0, 1])
def test_the_bits_of_a_right_header_are_not_overruled(deep: np.ndarray, bits: int, signed: int):
    values = (deep >> (16 - bits)).astype(np.float32) - 2 ** (bits - 1) * signed
    down, across = np.indices(deep.shape)
    for junk in (0, (down + across) % 7 == 0, across > 200, np.random.default_rng(1).random(deep.shape) < 0.3):
        cells = values.astype("i4") & 2**bits - 1 | junk * np.int32(2**bits)
        film = decode(dicom(cells.astype("u2"), BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed))
        assert (film.pixels == values).all()
        assert not film.warnings


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


@pytest.mark.parametrize(
    ("syntax", "named"),
    [
        (MPEG2MPML, "the transfer syntax MPEG2 Main Profile / Main Level, which is not read"),
        (UID("1.2.840.10008.1.2.4.110"), "the transfer syntax JPEG XL Lossless, which is not read"),
        (UID("1.2.3"), "a transfer syntax that is not read"),
    ],
)
def test_a_syntax_that_is_not_read_is_named(syntax: UID, named: str):
    content, rle = framed(knee(), b"frame", RLELossless), RLELossless.encode() + b"\0"
    assert rle in content
    head = content.index(rle) - 2
    length = (len(syntax) + 1) // 2 * 2
    film = content[:head] + length.to_bytes(2, "little") + syntax.encode().ljust(length, b"\0")
    group = film.index(b"\x02\0\0\0UL\x04\0") + 8  # the length of the meta information
    grown = int.from_bytes(film[group : group + 4], "little") + length - len(rle)
    film = film[:group] + grown.to_bytes(4, "little") + film[group + 4 :] + content[head + 2 + len(rle) :]
    with pytest.raises(UnsupportedFilm, match=named):
        decode(film)
