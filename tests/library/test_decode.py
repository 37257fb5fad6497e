"""A film in any form is decoded to the same pixels, or gives an error that says what was received."""

import io
import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image, ImageCms

from benchmarks.film_kinds import film_files, tiff, turned
from kneeoa_hub import errors
from kneeoa_hub.imaging.camera import EXIF, F_NUMBER, PHOTOGRAPH
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.deep_color import ORIENTATION
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.formats import BARE_DICOM, is_dicom
from kneeoa_hub.imaging.phantom import knee_film

RAMP = np.arange(160 * 200, dtype=np.uint16).reshape(160, 200) * 2


def encoded(array: np.ndarray, form: str, **options) -> bytes:
    return encoded_image(Image.fromarray(array), form, **options)


def encoded_image(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(form):
    assert (decode(encoded(RAMP, form)).pixels == RAMP).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_eight_bits_are_kept(form):
    gray = (RAMP // 256).astype(np.uint8)
    assert (decode(encoded(gray, form)).pixels == gray).all()


@pytest.mark.slow
def test_every_kind_of_file_gives_the_values_of_the_film(subtests):
    """Each kind keeps its own units. A kind with fewer bits holds the upper ones, and a lossy kind is close."""
    deep = knee_film(2, 7, bits=16).pixels
    for film in film_files(deep):
        with subtests.test(f"{film.form} {film.kind}"):
            pixels = decode(film.content).pixels
            bits = next((bits for bits in (8, 12) if f"{bits}-bit" in film.kind), 16)
            wanted = (deep >> (16 - bits)).astype(np.float64)
            if "padding" in film.kind:
                edge = deep.shape[1] // 8
                assert (pixels[:, :edge] == pixels[:, edge:-edge].min()).all()
                pixels = pixels[:, edge:-edge]
            assert pixels.shape == wanted.shape
            if "marker" in film.kind:
                pixels, wanted = pixels[6:], wanted[6:]
            alike = (pixels - pixels.mean()) / pixels.std() - (wanted - wanted.mean()) / wanted.std()
            assert np.abs(alike).max() < (1e-3 if film.exact else 0.2)


def test_a_path_bytes_a_file_an_image_and_an_array_are_the_same_film(tmp_path):
    gray = (RAMP // 256).astype(np.uint8)
    content = encoded(gray, "PNG")
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with path.open("rb") as file:
        forms = [path, str(path), content, file, Image.fromarray(gray), gray, gray.astype(np.float64)]
        assert all((decode(form).pixels == gray).all() for form in forms)


GRAY = (RAMP // 256).astype(np.uint8)
PNG = encoded(GRAY, "PNG")


def in_mode(mode: str) -> Image.Image:
    """A gray image in another of Pillow's modes."""
    gray = Image.fromarray(GRAY)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(gray.convert("RGB"), *profiles, outputMode=mode)
        assert converted
        return converted
    if mode.startswith("I;16"):
        return Image.frombytes(
            mode, gray.size, RAMP.astype(">u2" if mode == "I;16B" else "<u2" if mode == "I;16L" else "u2").tobytes()
        )
    by = {"La": "LA", "RGBa": "RGBA", "PA": "P"}
    return gray.convert(by[mode]).convert(mode) if mode in by else gray.convert(mode)


@pytest.mark.parametrize(
    "mode", ["L", "P", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "LA", "La", "PA", "I", "F"]
)
def test_an_image_in_any_mode_of_pillow_is_the_same_film(mode: str):
    assert np.abs(decode(in_mode(mode)).pixels - GRAY).max() <= 2  # by way of other colours


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I;16N"])
def test_an_image_of_16_bits_in_any_byte_order_keeps_them(mode: str):
    assert (decode(in_mode(mode)).pixels == RAMP).all()


def test_an_image_of_one_bit_is_black_and_white():
    assert set(np.unique(decode(in_mode("1")).pixels)) == {0, 255}


def test_transparency_is_ignored_without_a_warning():
    palette = encoded_image(Image.fromarray(GRAY).convert("P"), "PNG", transparency=bytes(range(256)))
    premultiplied = Image.merge("LA", (Image.fromarray(GRAY), Image.new("L", (200, 160), 128))).convert("La")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (decode(palette).pixels == GRAY).all()
        assert np.abs(decode(premultiplied).pixels - GRAY).max() <= 2


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", "<f8", ">f8"])
def test_an_array_in_any_byte_order_is_the_same_film(kind: str):
    assert (decode(RAMP.astype(kind)).pixels == RAMP).all()


def closed_image() -> Image.Image:
    image = Image.open(io.BytesIO(PNG))
    image.close()
    return image


def image_of_closed_file() -> Image.Image:
    file = io.BytesIO(PNG)
    image = Image.open(file)
    file.close()
    return image


def closed_file() -> io.BytesIO:
    file = io.BytesIO(PNG)
    file.close()
    return file


class Drips(io.RawIOBase):
    """A file that gives a few bytes at a time, as a pipe does."""

    def __init__(self, content: bytes):
        self.rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        part = self.rest.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


class FailingPath(os.PathLike):
    def __fspath__(self) -> str:
        return str(1 / 0)


class NamelessFile(io.BytesIO):
    @property
    def name(self) -> str:
        return str(1 / 0)


@pytest.mark.parametrize(
    ("made", "error", "said"),
    [
        (closed_file, errors.FilmError, "it is closed"),
        (closed_image, errors.FilmError, "is closed"),
        (image_of_closed_file, errors.FilmError, "is closed"),
        (lambda: Image.open(io.BytesIO(PNG[: len(PNG) // 2])), errors.DamagedFilm, "truncated"),
        (lambda: Image.new("L", (0, 0)), errors.FilmTooSmall, "0x0 px"),
        (lambda: io.BufferedWriter(io.BytesIO()), errors.FilmError, "open for reading"),
        (lambda: Drips(b""), errors.EmptyFilm, "0 bytes"),
        (FailingPath, errors.FilmError, r"gives no path \(ZeroDivisionError\)"),
        (NamelessFile, errors.EmptyFilm, "The film is empty"),
    ],
)
def test_a_closed_or_truncated_input_is_an_error_of_the_package(
    made: Callable, error: type[errors.FilmError], said: str
):
    with pytest.raises(error, match=said) as raised:
        decode(made())
    assert type(raised.value) is error


def test_a_file_that_was_opened_as_text_is_an_error_that_says_so(tmp_path: Path):
    path = tmp_path / "film.png"
    path.write_bytes(PNG)
    with path.open(encoding="utf-8") as file, pytest.raises(errors.FilmError, match=r"film\.png was opened as text"):
        decode(file)  # pyright: ignore[reportArgumentType]


def test_a_file_that_gives_few_bytes_at_a_time_is_read_to_its_end():
    assert (decode(cast("BinaryIO", Drips(PNG))).pixels == GRAY).all()
    with pytest.raises(errors.FilmTooLarge, match="MiB"):
        decode(cast("BinaryIO", Drips(PNG)), Limits(max_bytes=len(PNG) - 1))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_an_input_without_a_size_is_read_up_to_the_limit(tmp_path: Path):
    """A pipe, and a device that never ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(PNG,))
    writer.start()
    assert (decode(pipe).pixels == GRAY).all()
    writer.join()
    if Path("/dev/zero").exists():
        with pytest.raises(errors.FilmTooLarge, match="MiB"):
            decode("/dev/zero", Limits(max_bytes=100_000))


def test_no_other_picture_is_taken_for_dicom():
    Image.init()
    for form in sorted(Image.SAVE):
        for mode in ("L", "RGB", "1", "P"):
            try:
                content = encoded_image(Image.fromarray(GRAY).convert(mode), form)
            except Exception:  # not every format holds every mode
                continue
            assert not is_dicom(content), form
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"RIFF"):
        assert not BARE_DICOM.match(start + bytes(16))


def test_the_exif_orientation_is_applied():
    gray = (RAMP // 256).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(gray, "PNG", exif=exif))
    assert (turned.pixels == np.rot90(gray, -1)).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_by_a_camera_is_warned_of(form):
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    gray = (RAMP // 256).astype(np.uint8)
    assert not decode(encoded(gray, form, exif=exif)).warnings
    exif.get_ifd(EXIF)[F_NUMBER] = 1.8
    assert decode(encoded(gray, form, exif=exif)).warnings == (PHOTOGRAPH,)


def test_colour_is_measured_and_gray_rgb_has_none():
    gray = np.repeat((RAMP // 256).astype(np.uint8)[..., None], 3, -1)
    red = gray.copy()
    red[..., 1:] = 0
    assert decode(encoded(gray, "PNG")).colour == 0
    assert decode(encoded(red, "PNG")).colour > 0.1


@pytest.mark.parametrize(
    ("film", "error", "said"),
    [
        (b"", errors.EmptyFilm, "0 bytes"),
        (b"PK\3\4" + bytes(40), errors.UnsupportedFilm, "is an archive; unpack it"),
        (b"\xff\x0a" + bytes(40), errors.UnsupportedFilm, "is JPEG XL, which is not read; send PNG"),
        (b"II\xbc\x01" + bytes(40), errors.UnsupportedFilm, "is JPEG XR, which is not read; send PNG"),
        (b"\0\0\0 ftypheic" + bytes(40), errors.UnsupportedFilm, "is HEIC, which is not read; send PNG"),
        (b"%PDF-1.7" + bytes(40), errors.UnsupportedFilm, "is PDF, which is not read; send PNG"),
        (b"GIF89a" + bytes(40), errors.UnsupportedFilm, "is GIF, which is not read; send PNG"),
        (b"P5 200 200 255\n" + bytes(40), errors.UnsupportedFilm, "is PGM or PPM, which is not read; send PNG"),
        (b"P3\r\n200 200\n255\n", errors.UnsupportedFilm, "is PGM or PPM, which is not read; send PNG"),
        (b"PK\3\4 [Content_Types].xml", errors.UnsupportedFilm, "is an office document"),
        (b"not an image at all", errors.UnsupportedFilm, "PNG, JPEG"),
        (encoded(RAMP, "PNG")[:300], errors.DamagedFilm, "truncated"),
        (np.zeros((100, 400), np.uint8), errors.FilmTooSmall, "400x100 px"),
        (np.zeros((200, 200, 3), np.uint8), errors.FilmError, "(200, 200, 3)"),
        (np.zeros((200, 200), np.int64), errors.FilmError, "int64"),
        (np.full((200, 200), np.nan), errors.FilmError, "finite"),
        ("no-such-film.png", errors.FilmNotFound, "no-such-film.png"),
        (None, errors.FilmError, "NoneType"),
    ],
)
def test_the_error_names_the_unreadable_input(film, error, said):
    with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
        decode(film)


def test_a_file_that_is_open_as_text_is_an_error():
    with pytest.raises(errors.FilmError, match="binary"):
        decode(io.StringIO("text"))  # pyright: ignore[reportArgumentType]


def test_limits_are_checked_before_decoding():
    content = encoded(RAMP, "PNG")
    with pytest.raises(errors.FilmTooLarge, match="MiB"):
        decode(content, Limits(max_bytes=100))
    with pytest.raises(errors.FilmTooLarge, match="200x160 px"):
        decode(content, Limits(max_pixels=1000))


def test_pixels_that_need_twice_the_memory_count_twice_and_tiles_count_whole():
    gray = encoded((RAMP // 256).astype(np.uint8), "PNG")
    webp, deep = encoded((RAMP // 256).astype(np.uint8), "WEBP"), bytes(png_encode(np.stack([RAMP] * 3, -1)))
    options = {"photometric": "minisblack", "tile": (1024, 1024), "compression": "zlib"}
    tiled = [tiff(RAMP, **options), tiff(np.stack([RAMP, RAMP], -1), extrasamples=["unassalpha"], **options)]
    once, twice = Limits(max_pixels=RAMP.size), Limits(max_pixels=2 * RAMP.size)
    assert (
        decode(gray, once).pixels.shape
        == decode(webp, twice).pixels.shape
        == decode(deep, twice).pixels.shape
        == RAMP.shape
    )
    for film, said in (
        (webp, "of WebP, which count twice"),
        (deep, "of 16 bits in several channels, which count twice"),
        (tiled[0], "in tiles of 1024x1024"),
    ):
        with pytest.raises(errors.FilmTooLarge, match=f"200x160 px {said}, over {RAMP.size} pixels"):
            decode(film, once)
    with pytest.raises(errors.FilmTooLarge):
        decode(tiled[1], Limits(max_pixels=1024 * 1024))
    assert [decode(film, Limits(max_pixels=2 * 1024 * 1024)).pixels.shape for film in tiled] == [RAMP.shape] * 2


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_16_bit_png_is_read_before_and_behind_its_pixels(orientation, behind):
    film = knee_film(2, 7, bits=16).pixels
    content = bytes(png_encode(np.stack([turned(film, orientation)] * 3, -1)))
    body = b"eXIf" + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + bytes(7)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    at = len(content) - 12 if behind else 33
    assert (decode(content[:at] + chunk + content[at:]).pixels == film).all()


def test_a_film_of_several_pages_is_an_error():
    buffer = io.BytesIO()
    page = Image.fromarray(np.zeros((200, 200), np.uint8))
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(errors.SeveralFrames, match="several frames"):
        decode(buffer.getvalue())


def test_a_16_bit_film_in_channels_has_the_same_limits_and_is_damaged_when_truncated():
    gray = np.stack([RAMP, RAMP], -1)
    whole = tiff(gray, photometric="minisblack", extrasamples=["unassalpha"], compression="zlib")
    with pytest.raises(errors.FilmTooLarge, match="200x160 px"):
        decode(whole, Limits(max_pixels=1000))
    with pytest.raises(errors.DamagedFilm):
        decode(whole[:-500])
    pages = tiff(np.stack([gray, gray]), photometric="minisblack", extrasamples=["unassalpha"])
    with pytest.raises(errors.SeveralFrames):
        decode(pages)


def test_a_tag_of_a_tiff_reaches_no_log(caplog):
    content = encoded(RAMP, "TIFF", tiffinfo={270: "DOE JANE", 315: "DR SECRET"})
    caplog.set_level(logging.DEBUG)
    decode(content)
    assert "DOE" not in caplog.text
    assert "SECRET" not in caplog.text


def test_a_tiff_whose_zero_is_white_is_inverted():
    ramp = np.tile(np.arange(200, dtype=np.uint16), (160, 1))
    deep = decode(encoded(ramp, "TIFF", tiffinfo={262: 0})).pixels
    assert deep[0, 0] - deep[0, 199] == 199
    # Pillow inverts these as it writes
    eight = decode(encoded(ramp.astype(np.uint8), "TIFF", tiffinfo={262: 0})).pixels
    assert eight[0, 199] - eight[0, 0] == 199
