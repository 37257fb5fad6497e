"""Compressed pixel data of DICOM films (PS3.5 A.4): RLE, and every kind of JPEG that radiographs come in.

By imagecodecs, which writes into an array of the size that the header gives: a frame that claims another size is refused before it
takes any memory. Of the decoders that pydicom would take some are under the GPL, or end the process on a corrupt film.
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

END_OF_IMAGE = b"\xff\xd9"
JPEG: tuple[str, ...] = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
"""ITU-T T.81."""
UNCOMPRESSED: tuple[str, ...] = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""What pydicom reads by itself."""
BARE_SYNTAXES = {(True, True): ImplicitVRLittleEndian, (False, True): ExplicitVRLittleEndian}
"""Of a data set that names none, by what pydicom finds of it: (kinds left out, little endian). Its pixels can't be compressed."""
SYNTAXES: tuple[str, ...] = (*JPEG, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000, RLELossless)


def stored_values(header: Any) -> np.ndarray:
    """[H,W] stored values of a gray film of one frame in one of SYNTAXES. Raises ImportError without the decoders.

    Raises ValueError, or an error of the decoder, for corrupt pixel data and for a frame of another size or depth than the header's.
    """
    syntax, bits = header.file_meta.TransferSyntaxUID, int(header.BitsStored)
    frame = next(generate_frames(header.PixelData, number_of_frames=1))
    if syntax == RLELossless:
        pixels = _from_rle(frame, (header.Rows, header.Columns), np.uint8 if header.BitsAllocated <= 8 else np.uint16)
    else:
        if syntax in JPEG and not frame.rstrip(b"\0").endswith(END_OF_IMAGE):  # libjpeg would fill what is missing with gray
            raise ValueError("the film is cut off")
        pixels = np.empty((header.Rows, header.Columns), np.uint8 if bits <= 8 else np.uint16)
        _decoder(syntax)(frame, out=pixels)
    if not header.PixelRepresentation:
        return pixels
    unused = 8 * pixels.itemsize - bits
    return (pixels << unused).view(pixels.dtype.str.replace("u", "i")) >> unused


def _decoder(syntax: UID) -> Callable[..., Any]:
    from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode

    if syntax in JPEG:
        return jpeg8_decode
    return jpegls_decode if syntax in (JPEGLSLossless, JPEGLSNearLossless) else jpeg2k_decode


def _from_rle(frame: bytes, shape: tuple[int, int], kind: type[np.unsignedinteger]) -> np.ndarray:
    from imagecodecs import dicomrle_decode

    room = bytearray(shape[0] * shape[1] * np.dtype(kind).itemsize)
    if len(dicomrle_decode(frame, np.dtype(kind), out=room)) != len(room):
        raise ValueError("the film is cut off")
    return np.frombuffer(room, kind).reshape(shape)
