"""The limits in kneeoa_hub/imaging/compression.py come from this measurement of the loss at which grades slide.

With --other, JPEG 2000, JPEG-LS and WebP are measured. With --equal no film is graded: the table has what the package
reads in a file, the bits of JPEG 2000 for a pixel that is not plain or the quantiser of WebP, and beside it the quality
of JPEG with the same mean squared error, from which the package takes what a loss of these codecs counts as.

    python -m benchmarks.compression --audit runs/audit
    python -m benchmarks.compression --audit runs/audit --bundle ./runs/bundle --films 200 --other
    python -m benchmarks.compression --audit runs/audit --films 100 --equal

Validation films of each collection of the audit are compressed with each quality and graded as arrays, so that the
limits themselves do not refuse them. The table has the figures of benchmarks.robustness.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from imagecodecs import jpegls_decode, jpegls_encode
from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.compression import REFUSED_QUALITY, WARNED_QUALITY, jpeg_2000_bits
from kneeoa_hub.imaging.webp_quantiser import quantiser
from tuning.data.table import read_films
from tuning.evaluation.film_changes import Change, compressed, pixels_of
from tuning.evaluation.robustness import robustness

from .robustness import films_of, table

QUALITIES = (90, 75, 60, 50, 45, 40, 30, 25, 20, 17, 15, 10, 5)
RATIOS = (5, 10, 20, 40, 80, 160)
"""JPEG 2000 compresses films of 8 bits by these ratios."""
NEAR = (2, 5, 10, 20)
"""JPEG-LS may err by these many grays of 255."""
WEBP_QUALITIES = (100, 95, 75, 60, 40, 20, 5, 0)
EVERY_QUALITY = range(2, 99, 4)
"""The quality of JPEG with an equal error is interpolated among these."""


def saved(pixels: np.ndarray, form: str, **options: object) -> bytes:
    """Compress with Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def read_again(pixels: np.ndarray, rng: np.random.Generator, quality: int, codec: str = "JPEG") -> np.ndarray:
    """Compress with loss and read again, so that no limit on compression applies.

    Args:
        pixels: [H,W] uint8.
        rng: Not used; every change takes one.
        quality: The quality setting of Pillow's encoder, 1 to 100.
        codec: Pillow's name of a format with loss.
    """
    return pixels_of(compressed(pixels, rng, quality, codec))


def jpeg_2000_file(pixels: np.ndarray, ratio: int) -> bytes:
    """Compress with JPEG 2000 to this proportion."""
    return saved(pixels, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio])


def jpeg_2000(pixels: np.ndarray, rng: np.random.Generator, ratio: int) -> np.ndarray:
    """Compress with JPEG 2000 and read again.

    Args:
        pixels: [H,W] uint8.
        rng: Not used; every change takes one.
        ratio: Bytes of the pixels over bytes of the file.
    """
    return pixels_of(jpeg_2000_file(pixels, ratio))


def near_lossless(pixels: np.ndarray, rng: np.random.Generator, near: int) -> np.ndarray:
    """Compress with JPEG-LS and read again.

    Args:
        pixels: [H,W] uint8.
        rng: Not used; every change takes one.
        near: The largest error of a pixel, in grays.
    """
    return jpegls_decode(jpegls_encode(np.ascontiguousarray(pixels), level=near))


def equal_loss(films: Sequence[np.ndarray]) -> Iterator[tuple[str, float | None, float, float]]:
    """Yield name, what the package reads, root mean squared error in grays and quality of JPEG with that error.

    Args:
        films: Pixels [H,W] uint8.
    """
    rng = np.random.default_rng(0)  # no change of these draws anything
    losses = [
        mean_loss(films, [pixels_of(saved(film, "JPEG", quality=one)) for film in films]) for one in EVERY_QUALITY
    ]
    tells: dict[str, Callable[[np.ndarray], float]] = {
        **{f"JPEG 2000, 1:{one}": partial(bits_with_detail, ratio=one) for one in RATIOS},
        **{f"WebP, quality {one}": partial(webp_index, quality=one) for one in WEBP_QUALITIES},
    }
    for change in changes(other=True):
        loss = mean_loss(films, [pixels_of(change.apply(film, rng)) for film in films])
        tell = tells.get(change.name)
        told = float(np.median([tell(film) for film in films])) if tell else None
        yield change.name, told, loss, float(np.interp(-loss, np.negative(losses), EVERY_QUALITY))


def bits_with_detail(pixels: np.ndarray, ratio: int) -> float:
    """Return the bits of JPEG 2000 for a pixel that is not plain, of a film [H,W] uint8 compressed to a proportion."""
    content = jpeg_2000_file(pixels, ratio)
    return jpeg_2000_bits([content], pixels_of(content))


def webp_index(pixels: np.ndarray, quality: int) -> float:
    """Return the quantiser that WebP of a quality takes for a film [H,W] uint8."""
    return quantiser(saved(pixels, "WEBP", quality=quality)) or 0.0


def mean_loss(films: Sequence[np.ndarray], compressed: Sequence[np.ndarray]) -> float:
    """Return the mean over films of the root mean squared error, in grays of 255."""
    pairs = zip(films, compressed, strict=True)
    return float(np.mean([np.sqrt(((one.astype(np.float32) - other) ** 2).mean()) for one, other in pairs]))


def changes(other: bool) -> list[Change]:
    """Return the changes to measure: those of JPEG, or those of the other codecs."""
    if not other:
        return [Change(f"JPEG, quality {one}", "quality", partial(read_again, quality=one)) for one in QUALITIES]
    return [
        *(Change(f"JPEG 2000, 1:{one}", "quality", partial(jpeg_2000, ratio=one)) for one in RATIOS),
        *(Change(f"JPEG-LS, error {one}", "quality", partial(near_lossless, near=one)) for one in NEAR),
        *(
            Change(f"WebP, quality {one}", "quality", partial(read_again, quality=one, codec="WEBP"))
            for one in WEBP_QUALITIES
        ),
    ]


def main() -> None:
    """Measure, and print a table for each collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True, help="output of `python -m tuning audit`")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--films", type=int, default=0, help="of each collection at most; 0 is all of them")
    parser.add_argument("--other", action="store_true", help="JPEG 2000, JPEG-LS and WebP instead of JPEG")
    parser.add_argument("--equal", action="store_true", help="the quality of JPEG of equal error, without grading")
    arguments = parser.parse_args()
    if arguments.equal:
        for name in sorted({film.dataset for film in read_films(arguments.audit)}):
            pixels = [film.pixels for film in films_of(arguments.audit, name, arguments.films)]
            print(f"\n{name}, {len(pixels)} films\n\n| films | bits or quantiser | error | JPEG quality |")
            print("|---|---|---|---|")
            for change, told, loss, quality in equal_loss(pixels):
                shown = "-" if told is None else f"{told:.3f}"
                print(f"| {change} | {shown} | {loss:.2f} | {quality:.1f} |")
        return
    grader = from_pretrained(arguments.bundle)
    print(f"{grader.model}, revision {grader.revision}; warned below {WARNED_QUALITY}, refused below {REFUSED_QUALITY}")
    for name in sorted({film.dataset for film in read_films(arguments.audit)}):
        films = films_of(arguments.audit, name, arguments.films)
        print(f"\n{name}, {len(films)} films\n\n{table(list(robustness(grader, films, changes(arguments.other))))}")


if __name__ == "__main__":
    main()
