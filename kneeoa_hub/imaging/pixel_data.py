"""Pixel data of DICOM films (PS3.5 8 and A.4): uncompressed, RLE, and every kind of JPEG that radiographs come in.

imagecodecs decodes compressed frames into an array of the size that the header gives: a frame that claims another size
is refused before it takes any memory. Some of the decoders that pydicom would use are under the GPL, or end the process
on a corrupt film. Uncompressed cells are taken as they lie in the file: pydicom ignores High Bit, and its warnings
quote the header.
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

from .bounds.dicom import check_fragments, check_frame
from .quiet import quiet_warnings

END_OF_IMAGE = b"\xff\xd9"
"""The last bytes of a JPEG or JPEG-LS frame."""
JPEG: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
"""Transfer syntaxes of ITU-T T.81."""
JPEG_LS: tuple[str, ...] = (JPEGLSLossless, JPEGLSNearLossless)
"""Transfer syntaxes of ITU-T T.87."""
JPEG_2000: tuple[str, ...] = (JPEG2000Lossless, JPEG2000)
"""Transfer syntaxes of ITU-T T.800."""
LOSSY: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
"""Transfer syntaxes in which a decoded value may lie somewhat above the highest one."""
UNCOMPRESSED: tuple[str, ...] = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""Transfer syntaxes whose pixel data are the cells themselves."""
BARE_SYNTAXES: dict[tuple[bool | None, bool | None], Any] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
}
"""The syntax of a data set that names none, by what pydicom finds in it: (implicit VR, little endian). The pixels of
such a data set cannot be compressed."""
SYNTAXES: tuple[str, ...] = (*UNCOMPRESSED, *JPEG, *JPEG_LS, *JPEG_2000, RLELossless)
"""Every transfer syntax that is read."""
CODESTREAM, DEPTH = b"\xff\x4f\xff\x51", 42
"""The first bytes of JPEG 2000, and how many bytes behind them the depth of the first channel lies (T.800, A.5.1)."""
SAMPLE_ROWS = 256
"""Rows by which `_upper_bits_belong` judges a frame."""
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG (T.81, table B.1) and JPEG-LS (T.87) that precede the depth."""


def stored_values(header: Any, samples: int = 1) -> np.ndarray:
    """Decode the pixel data of a film with one frame.

    Args:
        header: The data set, in one of SYNTAXES.
        samples: Channels of a pixel: 1, or 3 in an uncompressed film.

    Returns:
        The stored values [H,W], or [H,W,3] of three samples. The array may be read-only.

    Raises:
        ImportError: The decoders are not installed.
        OverBound: The pixel data would take far more memory or time than a film needs.
        ValueError: The pixel data are corrupt, or the frame's size or depth differs from the header's. The decoders
            raise errors of their own too.
    """
    syntax, stored, high = header.file_meta.TransferSyntaxUID, int(header.BitsStored), high_bit(header)
    if syntax in UNCOMPRESSED:
        return _values(_uncompressed(header, samples), stored, high, header.PixelRepresentation)
    check_fragments(header.PixelData)
    with quiet_warnings():
        frame = next(generate_frames(header.PixelData, number_of_frames=1))
    if syntax == RLELossless:
        cells = _from_rle(frame, (header.Rows, header.Columns), np.uint8 if header.BitsAllocated <= 8 else np.uint16)
        return _values(cells, stored, high, header.PixelRepresentation)
    return _from_jpeg(frame, header, stored, high)


def _from_jpeg(frame: bytes, header: Any, stored: int, high: int) -> np.ndarray:
    """Decode a frame of any JPEG, and weigh what the header says of its bits against the frame itself."""
    syntax = header.file_meta.TransferSyntaxUID
    check_frame(frame, jpeg2000=syntax in JPEG_2000)
    # libjpeg would fill a missing part with gray, and CharLS would look for it for seconds.
    if syntax in (*JPEG, *JPEG_LS) and not frame.rstrip(b"\0\xff").endswith(END_OF_IMAGE):
        raise ValueError("the film is cut off")
    depth = _depth(frame, syntax)
    cells = np.empty((header.Rows, header.Columns), np.uint8 if depth <= 8 else np.uint16)
    _decoder(syntax)(frame, out=cells)
    if depth <= max(stored, high):  # the frame holds bare values, not the cells in which they lay
        high = stored - 1
    elif high == stored - 1 and syntax not in LOSSY and _upper_bits_belong(cells, stored):
        stored, high = depth, depth - 1  # the header names fewer bits than the frame holds
    if syntax in LOSSY and not header.PixelRepresentation:
        np.minimum(cells, 2 ** min(high + 1, 8 * cells.itemsize) - 1, out=cells)
    return _values(cells, stored, high, header.PixelRepresentation)


def high_bit(header: Any) -> int:
    """Return the place of a value's highest bit in its cell, counted from 0."""
    high = header.get("HighBit")
    return int(header.BitsStored) - 1 if high is None else int(high)


def _values(cells: np.ndarray, stored: int, high: int, signed: int) -> np.ndarray:
    """Return the values in unsigned cells: of each cell the `stored` bits from `high` downwards (PS3.5 8.1.1).

    The other bits may hold anything; older machines put overlays there. Writable cells are changed in place.
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


def _upper_bits_belong(cells: np.ndarray, stored: int) -> bool:
    """Tell whether the bits above the `stored` ones are part of the values.

    Neighbours then differ less with these bits than without. The bits of an overlay make them differ more.
    """
    rows = cells[:: max(1, len(cells) // SAMPLE_ROWS)].astype(np.int64)
    whole, cut = (np.abs(np.diff(values, axis=1)).sum() for values in (rows, rows & (2**stored - 1)))
    return bool(whole < cut)


def _uncompressed(header: Any, samples: int) -> np.ndarray:
    """Return a view of the cells as they lie in the file. Raises ValueError where there are too few."""
    if header["PixelData"].is_undefined_length:
        raise ValueError("compressed, in a data set that does not say how")
    big = header.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    shape, kind = (header.Rows, header.Columns), np.dtype(f"{'>' if big else '<'}u{header.BitsAllocated // 8}")
    content = header.PixelData
    if big and kind.itemsize == 1 and header["PixelData"].VR == "OW":  # two cells a word, the first in its lower half
        content = np.frombuffer(content, "u2").byteswap()
    cells = np.frombuffer(content, kind, shape[0] * shape[1] * samples)
    if samples == 1:
        return cells.reshape(shape)
    if header.PlanarConfiguration:
        return np.moveaxis(cells.reshape(samples, *shape), 0, -1)
    return cells.reshape(*shape, samples)


def _depth(frame: bytes, syntax: UID) -> int:
    """Return the bits of a value as the frame itself says. Raises IndexError where the frame ends before that."""
    if syntax in JPEG_2000:
        return (frame[frame.index(CODESTREAM) + DEPTH] & 0x7F) + 1
    at = 2
    while frame[at] == 0xFF and frame[at + 1] not in FRAME_HEADERS:
        # A marker may have any number of FF bytes before it.
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
