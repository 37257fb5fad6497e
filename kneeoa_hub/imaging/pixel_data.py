"""Decodes the pixel data of DICOM films (PS3.5 8 and A.4): uncompressed, RLE, and every JPEG of radiographs.

Archives convert films and leave the old transfer syntax in the header, so a frame tells by its first bytes what it is.
imagecodecs decodes compressed frames into an array of the size that the header gives: a frame that claims another size
is refused before it takes any memory. Some of the decoders that pydicom would use are under the GPL, or end the process
on a corrupt film. Uncompressed cells are taken as they lie in the file: pydicom ignores High Bit, and its warnings
quote the header.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
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

from .bounds.dicom import ITEM, check_fragments, check_frame
from .bounds.jpeg import image_end
from .bounds.limit import OverBound
from .pixel_form import PixelForm
from .quiet import quiet_warnings
from .stored_bits import CONTRADICTED, Bits, fitting_bits, possible_bits, values_of

JPEG: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
"""These transfer syntaxes are of ITU-T T.81."""
JPEG_LS: tuple[str, ...] = (JPEGLSLossless, JPEGLSNearLossless)
"""These transfer syntaxes are of ITU-T T.87."""
JPEG_2000: tuple[str, ...] = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
"""These transfer syntaxes are of ITU-T T.800 and, in high throughput, T.814."""
RLE: tuple[str, ...] = (RLELossless,)
FAMILIES: tuple[tuple[str, ...], ...] = (JPEG, JPEG_LS, JPEG_2000, RLE)
"""Each kind of frame has these syntaxes."""
LOSSY: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
"""In these transfer syntaxes a decoded value may lie somewhat above the highest one."""
OVERSHOOT = 1.25
"""Values of a lossy film are at most 1.25 times the highest one that fits their bits. Higher values have more bits."""
UNCOMPRESSED: tuple[str, ...] = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""The pixel data of these transfer syntaxes are the cells themselves."""
BARE_SYNTAXES: dict[tuple[bool | None, bool | None], Any] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
}
"""A data set that names no syntax has one of these, by what pydicom finds in it: (implicit VR, little endian). Its
pixels cannot be compressed.
"""
SYNTAXES: tuple[str, ...] = (*UNCOMPRESSED, *JPEG, *JPEG_LS, *JPEG_2000, RLELossless)
"""The package reads all of these transfer syntaxes."""
CODESTREAM, COMPONENTS, DEPTH = b"\xff\x4f\xff\x51", 40, 42
"""JPEG 2000 begins with these bytes. The number of channels lies 40 bytes behind the first of them, and the depth of
the first channel 42 (T.800, A.5.1)."""
JP2, SOI, LS_FRAME = b"\0\0\0\x0cjP  ", b"\xff\xd8\xff", 0xF7
"""A JPEG 2000 file and any JPEG begin with these bytes. A frame of JPEG-LS has the last marker."""
RLE_HEADER, MOST_SEGMENTS = 64, 15
"""The first segment of RLE begins after 64 bytes. There are at most 15 segments (PS3.5 G.5)."""
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""These markers of JPEG (T.81, table B.1) and JPEG-LS (T.87) precede depth, size and number of channels."""


def stored_values(header: Any, form: PixelForm, max_pixels: int) -> tuple[np.ndarray, PixelForm, tuple[str, ...]]:
    """Decode the pixel data of a film with one frame.

    Args:
        header: The data set, in one of SYNTAXES.
        form: The form of its pixel data by the header.
        max_pixels: Most pixels of a film.

    Returns:
        The stored values, [H,W] or [H,W,3], their true form, and a warning if the header contradicts
        it. The array may be read-only.

    Raises:
        ImportError: The decoders are not installed.
        OverBound: The pixel data would take far more memory or time than a film needs.
        ValueError: The pixel data are corrupt, or the frame's size differs from the header's. The decoders raise errors
            of their own too.
    """
    possible = replace(form, bits=possible_bits(form.bits, form.allocated))
    values, fitting, warnings = _fitted(*_cells(header, possible, max_pixels))
    return values, fitting, warnings if possible == form else (CONTRADICTED,)


def _cells(header: Any, form: PixelForm, max_pixels: int) -> tuple[np.ndarray, PixelForm]:
    """Return the cells [H,W] or [H,W,3], with the form in which values lie in them."""
    frame = frame_of(header, form)
    if frame is None:
        return _uncompressed(header, form), form
    named = next((one for one in FAMILIES if form.syntax in one), ())
    found = _family_of(frame)
    if found and found != named:
        form = replace(form, syntax=found[-1])
    if form.syntax == RLELossless:
        _check_channels(form, form.samples, form.allocated, max_pixels)
        return _from_rle(frame, form), form
    return _from_jpeg(frame, form, max_pixels)


def _check_channels(form: PixelForm, channels: int, depth: int, max_pixels: int) -> None:
    """Raise OverBound for a large film whose decoder needs twice the memory. Its pixels count twice; see `Limits`."""
    costly = channels > 1 and (depth > 8 or form.syntax in JPEG_2000)
    if costly and 2 * form.rows * form.columns > max_pixels:
        raise OverBound(f"over {max_pixels // 2} pixels in several channels")


def frame_of(header: Any, form: PixelForm) -> bytes | None:
    """Return the compressed frame of a film with one frame, or None if its pixel data are the cells themselves.

    Raises OverBound for pixel data in too many parts, and ValueError for compressed ones of an unknown kind.
    """
    content = header.PixelData
    if header["PixelData"].is_undefined_length or _in_items(content):
        check_fragments(content)
        with quiet_warnings():
            frame = next(generate_frames(content, number_of_frames=1))
        if form.syntax in UNCOMPRESSED and not _family_of(frame):
            raise ValueError("compressed, in a data set that does not say how")
        return frame
    short = len(content) < form.rows * form.columns * form.samples * form.allocated // 8
    return content if short and _family_of(content) else None


def _in_items(content: bytes) -> bool:
    """Tell whether pixel data begin with two items: a table of offsets, and a frame or a part of it (PS3.5 A.4)."""
    second = 8 + int.from_bytes(content[4:8], "little")
    return content[:4] == ITEM == content[second : second + 4]


def _family_of(frame: bytes) -> tuple[str, ...]:
    """Return the syntaxes to which a frame can belong by its first bytes, or none for a frame of no known kind."""
    if frame.startswith((CODESTREAM, JP2)):
        return JPEG_2000
    if frame.startswith(SOI):
        return JPEG_LS if frame[_frame_header(frame) + 1] == LS_FRAME else JPEG
    segments, first = (int.from_bytes(frame[at : at + 4], "little") for at in (0, 4))
    return RLE if 0 < segments <= MOST_SEGMENTS and first == RLE_HEADER else ()


def _fitted(cells: np.ndarray, form: PixelForm) -> tuple[np.ndarray, PixelForm, tuple[str, ...]]:
    """Return the values in cells [H,W] or [H,W,3], by the bits that fit them, with their form."""
    bits = fitting_bits(cells if cells.ndim == 2 else cells[..., 1], form.bits)
    warnings = () if bits == form.bits else (CONTRADICTED,)
    return values_of(cells, bits), replace(form, samples=1 if cells.ndim == 2 else 3, bits=bits), warnings


def _from_jpeg(frame: bytes, form: PixelForm, max_pixels: int) -> tuple[np.ndarray, PixelForm]:
    """Decode a frame of any JPEG to its cells, with the form in which values lie in them."""
    check_frame(frame, jpeg2000=form.syntax in JPEG_2000)
    if form.syntax in (*JPEG, *JPEG_LS):
        # libjpeg would fill a missing part with gray, and CharLS would look for it for seconds. Writers add bytes
        # behind the end.
        frame = frame[: image_end(frame)]
        if not frame:
            raise ValueError("the film is cut off")
    depth, channels = _frame_form(frame, form.syntax)
    _check_channels(form, channels, depth, max_pixels)
    shape = form.shape if channels == 1 else (*form.shape, channels)
    cells = np.empty(shape, np.uint8 if depth <= 8 else np.uint16)
    _decoder(form.syntax)(frame, out=cells)
    bits = form.bits
    if depth <= max(bits.stored, bits.high):  # the frame holds bare values, not the cells in which they lay
        bits = replace(bits, high=bits.stored - 1)
    beyond = 2 ** min(bits.high + 1, 8 * cells.itemsize)
    bits = _within(bits, 8 * cells.itemsize)
    if form.syntax in LOSSY and not bits.signed:
        one = cells if cells.ndim == 2 else cells[..., 1]
        if int(cells.max()) < OVERSHOOT * beyond or fitting_bits(one, bits) == bits:
            np.minimum(cells, beyond - 1, out=cells)
    return cells, replace(form, bits=bits)


def _within(bits: Bits, width: int) -> Bits:
    """Return bits that lie in cells of a width. Frames are decoded to cells of 8 bits if these hold the values."""
    return bits if bits.high < width else Bits(min(bits.stored, width), width - 1, bits.signed)


def _uncompressed(header: Any, form: PixelForm) -> np.ndarray:
    """Return a view of the cells as they lie in the file. Raises ValueError if there are too few."""
    big = form.syntax == ExplicitVRBigEndian
    kind, count = np.dtype(f"{'>' if big else '<'}u{form.allocated // 8}"), form.rows * form.columns
    content = header.PixelData
    if big and kind.itemsize == 1 and header["PixelData"].VR == "OW":  # two cells a word, the first in its lower half
        content = np.frombuffer(content, "u2").byteswap().tobytes()
    if form.samples == 1:
        return np.frombuffer(content, kind, count).reshape(form.shape)
    if len(content) < 3 * count * kind.itemsize and form.photometric == "YBR_FULL_422":
        return _from_pairs(np.frombuffer(content, kind, 2 * count), form.shape)
    cells = np.frombuffer(content, kind, 3 * count)
    return np.moveaxis(cells.reshape(3, *form.shape), 0, -1) if form.planar else cells.reshape(*form.shape, 3)


def _from_pairs(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return [H,W,3] of cells in which two pixels share their colour: Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2)."""
    pairs = cells.reshape(-1, 4)
    colour = np.repeat(pairs[:, None, 2:], 2, axis=1)
    return np.concatenate([pairs[:, :2, None], colour], axis=2).reshape(*shape, 3)


