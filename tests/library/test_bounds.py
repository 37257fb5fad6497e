"""Files that ask for gigabytes or minutes: each is refused at once, by its headers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagecodecs import jpegls_encode
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, RLELossless

from benchmarks.film_kinds import dicom, picture
from benchmarks.odd_films import framed
from kneeoa_hub.errors import FilmTooLarge
from kneeoa_hub.imaging.bounds import dicom as dicom_bounds
from kneeoa_hub.imaging.bounds import jpeg
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.phantom import knee_film

from ..support.bombs import (
    BOMBS,
    EMPTY_ITEM,
    codestream,
    dicom_with,
    endless_sequence,
    in_dicom,
    progressive,
    sharing_tags,
)

MOST_MEGABYTES, MOST_SECONDS = 128, 5
"""Far less than any film may take, which is 512 MB and ten seconds: only a header is read of these. Seconds are the
processor's."""
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
TRY_ALL = """
import json, sys, time
from contextlib import suppress
from pathlib import Path
import imagecodecs, pydicom
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.sizes import is_large
from tests.support.bombs import BOMBS

def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

decode(Path(sys.argv[1]).read_bytes())  # imports what it needs
for name, build in BOMBS.items():
    film = build()
    Path("/proc/self/clear_refs").write_text("5")
    before, begun = megabytes("VmRSS"), time.process_time()
    with suppress(FilmError):
        read_identity(film)
    try:
        is_large(film)
        decode(film)
        outcome = "read"
    except FilmError as error:
        outcome = error.code
    result = [name, len(film), outcome, megabytes("VmHWM") - before, time.process_time() - begun]
    print(json.dumps(result), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, float, float]]:
    """Bytes, outcome, megabytes and seconds of each bomb, measured in a separate process."""
    film = tmp_path_factory.mktemp("film") / "film.dcm"
    film.write_bytes(dicom(knee_film(2, 7, bits=16).pixels.astype(np.uint16), JPEG2000Lossless))
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL, str(film)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.stderr[-2000:], lines[-1:])
    return {name: tuple(rest) for name, *rest in lines}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells a process's own peak")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_its_headers(name: str, outcomes: dict[str, tuple[int, str, float, float]]):
    size, outcome, megabytes, seconds = outcomes[name]
    assert size <= Limits().max_bytes
    assert outcome in ("film-too-large", "film-damaged")
    assert megabytes < MOST_MEGABYTES
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("reads", range(200, 208))
def test_a_bound_that_pydicom_meets_anywhere_in_an_item_is_named(reads: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicom_bounds, "READS", reads)
    with pytest.raises(FilmTooLarge, match="elements or items"):
        decode(dicom_with(endless_sequence(EMPTY_ITEM * 1000)))


def test_the_message_says_what_the_film_has_and_what_to_do():
    with pytest.raises(
        FilmTooLarge, match=r"it has tags that share their bytes.*Export the film again, as a plain PNG"
    ):
        decode(sharing_tags())


@pytest.mark.parametrize(
    ("mode", "subsampling", "count"),
    [("L", 0, 400), ("RGB", 2, 600), ("RGB", 1, 800), ("RGB", 0, 1200), ("CMYK", 0, 1600)],
)
def test_coefficients_are_counted_by_the_sampling_of_each_component(mode: str, subsampling: int, count: int):
    """A decoder keeps those of a progressive film: of a large one in four channels they took 320 MB."""
    content = picture(Image.new(mode, (20, 20)), "JPEG", progressive=True, subsampling=subsampling)
    (frame,) = (payload for marker, payload in jpeg.segments(content) if marker in jpeg.PROGRESSIVE)
    assert jpeg._coefficients(frame) == count


def test_a_film_of_too_many_coefficients_is_refused_where_it_has_several_scans(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jpeg, "COEFFICIENTS", 300 * 300)
    gray, colour = Image.new("L", (300, 300)), Image.new("RGB", (300, 300))
    assert decode(picture(gray, "JPEG", progressive=True)).pixels.shape == (300, 300)
    assert decode(picture(colour, "JPEG")).pixels.shape == (300, 300)
    in_parts = picture(colour, "JPEG").replace(b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\1")  # a scan of one component
    for content in (picture(colour, "JPEG", progressive=True), in_parts):
        with pytest.raises(FilmTooLarge, match="coefficients"):
            decode(content)


def test_pixels_of_16_bits_in_several_channels_count_twice():
    rle = b"\6\0\0\0\x40" + bytes(59)
    for syntax, frame in ((JPEGLSLossless, jpegls_encode(np.zeros((200, 200, 3), np.uint16))), (RLELossless, rle)):
        film = framed(
            np.zeros((200, 200), np.uint16), frame, syntax, SamplesPerPixel=3, PhotometricInterpretation="RGB"
        )
        with pytest.raises(FilmTooLarge, match="20000 pixels in several channels"):
            decode(film, Limits(max_pixels=40000))


def test_a_pillow_image_of_the_caller_has_the_same_bounds():
    image = Image.new("L", (300, 300))
    image.info["exif"] = b"Exif\0\0" + sharing_tags()
    with pytest.raises(FilmTooLarge, match="tags that share"):
        decode(image)


def test_films_that_are_only_unusual_are_read():
    film = np.asarray(knee_film(2, 7).pixels, np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 3, "a long description " * 500
    profile = bytes(1_000_000)
    usual = {
        "progressive, of sixteen scans": progressive(16, 512),
        "a profile of a printer": picture(Image.fromarray(film), "PNG", icc_profile=profile, exif=exif),
        "the same as JPEG": picture(Image.fromarray(film), "JPEG", icc_profile=profile, progressive=True),
        "TIFF of one row a strip": picture(Image.fromarray(film), "TIFF", tiffinfo={278: 1}),
        "JPEG 2000 in small blocks": in_dicom(
            codestream(512, 256, layers=20, levels=5, block=5, precinct=7), JPEG2000Lossless, 512
        ),
        "progressive JPEG in DICOM": in_dicom(progressive(16, 512), JPEGExtended12Bit, 512),
    }
    more = b"<script>something behind the film</script>" * 100
    usual |= {f"{form} with more behind it": picture(Image.fromarray(film), form) + more for form in FORMATS}
    for name, content in usual.items():
        assert decode(content).pixels.shape in (film.shape, (512, 512)), name
