"""Tells by its EXIF whether a picture is a photograph, as of a screen or of a film on a light box."""

from contextlib import suppress

from PIL import Image

EXIF = 0x8769
"""This tag leads to the statements about how a picture was taken."""
F_NUMBER, FOCAL_LENGTH = 33437, 37386
"""A camera states these about its lens. Scanners and viewers have none to state."""
PHOTOGRAPH = (
    "The film's file is a camera's photograph, whose glare and grain can change the grade; send the film itself,"
    " exported from its viewer or scanned."
)
"""A photograph gets this warning. In simulated photographs of a screen, glare and grain changed some grades."""


def is_photograph(exif: Image.Exif) -> bool:
    """Tell whether the EXIF of a picture states the lens of a camera."""
    stated = {}
    with suppress(Exception):  # Pillow raises many types for a damaged directory, which says nothing then
        stated = exif.get_ifd(EXIF)
    return F_NUMBER in stated or FOCAL_LENGTH in stated
