"""These files can't be graded, or only look so: each must get a clear answer."""

import io
import struct
import zipfile
from functools import cache

import numpy as np
from PIL import Image
from pydicom.uid import JPEG2000Lossless, RLELossless

from benchmarks.film_kinds import bare, dicom
from kneeoa_hub.imaging.phantom import sample_films

from .dicom_films import knee
from .pictures import file, huge_png, two_pages


@cache
def unreadable() -> dict[str, bytes]:
    """Each must be an error."""
    png, shown = _film("PNG"), Image.fromarray(_pixels())
    files = {
        "empty": b"",
        "one byte": b"\x89",
        "text": b"Patient: none\n" * 40,
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='300' height='300'><script>alert(1)</script></svg>",
        "html": b"<!doctype html><script>alert(1)</script>",
        "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + bytes(2000),
        "zip": _zipped(),
        "gif": file(shown, "GIF"),
        "icon": file(shown, "ICO"),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n(evil) run\nshowpage\n",
        "png of 50,000 x 50,000": huge_png(),
        "png without pixels": png[:60],
        "bmp of 60,000 x 60,000": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, 60_000, 60_000, 1, 8, 0, 0, 0, 0, 0, 0),
        "tiff of two pages": two_pages(),
        "webp that moves": file(shown, "WEBP", save_all=True, append_images=[Image.fromarray(255 - _pixels())]),
        "tiff whose directory is itself": b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00" + bytes(64),
        "a pixel": file(Image.new("L", (1, 1))),
        "a line": file(Image.new("L", (20_000, 1))),
        "dicom without a header": bytes(128) + b"DICM",
        "dicom of a report": bytes(128) + b"DICM" + bytes(50),
        "dicom of several frames": dicom(np.stack([knee()] * 2)[0], NumberOfFrames=2),
        "dicom of more pixels than it holds": dicom(knee(), Rows=4000, Columns=4000),
        "dicom of 60,000 x 60,000": dicom(knee(), Rows=60_000, Columns=60_000),
    }
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        whole = _film(form)
        files |= {f"{form} cut at {share:.0%}": whole[: round(share * len(whole))] for share in (0.02, 0.5)}
    for syntax in (RLELossless, JPEG2000Lossless):
        whole = dicom(knee(), syntax)
        files[f"dicom {syntax.name} cut in half"] = whole[: len(whole) // 2]
    files |= {
        "data set alone, cut in half": bare(dicom(knee()))[: knee().nbytes // 2],
        "data set alone, of no image": b"\x08\0\x16\0UI\x02\0" + b"1.",
        "what begins like a data set": b"\x02\0\0\0UL" + bytes(range(256)) * 9,
    }
    return files


@cache
def odd() -> dict[str, bytes]:
    """Each must give an error or an answer."""
    gray = Image.fromarray(_pixels())
    files = {
        "palette": file(gray.convert("P")),
        "one bit": file(gray.convert("1")),
        "dicom of 12 bits in cells of 16": dicom(knee(), BitsAllocated=12, BitsStored=12, HighBit=11),
        "transparent": file(gray.convert("RGBA")),
        "cmyk": file(gray.convert("CMYK"), "JPEG"),
        "float tiff": file(Image.fromarray(_pixels().astype(np.float32)), "TIFF"),
        "float tiff of nothing": file(Image.fromarray(np.full((300, 300), np.nan, np.float32)), "TIFF"),
        "black": file(Image.new("L", (400, 400))),
        "a strip": file(Image.new("L", (4000, 130), 9)),
        "png with a page behind it": _film("PNG") + b"<html><script>alert(1)</script></html>",
        "png that is a zip too": _film("PNG") + _zipped(),
        "dicom of an unknown photometric interpretation": dicom(knee(), PhotometricInterpretation="GRAY"),
        "dicom whose high bit lies outside its cells": dicom(knee(), BitsStored=12, HighBit=16),
        "dicom of more bits than its cells": dicom(knee(), BitsStored=17, HighBit=15),
        "jpeg cut at 98%": _film("JPEG")[: round(0.98 * len(_film("JPEG")))],
    }
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "DICOM"):
        whole = np.frombuffer(dicom(knee()) if form == "DICOM" else _film(form), np.uint8)
        for number in range(12):
            changed = whole.copy()
            places = rng.integers(0, min(len(whole), 4000 if number % 2 else len(whole)), 1 + number)
            changed[places] = rng.integers(0, 256, len(places))
            files[f"{form} with {1 + number} bytes changed"] = changed.tobytes()
    return files


@cache
def _pixels() -> np.ndarray:
    return sample_films()["mild"].pixels.astype(np.uint8)


@cache
def _film(form: str) -> bytes:
    return file(Image.fromarray(_pixels()), form)


def _zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.png", bytes(1_000_000))
    return content.getvalue()
