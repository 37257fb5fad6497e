"""Strong compression is recognised by what a file holds: its quantisation, its largest error, or its bits."""

import io

import numpy as np
import pytest
from imagecodecs import jpeg8_encode, jpegls_encode
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from benchmarks.film_kinds import dicom, picture, tiff
from benchmarks.odd_films import framed
from kneeoa_hub.imaging.compression import COMPRESSED, REFUSED_QUALITY, WARNED_QUALITY, quality_at_joint
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.webp_quantiser import quantiser

GRAY = knee_film(3, 10, height=448, width=448).pixels
TWELVE = GRAY.astype(np.uint16) << 4
RGB = np.stack([GRAY] * 3, -1)


FILES = {
    "JPEG": lambda quality: picture(GRAY, "JPEG", quality=quality),
    "JPEG, progressive": lambda quality: picture(GRAY, "JPEG", quality=quality, progressive=True),
    "JPEG, RGB": lambda quality: picture(RGB, "JPEG", quality=quality),
    "image": lambda quality: Image.open(io.BytesIO(picture(GRAY, "JPEG", quality=quality))),
    "TIFF": lambda quality: tiff(GRAY, compression="jpeg", compressionargs={"level": quality}),
    "TIFF, RGB": lambda quality: tiff(RGB, photometric="ycbcr", compression="jpeg", compressionargs={"level": quality}),
    "DICOM": lambda quality: framed(GRAY, jpeg8_encode(GRAY, level=quality), JPEGBaseline8Bit),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("quality", [10, 30, 60, 90])
def test_the_quality_is_read_from_the_tables(kind: str, quality: int):
    assert decode(FILES[kind](quality)).quality == pytest.approx(quality, abs=1.5)


def test_a_lossless_film_has_no_quality_and_one_of_12_bits_has_finer_steps():
    for syntax in (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless):
        assert decode(dicom(GRAY, syntax)).quality is None
    assert decode(picture(GRAY, "WEBP", lossless=True)).quality is None
    assert decode(tiff(GRAY, compression="jpeg2000", compressionargs={"level": 0})).quality is None
    assert decode(dicom(GRAY)).quality is None
    film = framed(
        TWELVE, jpeg8_encode(TWELVE, level=10, bitspersample=12), JPEGExtended12Bit, BitsStored=12, HighBit=11
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


OTHER = {
    "JPEG 2000 in DICOM": lambda loss: framed(GRAY, jpeg_2000(GRAY, loss), JPEG2000),
    "JPEG 2000 of 12 bits in DICOM": lambda loss: framed(
        TWELVE, jpeg_2000(TWELVE, 2 * loss), JPEG2000, BitsStored=12, HighBit=11
    ),
    "JPEG 2000 in TIFF": lambda loss: tiff(
        GRAY, compression="jpeg2000", tile=(128, 128), compressionargs={"level": 50 - 1.6 * loss, "reversible": False}
    ),
    "JPEG-LS in DICOM": lambda loss: framed(GRAY, jpegls_encode(GRAY, level=loss), JPEGLSNearLossless),
    "JPEG-LS of 12 bits in DICOM": lambda loss: framed(
        TWELVE, jpegls_encode(TWELVE, level=16 * loss), JPEGLSNearLossless, BitsStored=12, HighBit=11
    ),
    "WebP": lambda loss: picture(GRAY, "WEBP", quality=100 - 6 * loss),
    "WebP in TIFF": lambda loss: tiff(
        RGB, photometric="rgb", compression="webp", compressionargs={"level": 100 - 6 * loss, "lossless": False}
    ),
}


def jpeg_2000(pixels: np.ndarray, ratio: float, *, irreversible: bool = True) -> bytes:
    image = Image.fromarray(pixels)
    content = io.BytesIO()
    image.save(content, "JPEG2000", irreversible=irreversible, quality_mode="rates", quality_layers=[4 * ratio])
    return content.getvalue()


@pytest.mark.parametrize("kind", OTHER)
def test_the_loss_of_other_codecs_counts_as_the_quality_of_a_jpeg(kind: str):
    little, some, much = (decode(OTHER[kind](loss)).quality or 0 for loss in (1, 6, 15))
    assert little > some > much
    assert little > WARNED_QUALITY > much


BORDERED = {
    "WebP": lambda gray, size: picture(gray, "WEBP", quality=40),
    "WebP in TIFF": lambda gray, size: tiff(
        np.stack([gray] * 3, -1),
        photometric="rgb",
        compression="webp",
        compressionargs={"level": 40, "lossless": False},
    ),
    "JPEG 2000 in DICOM": lambda gray, size: framed(gray, jpeg_2000(gray, 10 * size), JPEG2000),
    "JPEG 2000 before": lambda gray, size: dicom(
        gray, LossyImageCompression="01", LossyImageCompressionRatio=str(40 * size)
    ),
}
"""Each makes a file of a film of so many times the pixels, of which the rest is plain."""


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("kind", BORDERED)
def test_a_plain_border_does_not_count_as_loss(kind: str, level: int):
    bordered = np.pad(GRAY, len(GRAY) // 4, constant_values=level)
    plain, framed_film = (decode(BORDERED[kind](one, one.size / GRAY.size)).quality for one in (GRAY, bordered))
    assert plain is not None
    assert 25 < plain < 50
    assert framed_film == pytest.approx(plain, abs=4)


@pytest.mark.parametrize("highest", [600, 4095])
def test_a_saturated_marker_leaves_the_estimate_and_more_loss_never_counts_as_less(highest: int):
    tissue = (GRAY * (highest / 255)).astype(np.uint16)
    marked = tissue.copy()
    marked[40:56, 40:56] = 65535
    for file in (of_16_bits, compressed_before):
        plain, beside = (
            np.array([decode(file(one, ratio)).quality for ratio in (20, 80, 160, 640)]) for one in (tissue, marked)
        )
        assert np.abs(beside - plain).max() < 3
        assert np.all(np.diff(beside) < 0)


def of_16_bits(pixels: np.ndarray, ratio: int) -> bytes:
    return framed(pixels, jpeg_2000(pixels, ratio / 4), JPEG2000)


def compressed_before(pixels: np.ndarray, ratio: int) -> bytes:
    return dicom(pixels, LossyImageCompression="01", LossyImageCompressionRatio=str(ratio))


@pytest.mark.parametrize("kind", ["icc_profile", "xmp"])
def test_the_metadata_of_a_webp_does_not_tell_its_quality(kind: str):
    poor = picture(GRAY, "WEBP", quality=0)
    read = decode(poor).quality
    assert read is not None
    assert read < REFUSED_QUALITY
    assert decode(picture(GRAY, "WEBP", lossless=True, **{kind: poor})).quality is None
    fine = picture(GRAY, "WEBP", quality=95)
    assert decode(picture(GRAY, "WEBP", quality=95, **{kind: poor})).quality == decode(fine).quality


def test_an_animated_webp_is_judged_by_its_first_frame_and_a_cut_one_does_not_stop_the_reader():
    moving = picture(GRAY, "WEBP", quality=40, save_all=True, append_images=[Image.fromarray(GRAY[::-1])])
    still = picture(GRAY, "WEBP", quality=40)
    assert quantiser(moving) == pytest.approx(quantiser(still), abs=3)
    assert [quantiser(still[:size]) for size in (0, 7, 15, 22)] == [None] * 4
    assert quantiser(still[: len(still) // 2]) == quantiser(still)


def test_a_film_that_lost_all_detail_does_not_count_as_plain():
    destroyed = decode(framed(GRAY, jpeg_2000(GRAY, 400), JPEG2000)).quality
    assert destroyed is not None
    assert destroyed < REFUSED_QUALITY


@pytest.mark.parametrize("ratio", [40, 160])
def test_the_reversible_wavelet_is_judged_where_it_was_cut_to_a_rate(ratio: int):
    cut, kept = jpeg_2000(GRAY, ratio / 4, irreversible=False), jpeg_2000(GRAY, 0, irreversible=False)
    assert decode(framed(GRAY, cut, JPEG2000)).quality == pytest.approx({40: 43, 160: 14}[ratio], abs=4)
    assert decode(framed(GRAY, cut, JPEG2000Lossless)).quality is None
    assert decode(framed(GRAY, kept, JPEG2000)).quality is None


@pytest.mark.parametrize(
    ("lossy", "ratio", "quality"),
    [("01", "20", 69), ("01", ["2.5", "40"], 46), ("01", "900", 15), ("01", "1", None), ("00", "40", None)],
)
def test_an_earlier_compression_counts_by_the_ratio_in_the_header(grader, lossy, ratio, quality):
    film = decode(dicom(GRAY, LossyImageCompression=lossy, LossyImageCompressionRatio=ratio))
    assert film.quality == (pytest.approx(quality, abs=1) if quality else None)
    compressed_too = framed(
        GRAY,
        jpeg8_encode(GRAY, level=30),
        JPEGBaseline8Bit,
        LossyImageCompression=lossy,
        LossyImageCompressionRatio=ratio,
    )
    assert decode(compressed_too).quality == pytest.approx(min(30, quality or 30), abs=1)
    if quality == 15:  # a header alone refuses nothing
        report = grader.grade(dicom(GRAY, LossyImageCompression=lossy, LossyImageCompressionRatio=ratio))
        assert report.refused is None
        assert COMPRESSED.format(quality=15) in report.warnings


def test_a_film_of_many_pixels_keeps_more_of_its_joints():
    assert quality_at_joint(20, 299, 299) == 20
    assert quality_at_joint(20, 2000, 2400) == pytest.approx(40, abs=1)
    assert quality_at_joint(80, 2000, 2400) == pytest.approx(90, abs=1)
