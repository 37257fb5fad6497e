"""The memory that a film of the largest permitted size needs, from a small file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from benchmarks.film_kinds import dicom, picture, tiff
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.phantom import knee_film

MOST = 512
"""MB beside the interpreter with its libraries."""
SIDE = int(Limits().max_pixels ** 0.5)
HALF = int((Limits().max_pixels / 2) ** 0.5)
"""The peak for a film whose pixels count twice."""
LIES_ON_ITS_SIDE = Image.Exif()
LIES_ON_ITS_SIDE[0x0112] = 6

READ = """
import json, os, sys, traceback
from pathlib import Path
from imagecodecs import jpeg2k_decode, png_decode, tiff_decode
import kneeoa_hub.imaging.dicom, kneeoa_hub.imaging.pixel_data, pydicom.pixels.processing
from kneeoa_hub.imaging.decode import decode

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

for path in map(Path, sys.argv[1:]):
    if os.fork() == 0:  # a process of its own has a peak of its own
        try:
            film, before = path.read_bytes(), peak()
            print(json.dumps([path.name, *decode(film).pixels.shape, round(peak() - before)]), flush=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.wait()
"""
"""Reads each of the films, and tells its shape and the megabytes that it took."""


def zeros(side: int, channels: int) -> np.ndarray:
    return np.zeros((side, side, channels), np.uint16)


def padded() -> bytes:
    stored = np.zeros((SIDE, SIDE), np.uint16)
    stored[::3] = 7
    header = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 7, "WindowCenter": 2, "WindowWidth": 9}
    return dicom(stored, JPEG2000Lossless, **header)


FILMS: dict[str, tuple[int, Callable[[], bytes | bytearray]]] = {
    "PNG RGBA": (SIDE, lambda: picture(Image.new("RGBA", (SIDE, SIDE)), "PNG", exif=LIES_ON_ITS_SIDE)),
    "PNG RGBA 16": (HALF, lambda: png_encode(zeros(HALF, 4))),
    "TIFF float": (SIDE, lambda: tiff(np.zeros((SIDE, SIDE), np.float32), compression="lzw", photometric="miniswhite")),
    "TIFF RGBA": (SIDE, lambda: tiff(zeros(SIDE, 4).astype(np.uint8), compression="lzw", photometric="rgb")),
    "TIFF RGBA 16": (HALF, lambda: tiff(zeros(HALF, 4), compression="lzw", photometric="rgb", rowsperstrip=HALF)),
    "JPEG CMYK": (
        SIDE,
        lambda: picture(Image.new("CMYK", (SIDE, SIDE)), "JPEG", exif=LIES_ON_ITS_SIDE),
    ),
    "BMP": (SIDE, lambda: picture(Image.new("L", (SIDE, SIDE)), "BMP")),
    "WebP": (HALF, lambda: picture(Image.new("RGBA", (HALF, HALF)), "WEBP", lossless=True, method=0)),
    "DICOM": (SIDE, padded),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, tuple[int, int, int]], str]:
    """Height, width and megabytes of each film, and what went wrong."""
    folder = tmp_path_factory.mktemp("large")
    for kind, (_, made) in FILMS.items():
        (folder / kind).write_bytes(made())
    command = [sys.executable, "-c", READ, *(str(folder / kind) for kind in FILMS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return {kind: tuple(rest) for kind, *rest in map(json.loads, done.stdout.splitlines())}, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells a process's own peak")
@pytest.mark.parametrize("kind", FILMS)
def test_a_film_as_large_as_the_limits_let_it_be_takes_half_a_gigabyte_at_most(kind: str, outcomes):
    measured, said = outcomes
    assert kind in measured, said
    height, width, grown = measured[kind]
    assert (height, width) == (FILMS[kind][0],) * 2
    assert grown < MOST


GRADED = """
import sys
from pathlib import Path
import numpy as np
import kneeoa_hub
from kneeoa_hub.imaging.phantom import knee_film

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

grader = kneeoa_hub.from_pretrained()
grader.grade(np.rot90(255 - knee_film(2, 7).pixels))
film, before = Path(sys.argv[1]).read_bytes(), peak()
report = grader.grade(film)
print(len(report.knees), len(report.warnings), round(peak() - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells a process's own peak")
def test_correcting_a_large_turned_and_inverted_film_needs_no_more_memory(tmp_path: Path):
    knee = Image.fromarray(knee_film(2, 7).pixels).resize((SIDE, SIDE))
    path = tmp_path / "film.png"
    path.write_bytes(picture(Image.fromarray(255 - np.rot90(np.asarray(knee))), "PNG"))
    done = subprocess.run(
        [sys.executable, "-c", GRADED, str(path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    knees, warnings, grown = map(int, done.stdout.split())
    assert knees == 1
    assert warnings >= 2  # that it was turned, and inverted
    assert grown < MOST


def test_a_whole_leg_of_16_bits_is_within_the_limits():
    assert decode(picture(np.zeros((9000, 3000), np.uint16), "PNG")).pixels.shape == (9000, 3000)
