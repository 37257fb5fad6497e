"""At which loss grades slide: the measurement behind the limits on JPEG in kneeoa_hub/imaging/compression.py.

With --other, JPEG 2000, JPEG-LS and WebP are measured. They have no limit: no film is warned of loss in them.

    python -m benchmarks.compression --audit runs/audit
    python -m benchmarks.compression --audit runs/audit --bundle ./runs/bundle --films 200 --other

Validation films of each collection of the audit are compressed with each quality and graded as arrays, so that the
limits themselves do not refuse them. The table has the figures of benchmarks.robustness.
"""

import argparse
import io
from functools import partial
from pathlib import Path

import numpy as np
from imagecodecs import jpegls_decode, jpegls_encode
from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.compression import REFUSED_QUALITY, WARNED_QUALITY
from tuning.data.table import read_films
from tuning.evaluation.film_changes import Change, compressed
from tuning.evaluation.robustness import robustness

from .robustness import films_of, table

QUALITIES = (90, 75, 60, 50, 45, 40, 30, 25, 20, 17, 15, 10, 5)
RATIOS = (10, 20, 40, 80)
"""Ratios of JPEG 2000, for films of 8 bits."""
NEAR = (2, 5, 10, 20)
"""Largest errors of JPEG-LS, in grays of 255."""
WEBP_QUALITIES = (75, 40, 20, 5)


def jpeg_2000(pixels: np.ndarray, rng: np.random.Generator, ratio: int) -> np.ndarray:
    """Compress with JPEG 2000 to this proportion and read again."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio])
    return np.asarray(Image.open(stream))


def near_lossless(pixels: np.ndarray, rng: np.random.Generator, near: int) -> np.ndarray:
    """Compress with JPEG-LS, with this largest error, and read again."""
    return jpegls_decode(jpegls_encode(np.ascontiguousarray(pixels), level=near))


def changes(other: bool) -> list[Change]:
    """Return the changes to measure: those of JPEG, or those of the other codecs."""
    if not other:
        return [Change(f"JPEG, quality {one}", "quality", partial(compressed, quality=one)) for one in QUALITIES]
    return [
        *(Change(f"JPEG 2000, 1:{one}", "quality", partial(jpeg_2000, ratio=one)) for one in RATIOS),
        *(Change(f"JPEG-LS, error {one}", "quality", partial(near_lossless, near=one)) for one in NEAR),
        *(
            Change(f"WebP, quality {one}", "quality", partial(compressed, quality=one, codec="WEBP"))
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
    arguments = parser.parse_args()
    grader = from_pretrained(arguments.bundle)
    print(f"{grader.model}, revision {grader.revision}; warned below {WARNED_QUALITY}, refused below {REFUSED_QUALITY}")
    for name in sorted({film.dataset for film in read_films(arguments.audit)}):
        films = films_of(arguments.audit, name, arguments.films)
        print(f"\n{name}, {len(films)} films\n\n{table(list(robustness(grader, films, changes(arguments.other))))}")


if __name__ == "__main__":
    main()
