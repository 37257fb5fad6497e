"""What every walk through a header shares: the error of a bound that is passed, and sizes that all formats have."""

METADATA_BYTES = 16 * 2**20
"""Most bytes of comments, profiles and private data in a picture. A printer's colour profile has four million, and
a phone's depth map eight million."""
HEADER_BYTES = 4 * 2**20
"""Most bytes of a DICOM film that pydicom may read beside the pixels, of all elements that are wanted and of sequences.
Text in many parts takes forty times its bytes. The largest tables and palettes have one megabyte together."""


class OverBound(Exception):
    """A file holds more of something than any film needs, so it would take memory or time out of all proportion."""


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
