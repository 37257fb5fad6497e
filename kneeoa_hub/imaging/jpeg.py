"""DICOM films in the kinds of JPEG (ITU-T T.81) that Pillow does not read: 12-bit lossy, and the lossless one of most radiography machines.

By libjpeg-turbo, which is fuzzed by many: the decoders that pydicom would take are under the GPL, or end the process on a corrupt film.
"""

from typing import Any

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

END_OF_IMAGE = b"\xff\xd9"


def is_uncommon_jpeg(header: Any) -> bool:
    """Whether the film's pixels are in one of those kinds."""
    syntax = header.file_meta.TransferSyntaxUID
    return syntax in (JPEGLossless, JPEGLosslessSV1) or (syntax == JPEGExtended12Bit and int(header.BitsStored) > 8)


def stored_values(header: Any) -> np.ndarray:
    """[H,W] stored values of a gray film of one frame. Raises ImportError without the decoder, ValueError for corrupt pixel data."""
    from imagecodecs import jpeg8_decode

    frame = next(generate_frames(header.PixelData, number_of_frames=1))
    if not frame.rstrip(b"\0").endswith(END_OF_IMAGE):  # libjpeg would fill what is missing with gray
        raise ValueError("the film is cut off")
    bits = int(header.BitsStored)
    pixels = np.empty((header.Rows, header.Columns), np.uint8 if header.BitsAllocated <= 8 else np.uint16)
    jpeg8_decode(frame, out=pixels)  # refuses a frame of another size
    if not header.PixelRepresentation:
        return pixels
    unused = 8 * pixels.itemsize - bits
    return (pixels << unused).view(pixels.dtype.str.replace("u", "i")) >> unused
