"""TIFF films that no writer at hand makes: values packed into bits, in either byte order, of any number of strips."""

import struct
import zlib

import numpy as np

UNCOMPRESSED, DEFLATE = 1, 8


def packed_tiff(values: np.ndarray, bits: int, order: str = "<", compression: int = UNCOMPRESSED) -> bytes:
    """Return a gray TIFF [H,W] in three strips whose values take `bits` each, the highest first.

    Args:
        values: Whole numbers below 2 ** bits.
        bits: Bits of a value.
        order: "<" or ">" for the numbers of the header.
        compression: UNCOMPRESSED or DEFLATE.
    """
    height, width = values.shape
    rows = -(-height // 3)
    spread = (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(height, -1).astype(np.uint8)
    strips = [np.packbits(spread[top : top + rows], axis=1).tobytes() for top in range(0, height, rows)]
    strips = [zlib.compress(strip) for strip in strips] if compression == DEFLATE else strips
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    short, long = (3, "H"), (4, "I")
    tags = [
        *((256, short, [width]), (257, short, [height]), (258, short, [bits]), (259, short, [compression])),
        *((262, short, [1]), (273, long, starts[:-1]), (277, short, [1]), (278, short, [rows])),
        (279, long, [len(strip) for strip in strips]),
    ]
    directory, further = b"", b""
    behind = starts[-1] + 2 + 12 * len(tags) + 4
    for number, (kind, letter), numbers in tags:
        value = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(value) > 4:
            further, value = further + value, struct.pack(f"{order}I", behind + len(further))
        directory += struct.pack(f"{order}HHI", number, kind, len(numbers)) + value.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}I", starts[-1]) + b"".join(strips)
    return head + struct.pack(f"{order}H", len(tags)) + directory + bytes(4) + further
