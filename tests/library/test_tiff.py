"""A TIFF film gives its values with any type, packing and byte order, and with previews in the same file."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from imagecodecs import jpeg8_encode
from PIL import Image

from benchmarks.film_kinds import tiff
from benchmarks.odd_films import DEFLATE, UNCOMPRESSED, packed_tiff
from kneeoa_hub.errors import DamagedFilm, FilmTooLarge, SeveralFrames, UnsupportedFilm
from kneeoa_hub.imaging.bounds.jpeg import segments
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.phantom import knee_film

RAMP = np.arange(160 * 200, dtype=np.uint16).reshape(160, 200) * 2
VALUES = {
    "int8": (RAMP >> 8).astype(np.uint8).view(np.int8),
    "int16": (RAMP.astype(np.int32) - 32768).astype(np.int16),
    "int32": ((RAMP.astype(np.int64) << 16) - 2**31).astype(np.int32),
    "uint32": RAMP.astype(np.uint32) << 16,
    "int64": (RAMP.astype(np.int64) << 46) - 2**61,
    "uint64": RAMP.astype(np.uint64) << 48,
    "float16": (RAMP / 65535).astype(np.float16),
    "float32": RAMP.astype(np.float32) - 0.25,
    "float64": RAMP.astype(np.float64) / 3,
}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", VALUES)
def test_values_of_every_type_are_kept(kind: str, order: str, compression: str | None):
    content = tiff(VALUES[kind], byteorder=order, compression=compression)
    assert (decode(content).pixels == VALUES[kind].astype(np.float32)).all()


@pytest.mark.parametrize("compression", [UNCOMPRESSED, DEFLATE])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_values_packed_into_bits_are_kept(bits: int, order: str, compression: int):
    values = RAMP >> (16 - bits)
    assert (decode(packed_tiff(values, bits, order, compression)).pixels == values).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stored", [RAMP, *VALUES.values()], ids=["uint16", *VALUES])
def test_a_negative_of_any_type_is_inverted(stored: np.ndarray, order: str):
    values = stored.astype(np.float32)
    film = decode(tiff(stored, photometric="miniswhite", byteorder=order))
    assert (film.pixels == values.max() - values).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_brightness_with_colour_differences_is_read_without_jpeg(compression: str | None):
    gray, content = (RAMP >> 8).astype(np.uint8), io.BytesIO()
    ycbcr = Image.merge("YCbCr", [Image.fromarray(gray), *[Image.new("L", gray.shape[::-1], 128)] * 2])
    ycbcr.save(content, "TIFF", compression=compression)
    assert (decode(content.getvalue()).pixels == gray).all()


def test_lerc_and_webp_are_read_and_a_compression_that_libtiff_lacks_is_named():
    assert (decode(tiff(RAMP, compression="lerc")).pixels == RAMP).all()
    gray = np.stack([(RAMP >> 8).astype(np.uint8)] * 3, axis=-1)
    webp = tiff(gray, photometric="rgb", compression="webp", compressionargs={"lossless": True})
    assert (decode(webp).pixels == gray[..., 0]).all()
    for compression, named in (("jpegxl", "JPEG XL"), ("jpegxr", "JPEG XR")):
        with pytest.raises(UnsupportedFilm, match=f"compressed with {named}, which is not read"):
            decode(tiff(RAMP, compression=compression))


GRAY8 = (RAMP >> 8).astype(np.uint8)
RGB = np.stack([GRAY8] * 3, axis=-1)
SPLIT = ({}, {"rowsperstrip": 50}, {"tile": (64, 48)})
"""One strip, strips of which the last has fewer rows, and tiles that reach beyond the film."""


@pytest.mark.parametrize("split", SPLIT, ids=["whole", "strips", "tiles"])
@pytest.mark.parametrize("compression", ["png", "jpeg2000"])
def test_strips_and_tiles_that_are_pictures_by_themselves_are_read(compression: str, split: dict[str, Any]):
    form: dict[str, Any] = {"compression": compression, "compressionargs": {"level": 0}, **split}
    assert (decode(tiff(RAMP, **form)).pixels == RAMP).all()
    assert (decode(tiff(GRAY8, **form)).pixels == GRAY8).all()
    assert (decode(tiff(RAMP, photometric="miniswhite", **form)).pixels == RAMP.max() - RAMP.astype(np.float32)).all()
    in_colour = [
        tiff(RGB, photometric="rgb", **form),
        tiff(np.moveaxis(RGB, -1, 0).copy(), photometric="rgb", planarconfig="separate", **form),
    ]
    for film in map(decode, in_colour):
        assert (film.pixels == GRAY8).all()
        assert film.colour == 0


def test_jpeg_2000_in_tiff_has_any_bits_up_to_16_and_the_codes_of_slide_scanners():
    form: dict[str, Any] = {"compression": "jpeg2000", "compressionargs": {"level": 0}}
    assert (decode(tiff(VALUES["int16"], **form)).pixels == VALUES["int16"]).all()
    twelve = tiff(RAMP >> 4, compression="jpeg2000", compressionargs={"level": 0, "bitspersample": 12})
    assert (decode(twelve).pixels == RAMP >> 4).all()
    ybr = np.stack([GRAY8, np.full_like(GRAY8, 128), np.full_like(GRAY8, 128)], axis=-1)
    for code, stored in ((33003, ybr), (33004, RGB), (33005, RGB)):
        content = tiff(stored, photometric="rgb", compression=code, compressionargs={"level": 0, "mct": False})
        film = decode(content)
        assert (film.pixels == GRAY8).all()
        assert film.colour == 0
    with pytest.raises(UnsupportedFilm, match="JPEG 2000 or PNG with 1 channels of 32 bits"):
        decode(tiff(VALUES["uint32"], **form))


@pytest.mark.parametrize("split", SPLIT, ids=["whole", "strips", "tiles"])
def test_jpeg_of_more_than_8_bits_in_tiff_is_read(split: dict[str, Any]):
    twelve = RAMP >> 4
    lossless = decode(tiff(twelve, compression="jpeg", compressionargs={"lossless": True}, **split))
    assert (lossless.pixels == twelve).all()
    assert lossless.quality is None
    lossy = decode(tiff(twelve, compression="jpeg", compressionargs={"level": 90}, **split))
    assert np.abs(lossy.pixels - twelve).max() < 64
    assert lossy.quality


def test_strips_of_deep_jpeg_may_share_their_tables():
    twelve, file = RAMP >> 4, io.BytesIO()
    jpeg = bytes(jpeg8_encode(twelve, level=90, bitspersample=12))
    tables = b"".join(
        b"\xff" + bytes([marker]) + (len(payload) + 2).to_bytes(2) + payload
        for marker, payload in segments(jpeg)
        if marker == 0xDB
    )
    assert tables in jpeg
    whole = {"shape": twelve.shape, "dtype": np.uint16, "bitspersample": 12, "rowsperstrip": len(twelve)}
    with tifffile.TiffWriter(file) as writer:
        shared = b"\xff\xd8" + tables + b"\xff\xd9"
        writer.write(iter([jpeg.replace(tables, b"")]), compression="jpeg", jpegtables=shared, **whole)
    film = decode(file.getvalue())
    assert (film.pixels == decode(tiff(twelve, compression="jpeg", compressionargs={"level": 90})).pixels).all()
    assert film.quality


@pytest.mark.parametrize("compression", ["png", "jpeg2000"])
def test_strips_that_are_empty_or_of_another_size_are_damage(compression: str):
    content = tiff(RAMP, compression=compression, rowsperstrip=50)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        at, length = page.dataoffsets[2], page.databytecounts[2]
        rows = page.tags["RowsPerStrip"].valueoffset
    for faulty in (
        content[:at] + bytes(length) + content[at + length :],
        content[:rows] + bytes([40]) + content[rows + 1 :],
        content[:rows] + bytes([60]) + content[rows + 1 :],
    ):
        with pytest.raises(DamagedFilm):
            decode(faulty)


def test_a_big_tiff_in_either_byte_order_is_read():
    for order in "<>":
        assert (decode(tiff(RAMP, bigtiff=True, byteorder=order)).pixels == RAMP).all()


def test_an_image_that_the_caller_opened_is_read_like_its_file_or_refused():
    content = tiff(VALUES["int8"])
    assert (decode(Image.open(io.BytesIO(content))).pixels == VALUES["int8"]).all()
    loaded = Image.open(io.BytesIO(content))
    loaded.load()
    with pytest.raises(UnsupportedFilm, match="give its path"):
        decode(loaded)


def pages(*written: tuple[np.ndarray, int]) -> bytes:
    """A TIFF of these pages, each with the value of its tag NewSubfileType."""
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as writer:
        for pixels, kind in written:
            writer.write(pixels, subfiletype=kind)
    return content.getvalue()


HALF, THUMBNAIL = RAMP[::2, ::2].repeat(2, 0)[:140, :].repeat(2, 1), RAMP[::4, ::4].copy()


@pytest.mark.parametrize(
    "content",
    [
        pages((RAMP, 0), (HALF, 1)),
        pages((HALF, 1), (RAMP, 0)),
        pages((RAMP, 0), (HALF, 1), (THUMBNAIL, 1), (np.full_like(RAMP, 7), 1)),
        pages((THUMBNAIL, 0), (RAMP, 0)),
        pages((THUMBNAIL, 0), (VALUES["uint32"], 0)),
    ],
    ids=["preview behind", "preview first", "three previews", "thumbnail first", "thumbnail of 32 bits"],
)
def test_previews_and_masks_beside_the_film_are_left_out(content: bytes):
    film = decode(content)
    assert film.pixels.shape == RAMP.shape
    assert (film.pixels / film.pixels.max() == RAMP / np.float32(RAMP.max())).all()


def test_an_unmarked_preview_is_left_out_and_a_smaller_film_is_not():
    film = knee_film(2, 7, height=400, width=320, bits=16).pixels.astype(np.uint16)
    other = knee_film(3, 8, height=400, width=320, bits=16).pixels.astype(np.uint16)
    small, another = (
        np.asarray(Image.fromarray((one >> 8).astype(np.uint8)).resize((160, 200), Image.Resampling.BOX))
        for one in (film, other)
    )
    for content in (pages((film, 0), (small, 0)), pages((small, 0), (film, 0), (small, 0))):
        assert (decode(content).pixels == film).all()
    for content in (
        pages((film, 0), (another, 0)),
        pages((film, 0), (film, 0)),
        pages((film, 0), (small, 0), (another, 0)),
        pages((film, 0), (np.zeros_like(small), 0)),
    ):
        with pytest.raises(SeveralFrames):
            decode(content)


def test_two_films_and_more_pages_than_a_film_has_are_errors():
    with pytest.raises(SeveralFrames):
        decode(pages((RAMP, 0), (HALF, 0)))
    with pytest.raises(SeveralFrames):
        decode(pages((RAMP, 0), *[(THUMBNAIL, 1)] * 70))


def test_complex_numbers_are_an_error_and_64_bits_count_twice():
    with pytest.raises(UnsupportedFilm, match="complex"):
        decode(tiff(RAMP.astype(np.complex64)))
    content = tiff(VALUES["float64"])
    assert decode(content, Limits(max_pixels=2 * RAMP.size)).pixels.shape == RAMP.shape
    with pytest.raises(FilmTooLarge, match="64 bits, which count twice"):
        decode(content, Limits(max_pixels=RAMP.size))
