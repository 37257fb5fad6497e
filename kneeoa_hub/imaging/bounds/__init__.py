"""Bounds what a file may ask of its decoder, by checks of its headers before a decoder reads them.

A film of a few kilobytes can make a decoder take gigabytes or minutes: by tags that share their bytes, by a million
empty chunks, or by scans without data. Each module walks the headers of one format and counts. Its limits lie far above
what films need.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import FilmTooLarge
from .bmp import check_bmp
from .jpeg import check_jpeg
from .limit import OverBound
from .png import check_png
from .tiff import check_tiff
from .webp import check_webp

__all__ = ["OverBound", "bounded", "check_picture"]

CHECKS: dict[bytes, Callable[[bytes], None]] = {
    b"\x89PNG": check_png,
    b"\xff\xd8\xff": check_jpeg,
    b"II": check_tiff,
    b"MM": check_tiff,
    b"BM": check_bmp,
}
"""The first bytes of a file choose its check."""


@contextmanager
def bounded(name: str) -> Iterator[None]:
    """Raise FilmTooLarge for a film that passes a bound in the block."""
    try:
        yield
    except Exception as error:
        over = error if isinstance(error, OverBound) else error.__context__  # pydicom may raise its own in between
        if not isinstance(over, OverBound):
            raise
        raise FilmTooLarge(
            f"{name} would take far more memory or time than a film needs (it has {over}). Export the film again, as a"
            " plain PNG file or as uncompressed DICOM."
        ) from None


def check_picture(content: bytes, name: str, max_pixels: int) -> None:
    """Check the headers of a picture. Any other file passes.

    Args:
        content: The file's bytes.
        name: What messages call the film.
        max_pixels: Most pixels of a film.

    Raises:
        FilmTooLarge: The file would take far more memory or time than a film needs.
    """
    with bounded(name):
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            check_webp(content, max_pixels)
        for mark, check in CHECKS.items():
            if content.startswith(mark):
                check(content)