def _frame_form(frame: bytes, syntax: str) -> tuple[int, int]:
    """Return the bits of a value and the number of channels as the frame itself says.

    Raises IndexError if the frame ends before that, and ValueError for another number than one or three channels.
    """
    if syntax in JPEG_2000:
        start = frame.index(CODESTREAM)
        depth = (frame[start + DEPTH] & 0x7F) + 1
        channels = int.from_bytes(frame[start + COMPONENTS : start + COMPONENTS + 2])
    else:
        at = _frame_header(frame)
        depth, channels = frame[at + 4], frame[at + 9]
    if channels not in (1, 3):
        raise ValueError(f"{channels} channels")
    return depth, channels


def _frame_header(frame: bytes) -> int:
    """Return where the frame header of a JPEG or JPEG-LS begins. Raises IndexError if the frame ends before it."""
    at = 2
    while frame[at] == 0xFF and frame[at + 1] not in FRAME_HEADERS:
        # A marker may have any number of FF bytes before it.
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4])
    return at


def _decoder(syntax: str) -> Callable[..., Any]:
    from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode

    if syntax in JPEG:

        def decode(frame: bytes, out: np.ndarray) -> np.ndarray:
            # Three channels stay as they are stored: `dicom_colour` tells what they mean.
            space = "YCBCR" if out.ndim == 3 else None
            return jpeg8_decode(frame, colorspace=space, outcolorspace=space, out=out)

        return decode
    return jpegls_decode if syntax in JPEG_LS else jpeg2k_decode


def _from_rle(frame: bytes, form: PixelForm) -> np.ndarray:
    from imagecodecs import dicomrle_decode

    kind, channels = np.dtype(np.uint8 if form.allocated <= 8 else np.uint16), 3 if form.samples == 3 else 1
    room = bytearray(form.rows * form.columns * kind.itemsize * channels)
    if len(dicomrle_decode(frame, kind, out=room)) != len(room):
        raise ValueError("the film is cut off")
    cells = np.frombuffer(room, kind)
    return cells.reshape(form.shape) if channels == 1 else np.moveaxis(cells.reshape(3, *form.shape), 0, -1)
