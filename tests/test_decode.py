"""Films in every form come out as the same pixels, or as an error that says what was received."""

import io

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub import errors
from kneeoa_hub.imaging.decode import Limits, decode

RAMP = np.arange(160 * 200, dtype=np.uint16).reshape(160, 200) * 2


def encoded(array: np.ndarray, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(form):
    assert (decode(encoded(RAMP, form)).pixels == RAMP).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_eight_bits_are_kept(form):
    gray = (RAMP // 256).astype(np.uint8)
    assert (decode(encoded(gray, form)).pixels == gray).all()


def test_a_path_bytes_a_file_an_image_and_an_array_are_the_same_film(tmp_path):
    gray = (RAMP // 256).astype(np.uint8)
    content = encoded(gray, "PNG")
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with path.open("rb") as file:
        forms = [path, str(path), content, file, Image.fromarray(gray), gray, gray.astype(np.float64)]
        assert all((decode(form).pixels == gray).all() for form in forms)


def test_the_orientation_of_a_photo_is_put_right():
    gray = (RAMP // 256).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(gray, "PNG", exif=exif))
    assert (turned.pixels == np.rot90(gray, -1)).all()


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
        (b"not an image at all", errors.UnsupportedFilm, "PNG, JPEG"),
        (encoded(RAMP, "PNG")[:300], errors.DamagedFilm, "truncated"),
        (np.zeros((100, 400), np.uint8), errors.FilmTooSmall, "400x100 px"),
        (np.zeros((200, 200, 3), np.uint8), errors.FilmError, "(200, 200, 3)"),
        (np.zeros((200, 200), np.int64), errors.FilmError, "int64"),
        (np.full((200, 200), np.nan), errors.FilmError, "finite"),
        ("no-such-film.png", errors.FilmNotFound, "no-such-film.png"),
        (None, errors.FilmError, "NoneType"),
        (io.StringIO("text"), errors.FilmError, "binary"),
    ],
)
def test_what_cannot_be_read_is_named(film, error, said):
    with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
        decode(film)


def test_limits_are_checked_before_decoding():
    content = encoded(RAMP, "PNG")
    with pytest.raises(errors.FilmTooLarge, match="MiB"):
        decode(content, Limits(max_bytes=100))
    with pytest.raises(errors.FilmTooLarge, match="200x160 px"):
        decode(content, Limits(max_pixels=1000))


def test_a_film_of_several_pages_is_an_error():
    buffer = io.BytesIO()
    page = Image.fromarray(np.zeros((200, 200), np.uint8))
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(errors.SeveralFrames, match="2 frames"):
        decode(buffer.getvalue())


def test_a_tiff_whose_zero_is_white_is_turned_to_bright_bone():
    ramp = np.tile(np.arange(200, dtype=np.uint16), (160, 1))
    deep = decode(encoded(ramp, "TIFF", tiffinfo={262: 0})).pixels
    assert deep[0, 0] - deep[0, 199] == 199
    eight = decode(encoded(ramp.astype(np.uint8), "TIFF", tiffinfo={262: 0})).pixels  # Pillow inverts these as it writes
    assert eight[0, 199] - eight[0, 0] == 199
