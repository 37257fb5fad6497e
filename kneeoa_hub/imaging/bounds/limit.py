"""What every walk through a header shares: the error of a bound that is passed, and sizes that all formats have."""

METADATA_BYTES = 16 * 2**20
"""Most bytes of comments, profiles and private data in a picture. A printer's colour profile has four million, and
a phone's depth map eight million."""


class OverBound(Exception):
    """A file holds more of something than any film needs, so it would take memory or time out of all proportion."""


def at_most(most: int, count: int, what: str) -> None:
    """Raise OverBound where there are more than `most` of `what`, which is a plural."""
    if count > most:
        raise OverBound(f"over {most} {what}")
