"""Lists the formats that films come in, and recognises them."""

import re
from typing import Any

PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Pillow may open these formats. Its other decoders stay closed to files from outside."""
READABLE_FORMATS = "PNG, JPEG, TIFF, BMP, WebP or DICOM"
"""Messages and pages name the formats so."""
OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000 outside of DICOM"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000 outside of DICOM"),
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS outside of DICOM"),
    (0, b"GIF8", "GIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC or AVIF"),
    (4, b"ftypmsf1", "HEIC or AVIF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"%PDF-", "PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\xd0\xcf\x11\xe0", "an office document"),
    (0, b"{\\rtf", "an office document"),
    (0, b"NRRD", "NRRD"),
    (344, b"n+1\0", "NIfTI"),
    (344, b"ni1\0", "NIfTI"),
    (0, b"\0\x05\x16\x07", "what a Mac writes beside a file"),
    (0, b"version https://git-lfs", "a pointer of Git LFS in place of the file"),
)
"""These formats are not read. Each has the place and the bytes by which it is known, and the first that fits counts."""
NETPBM = re.compile(rb"P[2356]\s")
"""A PGM or PPM begins so, in text or in bytes."""
FILM_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dic", ".dicom")
)
"""These suffixes mark the films among the files of a folder. A film that is named by itself may have any suffix."""
OVERLAY, REPORT, CAPTURE = "graded.png", "sr.dcm", "sc.dcm"
"""The pictures that the package writes beside films have names that end so. They are not films of the folder."""
BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|..\0\0)", re.DOTALL)
"""A data set that was stored without the preamble begins so, in little endian: an element of group 2 or 8, followed by
its value representation or by a short length.
"""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""This UID names the DICOM transfer syntax Deflated Explicit VR Little Endian."""
DICOMDIR = "1.2.840.10008.1.3.10"
"""This UID names the class of a DICOMDIR, the list of the films on a medium (PS3.10 8.6)."""


def is_part_10(content: bytes) -> bool:
    """Tell whether a file has the mark of DICOM (PS3.10, 7.1)."""
    return content[128:132] == b"DICM"


def is_dicom(content: bytes) -> bool:
    """Tell whether a file is DICOM, by its mark, or by its first element, as some older archives store films."""
    return is_part_10(content) or BARE_DICOM.match(content) is not None


def other_format(content: bytes) -> str:
    """Return the name of a format that is not read, or "" for any other file."""
    if content.startswith(b"PK") and b"[Content_Types].xml" in content[:4096]:
        return "an office document"
    if NETPBM.match(content):
        return "PGM or PPM"
    return next((name for at, mark, name in OTHER_FORMATS if content.startswith(mark, at)), "")


def is_dicomdir(meta: Any) -> bool:
    """Tell whether a file is a DICOMDIR, by its meta information as pydicom reads it."""
    return meta.get("MediaStorageSOPClassUID") == DICOMDIR
