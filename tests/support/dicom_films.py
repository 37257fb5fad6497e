"""Archives hold DICOM films like these of a synthetic knee, with unusual headers too."""

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import pydicom.config
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, generate_uid

from benchmarks.film_kinds import PREAMBLE, dicom
from kneeoa_hub.imaging.phantom import knee_film

ODD = {
    "PatientBirthDate": "1950",
    "PatientSex": "X",
    "StudyTime": "999999",
    "PatientOrientation": ["X", "Y"],
    "StudyID": "1" * 40,
    "PatientName": "a=b=c=d=e",
}
"""These values of a header break the standard and occur in practice."""


@cache
def knee(bits: int = 12) -> np.ndarray:
    """Return a synthetic knee in the lower `bits` of uint16. Tests share the array, so it can't be written to."""
    film = knee_film(2, 7, bits=16).pixels.astype(np.float64)
    values = np.rint(film / film.max() * (2**bits - 1)).astype(np.uint16)
    values.setflags(write=False)
    return values


def stored(pixels: np.ndarray, syntax: UID, bits: int, end: int | None = None, **header: object) -> bytes:
    """Return a film with `bits` of 16 stored. Its compressed frame is cut off at `end`."""
    return dicom(pixels, syntax, end, BitsStored=bits, HighBit=bits - 1, **header)


def written(dataset: Dataset) -> bytes:
    """Return the bytes of a DICOM file."""
    content = io.BytesIO()
    dataset.save_as(content)
    return content.getvalue()


def coded(value: str, scheme: str = "SCT", meaning: str = "", **modifiers: list[Dataset]) -> list[Dataset]:
    """Return a sequence of one coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    for keyword, several in modifiers.items():
        setattr(item, keyword, several)
    return [item]


def study(pixels: np.ndarray | None = None, **header: Any) -> bytes:
    """Return a digital radiograph as an archive holds it. header: None leaves an element out."""
    about: dict[str, Any] = {
        "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]),
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "PatientBirthDate": "19500101",
        "PatientSex": "F",
        "ImageLaterality": "R",
    }
    with pydicom.config.disable_value_validation(), warnings.catch_warnings(action="ignore"):
        given = {name: value for name, value in (about | header).items() if value is not None}
        return dicom(knee() if pixels is None else pixels, **given)


def changed(film: bytes, keyword: str, kind: bytes, value: bytes) -> bytes:
    """Return the film, one element of its header filed as of another kind and with another value."""
    tag = Tag(keyword)
    start = film.index(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little"), PREAMBLE)
    end = start + 8 + int.from_bytes(film[start + 6 : start + 8], "little")
    length = bytes(2) + len(value).to_bytes(4, "little") if kind in (b"SQ", b"UN") else len(value).to_bytes(2, "little")
    return film[: start + 4] + kind + length + value + film[end:]
