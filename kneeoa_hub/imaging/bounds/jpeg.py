"""Bounds JPEG (ITU-T T.81) and JPEG-LS (T.87), as a file or as a frame of a DICOM film."""

import re
from collections.abc import Iterator

from .limit import METADATA_BYTES, at_most
from .tags import EXIF, check_exif, check_tags

SEGMENTS = 2000
"""A file has at most 2,000 segments: tables, headers and metadata. A phone's picture with 16 MB of metadata has about
300."""
PADDING_BYTES = 64 * 2**10
"""Up to 64 kB between segments may belong to none of them. Pillow looks at each of these bytes in Python."""
SCANS = 100
"""A file has at most 100 scans. A progressive film has about ten. libjpeg-turbo's own tools advise this limit."""
SCAN_PIXELS = 1_200_000_000
"""All scans together go through at most 1.2 billion pixels, thirty times those of the largest film. Each scan of a
progressive film goes through all of its pixels, even if the scan holds no data."""
COEFFICIENTS = 80_000_000
"""A JPEG in several scans, such as a progressive one, has at most 80 million coefficients. Its decoder keeps all of
them, at two bytes each. A gray film has one for each pixel, and colour adds up to two more."""
START, END, SCAN = 0xD8, 0xD9, 0xDA
BARE = {0x01, *range(0xD0, 0xDA)}
"""These markers have no length."""
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Segments with these markers give the size."""
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
"""Frames with these markers have components that each come in several scans."""
APPLICATION, COMMENT = range(0xE0, 0xF0), 0xFE
MPF = b"MPF\0"
"""These bytes precede the index of a file with several pictures, in the form of TIFF (CIPA DC-007)."""
MARKER = re.compile(rb"\xff+([^\x00\xff])")
AFTER_DATA = re.compile(rb"\xff+([\x80-\xcf\xd8-\xfe])")
"""This pattern finds the next marker behind compressed data. In the data, FF is followed by 0 or, in JPEG-LS, by less
than 80, or it begins a restart marker.
"""


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the payload of each segment, up to the end of the image.

    Raises OverBound if there is too much padding or there are too many segments.
    """
    at, count, padding, inside = 2, 0, 0, False
    while found := (AFTER_DATA if inside else MARKER).search(content, at):
        padding += 0 if inside else found.end() - at - 2
        at_most(PADDING_BYTES, padding, "bytes between segments")
        marker, at = found[1][0], found.end()
        if marker == END:
            return
        if marker in BARE:
            padding += 2
            continue
        count += 1
        at_most(SEGMENTS, count, "segments")
        length = max(2, int.from_bytes(content[at : at + 2]))
        yield marker, content[at + 2 : at + length]
        at, inside = at + length, marker == SCAN


def image_end(content: bytes) -> int:
    """Return where a JPEG or JPEG-LS ends, behind its last marker, or 0 if it is cut off before that."""
    at, inside = 2, False
    while found := (AFTER_DATA if inside else MARKER).search(content, at):
        marker, at = found[1][0], found.end()
        if marker == END:
            return at
        if marker not in BARE:
            at, inside = at + max(2, int.from_bytes(content[at : at + 2])), marker == SCAN
    return 0


def scan_pixels(content: bytes) -> int:
    """Return how many pixels the scans of a JPEG go through.

    Raises OverBound for too many scans or segments, and for too many coefficients in several scans.
    """
    size = scans = coefficients = components = 0
    progressive = False
    for marker, payload in segments(content):
        if marker in FRAMES:
            size = max(size, int.from_bytes(payload[1:3]) * int.from_bytes(payload[3:5]))
            coefficients, progressive = max(coefficients, _coefficients(payload)), marker in PROGRESSIVE
            components = int.from_bytes(payload[5:6])
        elif marker == SCAN:
            if progressive or int.from_bytes(payload[:1]) < components:
                at_most(COEFFICIENTS, coefficients, "coefficients in several scans")
            scans += 1
            at_most(SCANS, scans, "scans")
    return size * scans


def _coefficients(frame: bytes) -> int:
    """Return how many values a frame has in all of its components, by the sampling of each (T.81, B.2.2)."""
    pixels = int.from_bytes(frame[1:3]) * int.from_bytes(frame[3:5])
    sampling = [(factors >> 4) * (factors & 15) for factors in frame[7::3]]
    return pixels * sum(sampling) // max(1, *sampling) if sampling else 0


def check_scans(content: bytes) -> None:
    """Check the segments and the scans of a JPEG. Raises OverBound."""
    at_most(SCAN_PIXELS, scan_pixels(content), "pixels in all scans")


def check_jpeg(content: bytes) -> None:
    """Check the segments and the scans of a JPEG file, and what its EXIF and MPF hold. Raises OverBound."""
    size, exif = 0, []
    for marker, payload in segments(content):
        if marker == SCAN:  # Pillow looks no further
            break
        if marker in APPLICATION or marker == COMMENT:
            size += len(payload)
            at_most(METADATA_BYTES, size, "bytes of metadata")
            if payload.startswith(EXIF):
                exif.append(payload)
            elif payload.startswith(MPF):
                check_tags(payload[len(MPF) :])
    check_exif({"exif": b"".join(exif[:1] + [part[len(EXIF) :] for part in exif[1:]])})
    check_scans(content)
