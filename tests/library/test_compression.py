"""Strong JPEG compression is recognised by the quantisation tables, in every kind of file that holds JPEG."""

import io

import numpy as np
import pytest
from imagecodecs import jpeg8_encode
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless

from benchmarks.film_kinds import dicom, tiff
from benchmarks.odd_films import framed
from kneeoa_hub.imaging.compression import COMPRESSED, REFUSED_QUALITY, WARNED_QUALITY
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import knee_film

GRAY = knee_film(3, 10, height=448, width=448).pixels
RGB = np.stack([GRAY] * 3, -1)


def jpeg(pixels: np.ndarray, quality: int, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality, **options)
    return content.getvalue()


FILES = {
    "JPEG": lambda quality: jpeg(GRAY, quality),
    "JPEG, progressive": lambda quality: jpeg(GRAY, quality, progressive=True),
    "JPEG, RGB": lambda quality: jpeg(RGB, quality),
    "image": lambda quality: Image.open(io.BytesIO(jpeg(GRAY, quality))),
    "TIFF": lambda quality: tiff(GRAY, compression="jpeg", compressionargs={"level": quality}),
    "TIFF, RGB": lambda quality: tiff(RGB, photometric="ycbcr", compression="jpeg", compressionargs={"level": quality}),
    "DICOM": lambda quality: framed(GRAY, jpeg8_encode(GRAY, level=quality), JPEGBaseline8Bit),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("quality", [10, 30, 60, 90])
def test_the_quality_is_read_from_the_tables(kind: str, quality: int):
    assert decode(FILES[kind](quality)).quality == pytest.approx(quality, abs=1.5)


def test_a_lossless_film_has_no_quality_and_one_of_12_bits_has_finer_steps():
    for syntax in (JPEGLosslessSV1, JPEGLSLossless):
        assert decode(dicom(GRAY, syntax)).quality is None
    assert decode(dicom(GRAY)).quality is None
    twelve = GRAY.astype(np.uint16) << 4
    film = framed(
        twelve, jpeg8_encode(twelve, level=10, bitspersample=12), JPEGExtended12Bit, BitsStored=12, HighBit=11
    )
    assert decode(film).quality == pytest.approx(84.4, abs=1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "DICOM"])
def test_a_film_below_the_measured_qualities_gets_a_warning_or_a_refusal(grader, kind: str):
    assert REFUSED_QUALITY < WARNED_QUALITY
    good, poor, bad = (grader.grade(FILES[kind](quality)) for quality in (60, 30, 10))
    assert not any("compressed strongly" in warning for warning in good.warnings)
    assert COMPRESSED.format(quality=30) in poor.warnings
    assert poor.refused is None
    assert (bad.refused.reason, bad.knees) == ("compressed", ())
    assert bad.refused.score == pytest.approx(10, abs=1.5)
