"""Estimates how much a film lost by compression, as the quality of the JPEG that loses as much.

Strong compression changes the grade: blocks of one gray and smooth edges hide osteophytes and the edge of the joint
space. JPEG and WebP store their quantisation, and JPEG-LS its largest error. JPEG 2000 tells by the bits that it spends
on a pixel of what is not plain: borders and air take hardly any. A DICOM header may say that the film was compressed
before.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .bounds.jpeg import FRAMES, SCAN, segments
from .bounds.jpeg2000 import CODESTREAM, is_reversible
from .percentiles import gray_spread
from .webp_quantiser import quantiser

WARNED_QUALITY = 35.0
"""A film of lower quality gets a warning. `python -m benchmarks.robustness` compressed 120 validation films of each
collection, with version 0.9.0. At quality 50, 93% and 94% of the grades stay; at 30, 89% stay, with a shift of severity
below 0.05.
"""
REFUSED_QUALITY = 14.0
"""A film of lower quality is refused. At quality 15, 79% and 78% of the grades stay and QWK falls by 0.04 and 0.05,
without a shift of severity. Lower qualities were not measured with this bundle.
"""
COMPRESSED = (
    "The film was compressed strongly (as by JPEG of quality {quality:.0f} of 100), which can change the grade; send"
    " the original where there is one."
)
"""A film below WARNED_QUALITY gets this warning."""
MEASURED_SIDE, JOINT = 299, 0.3
"""The limits were measured on films of one joint with 299 pixels a side. On a film of both knees, a joint takes 30% of
the shorter side. A joint with more pixels keeps more of its detail."""
BITS_OF_JPEG_2000 = ((0.0, 1.0), (0.033, 14.0), (0.084, 26.0), (0.184, 44.0), (0.386, 68.0), (0.79, 84.0), (1.6, 88.0))
"""Each number of bits for a pixel that is not plain has the quality of a JPEG with the same mean squared error. The
edge of a border takes bits from the film: in files of the same size from 1:10 to 1:80, a border of 10% to 60% of the
width lowers the mean quality of 60 OAI films by at most 7.
"""
QUANTISERS_OF_WEBP = ((0.0, 88.0), (3.8, 86.0), (25.2, 46.0), (43.6, 28.0), (60.0, 20.0), (83.4, 14.2), (127.0, 9.0))
"""Each index of a quantiser has such a quality too. They are those of the qualities 100, 95, 75, 40, 20, 5 and 0 of
WebP. Of 60 OAI films in WebP of quality 20 and 40 and in JPEG of quality 15 and 30, as they are, with a black border of
a quarter of the width, a white one of 10% and a gray one of 60%, none is refused, and all get the warning. When the
bytes were divided by all pixels, 10% (quality 20) and 2% (40) of them were refused in WebP as they are, 83% and 35%
with the black border, 18% and 2% with the white one, and all with the gray one.
"""
LARGEST_ERRORS = ((0.0, 100.0), (2.0, 83.0), (5.0, 27.0), (10.0, 9.0), (20.0, 2.0))
"""Each largest error of JPEG-LS, in grays of 255, has such a quality too. `python -m benchmarks.compression --equal`
measured all three on 120 OAI films.
"""
BLOCK, PLAIN = 8, 0.01
"""A block of 8 x 8 pixels is plain if its grays differ by at most 1% of the film's spread, as in a border or in air. A
marker does not widen the spread: beside a brighter one the tissue itself would be plain."""
LEAST_DETAILED = 0.05
"""At least this proportion of a film counts as not plain. One that lost everything is plain throughout."""
DATA = b"\xff\x93"
"""What follows this marker of JPEG 2000 (ITU-T T.800, A.4.3) is the film. A tile of a TIFF has headers of its own."""
WHOLE_BITS = 0.5
"""A pixel of 8 bits takes at least half a bit in the reversible wavelet of JPEG 2000 if nothing is left out. Of 300
films, from OAI and two outside collections, none took less than 1."""
LEAST_STATED = REFUSED_QUALITY + 1
"""A header alone gives a film no lower quality than this."""
QUANTISATION = 0xDB
"""A segment with quantisation tables has this marker (ITU-T T.81, B.2.4.1)."""
LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}
"""Frames with these markers have no quantisation."""
LOWEST = (0, 1, 8, 16, 9, 2, 3, 10, 17, 24)
"""These are the places of the ten lowest frequencies in a block of 8 x 8, in the order of a file's tables."""
STANDARD = (16, 11, 12, 14, 12, 10, 16, 14, 13, 14)
"""The example for brightness in ITU-T T.81, table K.1, has these steps for LOWEST. libjpeg's scale starts from them."""


