"""Holds what every walk through a header shares: the error of a passed bound, and sizes that all formats have."""

METADATA_BYTES = 16 * 2**20
"""Comments, profiles and private data of a picture have at most 16 MB. A printer's colour profile has 4 MB, and a
phone's depth map 8 MB."""
HEADER_BYTES = 4 * 2**20
"""pydicom reads at most 4 MB of a DICOM film beside the pixels, for all wanted elements and sequences. Text in many
parts takes forty times its bytes. The largest tables and palettes have one megabyte together."""


class OverBound(Exception):
    """Reports that a file holds more of something than any film needs, so it would take far too much memory or time."""


def at_most(most: int, count: int, what: str) -> None:
    """Check a count against its bound.

    Args:
        most: The bound.
        count: The number found in the file.
        what: The things that are counted, in the plural.

    Raises:
        OverBound: There are more than `most`.
    """
    if count > most:
        raise OverBound(f"over {most} {what}")
