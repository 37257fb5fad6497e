"""Pixel data of DICOM films (PS3.5 8 and A.4): uncompressed, RLE, and every kind of JPEG that radiographs come in.

What is compressed is decoded by imagecodecs, which writes into an array of the size that the header gives: a frame that
claims another size is refused before it takes any memory. Of the decoders that pydicom would take some are under the
GPL, or end the process on a corrupt film. What is not compressed is taken as it lies there: pydicom passes over High
Bit, and warns with what the header says.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from .quiet import unwarned

END_OF_IMAGE = b"\xff\xd9"
JPEG: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
"""ITU-T T.81."""
JPEG_LS: tuple[str, ...] = (JPEGLSLossless, JPEGLSNearLossless)
"""ITU-T T.87."""
JPEG_2000: tuple[str, ...] = (JPEG2000Lossless, JPEG2000)
LOSSY: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
"""In which a value may come out somewhat beyond the highest one."""
UNCOMPRESSED: tuple[str, ...] = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
BARE_SYNTAXES: dict[tuple[bool | None, bool | None], Any] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
}
"""Of a data set that names none, by what pydicom finds of it: (kinds left out, little endian). Its pixels can't be
compressed."""
SYNTAXES: tuple[str, ...] = (*UNCOMPRESSED, *JPEG, *JPEG_LS, *JPEG_2000, RLELossless)
CODESTREAM, DEPTH = b"\xff\x4f\xff\x51", 42
"""How JPEG 2000 begins, and how far from there the depth of its first channel lies (ITU-T T.800, A.5.1)."""
JUDGED = 256
"""Rows by which it is told what the upper bits of a frame are."""
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG (T.81, table B.1) and of JPEG-LS (T.87) after which the depth stands."""


def stored_values(header: Any, samples: int = 1) -> np.ndarray:
    """[H,W] stored values of a film of one frame in one of SYNTAXES; [H,W,3] of an uncompressed one of three samples.
    May be read-only.

    Raises ImportError without the decoders; ValueError, or an error of the decoder, for corrupt pixel data and for a
    frame of another size or depth than the header's.
    """
    syntax, stored, high = header.file_meta.TransferSyntaxUID, int(header.BitsStored), high_bit(header)
    if syntax in UNCOMPRESSED:
        return _of_cells(_uncompressed(header, samples), stored, high, header.PixelRepresentation)
    with unwarned():
        frame = next(generate_frames(header.PixelData, number_of_frames=1))
    if syntax == RLELossless:
        cells = _from_rle(frame, (header.Rows, header.Columns), np.uint8 if header.BitsAllocated <= 8 else np.uint16)
        return _of_cells(cells, stored, high, header.PixelRepresentation)
    # Of what is missing libjpeg would make gray, and CharLS would look for it for seconds.
    if syntax in (*JPEG, *JPEG_LS) and not frame.rstrip(b"\0\xff").endswith(END_OF_IMAGE):
        raise ValueError("the film is cut off")
    depth = _depth(frame, syntax)
    cells = np.empty((header.Rows, header.Columns), np.uint8 if depth <= 8 else np.uint16)
    _decoder(syntax)(frame, out=cells)
    if depth <= max(stored, high):  # the frame holds values, not the cells that they lay in
        high = stored - 1
    # a header that says less than the frame holds
    elif high == stored - 1 and syntax not in LOSSY and _belong(cells, stored):
        stored, high = depth, depth - 1
    if syntax in LOSSY and not header.PixelRepresentation:
        np.minimum(cells, 2 ** min(high + 1, 8 * cells.itemsize) - 1, out=cells)
    return _of_cells(cells, stored, high, header.PixelRepresentation)


def high_bit(header: Any) -> int:
    """The place of a value's highest bit in its cell, counted from 0."""
    high = header.get("HighBit")
    return int(header.BitsStored) - 1 if high is None else int(high)


def _of_cells(cells: np.ndarray, stored: int, high: int, signed: int) -> np.ndarray:
    """The values in unsigned cells, in their place where that may be written: of each the `stored` bits from `high`
    down (PS3.5 8.1.1).

    The others may hold anything; older machines put overlays there.
    """
    width = 8 * cells.itemsize
    if not 0 < stored <= high + 1 <= width:
        raise ValueError(f"{stored} bits up to {high} of {width}")
    values = cells
    if stored < width:
        values = np.left_shift(cells, width - 1 - high, out=cells if cells.flags.writeable else None)
    if signed:
        values = values.view(values.dtype.str.replace("u", "i"))
    return np.right_shift(values, width - stored, out=values) if stored < width else values


def _belong(cells: np.ndarray, stored: int) -> bool:
    """Whether the bits above the `stored` ones are part of the values: neighbours differ less with them, where an
    overlay makes them differ more.
    """
    rows = cells[:: max(1, len(cells) // JUDGED)].astype(np.int64)
    whole, cut = (np.abs(np.diff(values, axis=1)).sum() for values in (rows, rows & (2**stored - 1)))
    return bool(whole < cut)


def _uncompressed(header: Any, samples: int) -> np.ndarray:
    """A view of the cells as they lie in the file. Raises ValueError where there are too few."""
    if header["PixelData"].is_undefined_length:
        raise ValueError("compressed, in a data set that does not say how")
    big = header.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    shape, kind = (header.Rows, header.Columns), np.dtype(f"{'>' if big else '<'}u{header.BitsAllocated // 8}")
    content = header.PixelData
    # two cells a word, the first one in its lower half
    if big and kind.itemsize == 1 and header["PixelData"].VR == "OW":
        content = np.frombuffer(content, "u2").byteswap()
    cells = np.frombuffer(content, kind, shape[0] * shape[1] * samples)
    if samples == 1:
        return cells.reshape(shape)
    return (
        np.moveaxis(cells.reshape(samples, *shape), 0, -1)
        if header.PlanarConfiguration
        else cells.reshape(*shape, samples)
    )


def _depth(frame: bytes, syntax: UID) -> int:
    """Bits of a value as the frame itself says. Raises IndexError when it ends before that."""
    if syntax in JPEG_2000:
        return (frame[frame.index(CODESTREAM) + DEPTH] & 0x7F) + 1
    at = 2
    while frame[at] == 0xFF and frame[at + 1] not in FRAME_HEADERS:
        # a marker may have any number of FF before it
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4])
    return frame[at + 4]


def _decoder(syntax: UID) -> Callable[..., Any]:
    from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode

    if syntax in JPEG:
        return jpeg8_decode
    return jpegls_decode if syntax in JPEG_LS else jpeg2k_decode


def _from_rle(frame: bytes, shape: tuple[int, int], kind: type[np.unsignedinteger]) -> np.ndarray:
    from imagecodecs import dicomrle_decode

    room = bytearray(shape[0] * shape[1] * np.dtype(kind).itemsize)
    if len(dicomrle_decode(frame, np.dtype(kind), out=room)) != len(room):
        raise ValueError("the film is cut off")
    return np.frombuffer(room, kind).reshape(shape)