def jpeg_quality(jpeg: bytes, tables: bytes = b"") -> float | None:
    """Estimate the quality of a JPEG on the scale of libjpeg.

    Args:
        jpeg: The file, or the frame of a DICOM film, or the strip of a TIFF.
        tables: A JPEG with the tables that the first one lacks, as TIFF stores them.

    Returns:
        About 1 (worst) to 100, or None if the film is lossless or has no table.
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


def jpeg_ls_quality(jpeg: bytes, grays: float) -> float | None:
    """Estimate which quality of JPEG loses as much as a frame of JPEG-LS.

    Args:
        jpeg: The frame.
        grays: How many grays the values of the film take.

    Returns:
        The quality as `jpeg_quality` gives it, or None if the film is lossless.
    """
    near = next((payload[1 + 2 * payload[0]] for marker, payload in segments(jpeg) if marker == SCAN), 0)
    return _between(LARGEST_ERRORS, 255 * near / max(1.0, grays)) if near else None


def jpeg_2000_quality(pieces: Sequence[bytes], decoded: np.ndarray) -> float | None:
    """Estimate which quality of JPEG loses as much as a film in one or more pieces of JPEG 2000.

    Its quantisation does not tell, since encoders take fine steps and leave out what does not fit the rate. The
    reversible wavelet keeps most films whole, so it gives None unless a pixel has too few bits for that.

    Args:
        pieces: The film's frame, or its strips or tiles.
        decoded: What they show, [H,W].
    """
    start, bits = max(0, pieces[0].find(CODESTREAM)), jpeg_2000_bits(pieces, decoded)
    return None if bits >= WHOLE_BITS and is_reversible(pieces[0][start:]) else _between(BITS_OF_JPEG_2000, bits)


def jpeg_2000_bits(pieces: Iterable[bytes], decoded: np.ndarray) -> float:
    """Return how many bits behind its headers a film in pieces of JPEG 2000 spends on a pixel that is not plain."""
    return 8 * sum(len(piece) - max(0, piece.find(DATA)) for piece in pieces) / detailed_pixels(decoded)


def detailed_pixels(decoded: np.ndarray) -> float:
    """Count the pixels of a film [H,W] that lie in blocks that are not plain; see LEAST_DETAILED."""
    down, across = (side // BLOCK for side in decoded.shape)
    rows = decoded[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across * BLOCK)
    highest, lowest = (
        one.reshape(down, across, BLOCK).astype(np.float32) for one in (rows.max(axis=1), rows.min(axis=1))
    )
    ranges = highest.max(axis=2) - lowest.min(axis=2)
    detailed = BLOCK**2 * int(np.count_nonzero(ranges > PLAIN * gray_spread(decoded)))
    return max(detailed, LEAST_DETAILED * decoded.size)


def stated_quality(ratio: float, bits: int, stored: np.ndarray) -> float | None:
    """Estimate which quality of JPEG loses as much as an earlier compression of which only the ratio is known.

    The compression is taken for JPEG 2000, which loses least for its bits. It is no reason to refuse a film, since the
    film itself does not show the loss and a header may be wrong.

    Args:
        ratio: How many times smaller the film was.
        bits: Bits of a cell before the compression.
        stored: The film [H,W], whose plain parts took hardly any of the bits.

    Returns:
        The quality, LEAST_STATED or more, or None for an impossible ratio.
    """
    if ratio <= 1:
        return None
    return max(LEAST_STATED, _between(BITS_OF_JPEG_2000, bits / ratio * stored.size / detailed_pixels(stored)))


def webp_quality(pieces: Iterable[bytes]) -> float | None:
    """Estimate which quality of JPEG loses as much as a film in one or more WebP files. None means no loss."""
    found = [index for piece in pieces if (index := quantiser(piece)) is not None]
    return _between(QUANTISERS_OF_WEBP, sum(found) / len(found)) if found else None


def quality_at_joint(quality: float, height: int, width: int) -> float:
    """Return the quality that harms a joint of MEASURED_SIDE pixels as much as this one harms the film's joint.

    Quantisation noise falls with the side to which a joint is shrunk before it is graded.

    Args:
        quality: Quality of a JPEG encoder, 1 to 100.
        height: Height of the film in pixels.
        width: Width of the film in pixels.
    """
    finer = max(1.0, JOINT * min(height, width) / MEASURED_SIDE)
    return _quality_of_scale(_scale_of_quality(quality) / finer)


def _between(points: Sequence[tuple[float, float]], value: float) -> float:
    places, values = zip(*points, strict=True)
    return float(np.interp(value, places, values))


def _scale_of_quality(quality: float) -> float:
    return 200 - 2 * quality if quality >= 50 else 5000 / max(quality, 1.0)


def _quality_of_scale(scale: float) -> float:
    return (200 - scale) / 2 if scale <= 100 else 5000 / scale


def quality_of_steps(steps: Sequence[float]) -> float | None:
    """Return the quality for the ten lowest frequencies' steps, in grays of 256, by the inverse of libjpeg's rule."""
    scale = 100 * sum(step / standard for step, standard in zip(steps, STANDARD, strict=True)) / len(STANDARD)
    return _quality_of_scale(scale) if scale > 0 else None


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
