"""Small builders make files that ask a decoder for gigabytes or for minutes, each by another part of a format."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit

from benchmarks.film_kinds import dicom
from kneeoa_hub.imaging.phantom import sample_films

SIZE = 60 * 10**6
"""The large files have this many bytes: just under the limit on a file."""
SIDE = 6000


@cache
def _pixels() -> np.ndarray:
    return sample_films()["mild"].pixels.astype(np.uint8)


@cache
def _saved(form: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(_pixels()).save(content, form)
    return content.getvalue()


def sharing_tags(size: int = 10**6, tags: int = 1000) -> bytes:
    """EXIF, or the beginning of a TIFF, whose tags each hold all of the bytes behind its directory."""
    start = 8 + 2 + 12 * tags + 4
    entries = b"".join(struct.pack("<HHLL", 40000 + number, 7, size, start) for number in range(tags))
    return b"II*\0" + struct.pack("<LH", 8, tags) + entries + bytes(4) + bytes(size)


def tiff(tags: Iterable[tuple[int, int, int, int]], data: bytes, width: int = 300, height: int = 300) -> bytes:
    """Return a gray TIFF of 8 bits. tags: number, type, count, and a value or a negative offset in `data`."""
    fixed = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    every = sorted([*fixed, *tags])
    start = 8 + 2 + 12 * len(every) + 4
    entries = b"".join(
        struct.pack("<HHLL", number, kind, count, value if value >= 0 else start - 1 - value)
        for number, kind, count, value in every
    )
    return b"II*\0" + struct.pack("<LH", 8, len(every)) + entries + bytes(4) + data


def shared_strips() -> bytes:
    """Return a film of 6000 rows, each a strip of its own that is all of the file."""
    data = zlib.compress(bytes(SIDE)) + bytes(10**7)
    lengths = np.full(SIDE, len(data), "<u4").tobytes()
    offset = 8 + 2 + 12 * 9 + 4 + 2 * len(lengths)
    starts = np.full(SIDE, offset, "<u4").tobytes()
    tags = [(259, 3, 1, 8), (273, 4, SIDE, -1), (278, 4, 1, 1), (279, 4, SIDE, -1 - len(starts))]
    return tiff(tags, starts + lengths + data, SIDE, SIDE)


def many_numbers() -> bytes:
    """Return a TIFF that names fifteen million strips."""
    count = SIZE // 8
    return tiff([(259, 3, 1, 1), (273, 4, count, -1), (278, 4, 1, 1), (279, 4, count, -1 - 4 * count)], bytes(SIZE))


def shared_tiles(piece: bytes, compression: int, side: int = 4000, tile: int = 80) -> bytes:
    """Return a film in square tiles that are all the same bytes."""
    count = (side // tile) ** 2
    lengths = np.full(count, len(piece), "<u4").tobytes()
    offset = 8 + 2 + 12 * (5 + 5) + 4 + 2 * len(lengths)
    starts = np.full(count, offset, "<u4").tobytes()
    tags = [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, count, -1), (325, 4, count, -1 - len(starts))]
    return tiff([(259, 3, 1, compression), *tags], starts + lengths + piece, side, side)


def jpeg_segment(marker: int, payload: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def jpeg_with(inside: bytes) -> bytes:
    return _saved("JPEG")[:2] + inside + _saved("JPEG")[2:]


def exif_segments(exif: bytes) -> bytes:
    parts = (exif[at : at + 65000] for at in range(0, len(exif), 65000))
    return b"".join(jpeg_segment(0xE1, b"Exif\0\0" + part) for part in parts)


def progressive(scans: int, side: int = SIDE) -> bytes:
    """Return a film whose scans hold nothing but the length of runs without any coefficient."""
    frame = jpeg_segment(0xC2, struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0))
    tables = jpeg_segment(0xDB, b"\0" + b"\1" * 64)
    tables += jpeg_segment(0xC4, b"\x00" + bytes([1, *[0] * 15]) + b"\0")  # of DC: the code 0 for no difference
    tables += jpeg_segment(0xC4, b"\x10" + bytes([1, *[0] * 15]) + b"\xe0")  # of AC: the code 0 for a run, 14 bits
    blocks = (-(-side // 8)) ** 2
    first = jpeg_segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    run = f"{'0' + '1' * 14}" * -(-blocks // (2**15 - 1))
    data = int(run.ljust(-(-len(run) // 8) * 8, "1"), 2).to_bytes(-(-len(run) // 8)).replace(b"\xff", b"\xff\0")
    other = jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + data
    return b"\xff\xd8" + tables + frame + first + other * (scans - 1) + b"\xff\xd9"


def png_chunk(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))


def png_of(side: int, inside: bytes = b"") -> bytes:
    """Return a black PNG of 8 bits; of a large one only the first thousand rows."""
    header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes((side + 1) * min(side, 1000)))
    return b"\x89PNG\r\n\x1a\n" + header + inside + png_chunk(b"IDAT", rows) + png_chunk(b"IEND")


def png_with(inside: bytes) -> bytes:
    return _saved("PNG")[:33] + inside + _saved("PNG")[33:]


def webp_with(*chunks: tuple[bytes, bytes], width: int = 300, height: int = 300) -> bytes:
    """Return an extended WebP: the film's own chunk, then others."""
    film = io.BytesIO()
    Image.fromarray(_pixels()[:300, :300]).save(film, "WEBP")
    canvas = struct.pack("<B3x", 0x08) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<L", 10) + canvas + film.getvalue()[12:]
    body += b"".join(kind + struct.pack("<L", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WEBP" + body


def run_lengths() -> bytes:
    """Return a BMP whose runs end an empty line, again and again."""
    header = struct.pack("<LllHHLLllLL", 40, SIDE, SIDE, 1, 8, 1, SIZE, 0, 0, 256, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 1024 + SIZE, 0, 0, 54 + 1024) + header + bytes(1024 + SIZE)


def codestream(
    side: int = 5000,
    tile: int = 5000,
    components: int = 1,
    layers: int = 1,
    levels: int = 0,
    block: int = 4,
    precinct: int = 15,
) -> bytes:
    """JPEG 2000 without any data. block, precinct: powers of two of their sides."""
    sizes = struct.pack(">HLLLLLLLLH", 0, side, side, 0, 0, tile, tile, 0, 0, components) + b"\x07\1\1" * components
    style = struct.pack(">BBHBBBBBB", 1, 0, layers, 0, levels, block - 2, block - 2, 0, 1)
    style += bytes([precinct << 4 | precinct]) * (levels + 1)
    quantisation = b"\x40" + b"\x40" * (3 * levels + 1)
    head = b"\xff\x4f" + jpeg_segment(0x51, sizes) + jpeg_segment(0x52, style) + jpeg_segment(0x5C, quantisation)
    parts = b"".join(
        jpeg_segment(0x90, struct.pack(">HLBB", number, 14 + 64, 0, 1)) + b"\xff\x93" + bytes(64)
        for number in range(min(3, (-(-side // tile)) ** 2))
    )
    return head + parts + b"\xff\xd9"


def in_dicom(frame: bytes, syntax: str, side: int) -> bytes:
    """Return a DICOM film around a frame."""
    fragments = b"\xfe\xff\0\xe0" + bytes(4) + b"\xfe\xff\0\xe0" + struct.pack("<L", len(frame) + len(frame) % 2)
    return _elements(fragments + frame + bytes(len(frame) % 2) + b"\xfe\xff\xdd\xe0" + bytes(4), syntax, side)


def _elements(pixels: bytes, syntax: str, side: int, bits: int = 8) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(2, 0x10, "UI", uid)
    image = b"".join(
        element(0x28, number, kind, value)
        for number, kind, value in (
            (0x02, "US", struct.pack("<H", 1)),
            (0x04, "CS", b"MONOCHROME2 "),
            (0x10, "US", struct.pack("<H", side)),
            (0x11, "US", struct.pack("<H", side)),
            (0x100, "US", struct.pack("<H", bits)),
            (0x101, "US", struct.pack("<H", bits)),
            (0x102, "US", struct.pack("<H", bits - 1)),
            (0x103, "US", struct.pack("<H", 0)),
        )
    )
    opened = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    return bytes(128) + b"DICM" + meta + image + opened + pixels


def element(group: int, number: int, kind: str, value: bytes) -> bytes:
    """Return a DICOM element in explicit little endian."""
    if kind in ("SQ", "OB", "UN", "UT"):
        return struct.pack("<HH2sHL", group, number, kind.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind.encode(), len(value)) + value


def dicom_with(inside: bytes) -> bytes:
    """Return a DICOM film that begins with these elements."""
    whole = dicom(_pixels().astype(np.uint16))
    at = 132 + 12 + struct.unpack("<L", whole[140:144])[0]
    return whole[:at] + inside + whole[at:]


def dicom_without_pixels(pixels: bytes) -> bytes:
    """Return a DICOM film with another element in place of its pixels."""
    whole = dicom(_pixels().astype(np.uint16))
    return whole[: whole.rindex(b"\xe0\x7f\x10\0")] + pixels


def long_element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """Return a DICOM element whose length has four bytes."""
    return struct.pack("<HH2sHL", group, number, kind, 0, len(value)) + value


def deflated_as(kind: bytes) -> bytes:
    """Return a DICOM film that inflates to gigabytes, and whose syntax has another kind of value than it should."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = stream.compress(bytes(10**8)) + stream.flush(zlib.Z_FULL_FLUSH)
    meta = long_element(2, 0x10, kind, DeflatedExplicitVRLittleEndian.encode())
    return bytes(128) + b"DICM" + meta + packed * 30 + stream.flush()


def many_channels() -> bytes:
    """Return a small TIFF of a thousand channels, of which it says the depth once."""
    packed = zlib.compress(bytes(10**6))
    tags = [(259, 3, 1, 8), (273, 4, 1, -1), (278, 4, 1, 3000), (279, 4, 1, len(packed)), (339, 3, 1, 3)]
    whole = bytearray(tiff(tags, packed, 3000, 3000))
    for number, value in ((258, 64), (277, 1000)):
        at = whole.index(struct.pack("<HHL", number, 3, 1)) + 8
        whole[at : at + 2] = struct.pack("<H", value)
    return bytes(whole)


def endless_sequence(items: bytes) -> bytes:
    """Return a sequence of undefined length."""
    return struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + items + b"\xfe\xff\xdd\xe0" + bytes(4)


def implicit(*values: tuple[int, int, bytes]) -> bytes:
    """Return a bare data set in implicit little endian."""
    return b"".join(struct.pack("<HHL", group, number, len(value)) + value for group, number, value in values)


def long_window() -> bytes:
    """Return a film whose window has thirty million centres."""
    rows = struct.pack("<H", 300)
    return implicit(
        (8, 0x60, b"DX"),
        (0x28, 4, b"MONOCHROME2 "),
        (0x28, 0x10, rows),
        (0x28, 0x11, rows),
        (0x28, 0x100, struct.pack("<H", 8)),
        (0x28, 0x101, struct.pack("<H", 8)),
        (0x28, 0x103, bytes(2)),
        (0x28, 0x1050, b"1\\" * (SIZE // 2)),
        (0x28, 0x1051, b"1\\" * 10),
        (0x7FE0, 0x10, bytes(90000)),
    )


EMPTY_ITEM = b"\xfe\xff\0\xe0" + bytes(4)
OPEN_ITEM = b"\xfe\xff\0\xe0\xff\xff\xff\xff"
TEXTS = b"1\\" * (SIZE // 4)
"""These are half of the bytes of a large film, as fifteen million texts."""

BOMBS: dict[str, Callable[[], bytes]] = {
    "TIFF tags that share their bytes": sharing_tags,
    "TIFF strips that share their bytes": shared_strips,
    "TIFF of fifteen million strips": many_numbers,
    "TIFF of JPEG with many scans": lambda: tiff(
        [(259, 3, 1, 7), (273, 4, 1, 122), (278, 4, 1, SIDE), (279, 4, 1, len(progressive(9000)))],
        progressive(9000),
        SIDE,
        SIDE,
    ),
    "TIFF of tiles in JPEG 2000 with tiny code-blocks": lambda: shared_tiles(codestream(80, 80, block=2), 34712),
    "TIFF of tiles in JPEG 2000 with many layers": lambda: shared_tiles(codestream(80, 80, layers=65_535), 34712),
    "TIFF of many tiles in JPEG 2000": lambda: shared_tiles(codestream(16, 16), 34712, 4000, 16),
    "TIFF of JPEG 2000 larger than its tile": lambda: shared_tiles(codestream(60_000, 60_000), 34712),
    "TIFF of PNG larger than its tile": lambda: shared_tiles(png_of(60_000), 34933),
    "TIFF of PNG with packed text": lambda: shared_tiles(
        png_of(80, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6)))), 34933
    ),
    "TIFF of PNG with empty chunks of pixels": lambda: shared_tiles(png_of(80, png_chunk(b"IDAT") * 8000), 34933),
    "EXIF of a PNG": lambda: png_with(png_chunk(b"eXIf", sharing_tags())),
    "EXIF behind the pixels of a PNG": lambda: (
        _saved("PNG")[:-12] + png_chunk(b"eXIf", sharing_tags()) + _saved("PNG")[-12:]
    ),
    "EXIF in the text of a PNG": lambda: png_with(
        png_chunk(
            b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n1\n" + sharing_tags(400_000).hex().encode())
        )
    ),
    "EXIF of a JPEG": lambda: jpeg_with(exif_segments(sharing_tags())),
    "EXIF twice announced in a JPEG": lambda: jpeg_with(exif_segments(b"Exif\0\0" + sharing_tags())),
    "EXIF of a WebP": lambda: webp_with((b"EXIF", sharing_tags())),
    "MPF of a JPEG": lambda: jpeg_with(jpeg_segment(0xE2, b"MPF\0" + sharing_tags(16_000, 4000))),
    "JPEG of empty comments": lambda: jpeg_with(jpeg_segment(0xFE) * (SIZE // 4)),
    "JPEG of long comments": lambda: jpeg_with(jpeg_segment(0xFE, bytes(65_000)) * (SIZE // 65_004)),
    "JPEG of EXIF that goes on": lambda: jpeg_with(exif_segments(bytes(SIZE))),
    "JPEG of padding": lambda: jpeg_with(b"\xff" * SIZE),
    "JPEG of junk between segments": lambda: jpeg_with(jpeg_segment(0xFE) + bytes(SIZE)),
    "JPEG of restart markers": lambda: jpeg_with(b"\xff\xd0" * (SIZE // 2)),
    "JPEG of many scans": lambda: progressive(40_000),
    "PNG of private chunks": lambda: png_with(png_chunk(b"prVt") * (SIZE // 12)),
    "PNG of empty chunks of pixels": lambda: png_with(png_chunk(b"IDAT") * (SIZE // 12)),
    "PNG of packed text": lambda: png_with(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6))) * 10_000),
    "PNG of packed profiles": lambda: png_with(png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6))) * 10_000),
    "BMP of empty lines": run_lengths,
    "WebP of a huge canvas": lambda: webp_with(width=16_000, height=16_000),
    "WebP of empty chunks": lambda: webp_with(*[(b"prVt", b"")] * (SIZE // 80)),
    "JPEG 2000 of tiny precincts": lambda: in_dicom(codestream(precinct=1), JPEG2000Lossless, 5000),
    "JPEG 2000 of tiny code-blocks": lambda: in_dicom(codestream(block=2), JPEG2000Lossless, 5000),
    "JPEG 2000 of tiny tiles": lambda: in_dicom(codestream(tile=20), JPEG2000Lossless, 5000),
    "JPEG 2000 of many layers": lambda: in_dicom(
        codestream(layers=65_535, levels=5, precinct=8), JPEG2000Lossless, 5000
    ),
    "JPEG 2000 of many components": lambda: in_dicom(codestream(components=16_384), JPEG2000Lossless, 5000),
    "JPEG 2000 behind another": lambda: in_dicom(
        b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
        + struct.pack(">L", 8 + len(codestream(32, 32)))
        + b"free"
        + codestream(32, 32)
        + b"\0\0\0\0jp2c"
        + codestream(precinct=1),
        JPEG2000Lossless,
        5000,
    ),
    "DICOM of a JPEG with many scans": lambda: in_dicom(progressive(40_000), JPEGExtended12Bit, SIDE),
    "DICOM of empty fragments": lambda: _elements(EMPTY_ITEM * (SIZE // 8), JPEGExtended12Bit, SIDE),
    "DICOM of empty items": lambda: dicom_with(endless_sequence(EMPTY_ITEM * (SIZE // 8))),
    "DICOM of nested sequences": lambda: dicom_with((endless_sequence(b"")[:12] + OPEN_ITEM) * 100_000),
    "DICOM of empty elements": lambda: dicom_with(element(9, 0x10, "CS", b"") * (SIZE // 8)),
    "DICOM of a long window": long_window,
    "DICOM of a table with many items": lambda: dicom_with(
        element(0x28, 0x3010, "SQ", EMPTY_ITEM * (SIZE // 8)),
    ),
    "DICOM of long text in its meta information": lambda: (
        bytes(128) + b"DICM" + long_element(2, 0x10, b"UC", TEXTS) + dicom(_pixels().astype(np.uint16))[132:]
    ),
    "DICOM of long text in its character set": lambda: dicom_with(long_element(8, 5, b"UC", TEXTS)),
    "DICOM of long text in place of its size": lambda: dicom_without_pixels(long_element(0x28, 0x10, b"UC", TEXTS)),
    "DICOM of long text in a sequence": lambda: dicom_with(
        endless_sequence(OPEN_ITEM + long_element(8, 0x104, b"UC", TEXTS))
    ),
    "DICOM of many texts in a sequence": lambda: dicom_with(
        endless_sequence(OPEN_ITEM + long_element(8, 0x104, b"UC", TEXTS[:60_000]) * 900)
    ),
    "DICOM that is deflated under another kind of value": lambda: deflated_as(b"UC"),
    "DICOM that is deflated under an unknown kind of value": lambda: deflated_as(b"XX"),
    "JPEG 2000 of forty million pixels in colour": lambda: in_dicom(
        codestream(SIDE, SIDE, components=3), JPEG2000Lossless, SIDE
    ),
    "TIFF of a thousand channels": many_channels,
    "DICOM whose pixels are a sequence": lambda: dicom_without_pixels(
        element(0x7FE0, 0x10, "SQ", EMPTY_ITEM * (SIZE // 8)),
    ),
    "DICOM whose pixels are numbers": lambda: dicom_without_pixels(
        struct.pack("<HH2sHL", 0x7FE0, 0x10, b"UC", 0, SIZE) + b"1\\" * (SIZE // 2),
    ),
}
"""Each file is under 64 MB."""
