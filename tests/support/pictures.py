"""These files of pictures are no films, or no sound files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def noise() -> bytes:
    return file(Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)))


def colours() -> bytes:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    return file(Image.fromarray(np.stack([ramp, ramp.T, 255 - ramp], -1)))


def two_pages() -> bytes:
    return file(Image.new("L", (200, 200), 9), "TIFF", save_all=True, append_images=[Image.new("L", (200, 200), 3)])


def huge_png() -> bytes:
    """Return a PNG of few bytes whose header promises 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
