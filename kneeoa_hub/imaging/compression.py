"""How hard a film was compressed with JPEG, by the quantisation tables that its file holds.

Strong compression shifts the grade: blocks of one gray hide osteophytes and the edge of the joint space.
"""

from collections.abc import Mapping, Sequence

from .bounds.jpeg import FRAMES, SCAN, segments

WARNED_QUALITY = 45.0
"""A film of lower quality gets a warning. `python -m benchmarks.compression` compressed 826 validation films of 299 px:
at 45, 89% of the grades stay (QWK 0.807 against 0.822), at 30, 81%, and severity rises by 0.16."""
REFUSED_QUALITY = 17.5
"""A film of lower quality is refused. At 17, 62% of the grades stay (QWK 0.722) and severity rises by 0.37; at 10, 42%
(QWK 0.542). A new bundle may move both limits."""
COMPRESSED = (
    "The film was compressed strongly (JPEG, quality about {quality:.0f} of 100), which raises the grade; send the"
    " original where there is one."
)
"""The warning about a film below WARNED_QUALITY."""
QUANTISATION = 0xDB
"""Marker of the segment with quantisation tables (ITU-T T.81, B.2.4.1)."""
LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}
"""Markers of frames without quantisation."""
LOWEST = (0, 1, 8, 16, 9, 2, 3, 10, 17, 24)
"""The ten lowest frequencies of a block of 8 x 8, by their place in it, in the order of a file's tables."""
STANDARD = (16, 11, 12, 14, 12, 10, 16, 14, 13, 14)
"""The steps of LOWEST for brightness in the example of ITU-T T.81, table K.1, from which libjpeg's scale starts."""


def jpeg_quality(jpeg: bytes, tables: bytes = b"") -> float | None:
    """Estimate the quality of a JPEG on the scale of libjpeg.

    Args:
        jpeg: The file, or the frame of a DICOM film, or the strip of a TIFF.
        tables: A JPEG with the tables that the first one lacks, as TIFF stores them.

    Returns:
        About 1 (worst) to 100, or None where the film is lossless or has no table.
    """
    steps: dict[int, list[int]] = {}
    table, depth = 0, 8
    for stream in (tables, jpeg):
        for marker, payload in segments(stream):
            if marker == SCAN:
                break
            if marker in LOSSLESS_FRAMES:
                return None
            if marker == QUANTISATION:
                steps |= _steps(payload)
            elif marker in FRAMES and len(payload) > 8:
                depth, table = payload[0], payload[8]
    return quality_of_steps([step / 2 ** (depth - 8) for step in steps[table]]) if table in steps else None


def pillow_quality(tables: Mapping[int, Sequence[int]], layers: Sequence[Sequence[int]]) -> float | None:
    """Estimate the quality of a JPEG that Pillow opened, from its attributes `quantization` and `layer`."""
    table = tables.get(layers[0][3] if layers else 0)
    return quality_of_steps([table[place] for place in LOWEST]) if table and len(table) == 64 else None


def quality_of_steps(steps: Sequence[float]) -> float | None:
    """Return the quality of the ten lowest frequencies' steps, in grays of 256: the inverse of libjpeg's rule."""
    scale = 100 * sum(step / standard for step, standard in zip(steps, STANDARD, strict=True)) / len(STANDARD)
    if scale <= 0:
        return None
    return (200 - scale) / 2 if scale <= 100 else 5000 / scale


def _steps(payload: bytes) -> dict[int, list[int]]:
    """Return the ten lowest steps of each table of a segment, by the table's number."""
    found, at = {}, 0
    while at < len(payload):
        size, number = 1 + (payload[at] >> 4), payload[at] & 15
        values = payload[at + 1 : at + 1 + 64 * size]
        if len(values) == 64 * size:
            found[number] = [int.from_bytes(values[k : k + size]) for k in range(0, size * len(LOWEST), size)]
        at += 1 + 64 * size
    return found
