"""Takes over from the header of a film what the standard allows in a DICOM object."""

import re
from typing import Any

from ..errors import MissingExtra, UnsupportedFilm
from ..imaging.deflated import inflated_header
from ..imaging.formats import is_dicom
from ..imaging.identity import reading_header

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
AS_THEY_ARE = (*UIDS, "PatientID", "AccessionNumber")
"""Archives group objects by these elements, so a value is taken over even if the standard forbids its length or its
characters.
"""
MAY_BE_EMPTY = (
    *(
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
    ),
    "PatientOrientation",
)
"""These elements are of type 2 or 2C. An object has them all. An element is empty if the film has no value, or a
malformed one.
"""
VALUES = {"PatientSex": "[MFO]", "PatientOrientation": "[LRAPHF]{1,3}"}
"""An element may have only these values, although its value representation alone allows others."""
ASSUMED_ORIENTATION = ("L", "F")
"""The orientation of a frontal film of a standing patient, seen from the front."""
UTF_8 = "ISO_IR 192"


def taken_over(film: bytes, *needed: str) -> Any:
    """Return the elements of the film's header that the standard allows, as a pydicom dataset.

    Malformed elements of MAY_BE_EMPTY are empty. Raises UnsupportedFilm for a film that is not DICOM, has no value
    in one of `needed`, or has a patient's ID that is not text, and FilmTooLarge for a header far larger than a film's.
    """
    try:
        import pydicom
        from pydicom.charset import python_encoding

        from ..imaging.bounds.dicom import VALUE_BYTES, CountedReads
    except ImportError:
        raise MissingExtra("DICOM films need pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    if not is_dicom(film):
        raise UnsupportedFilm(
            "The film is not DICOM, so it has no study to which a DICOM object could belong; give the DICOM file."
        )
    with reading_header():
        read = CountedReads(inflated_header(film))
        # Longer values are those of private elements and of overlays, which no object takes over.
        header = pydicom.dcmread(read, VALUE_BYTES, stop_before_pixels=True, force=True)
    taken = pydicom.Dataset()
    for tag in header.keys():  # noqa: SIM118  # iteration over a dataset fails at the first element that cannot be read
        try:
            element = header[tag]
            if element.keyword in AS_THEY_ARE and isinstance(element.value, str):
                setattr(taken, element.keyword, element.value)
            elif _sound(element):
                taken.add(element)
        except Exception:  # pydicom raises many kinds for a malformed element
            continue
    for name in (*needed, "PatientID"):
        if name in header and (name not in taken or (name in needed and not taken[name].value)):
            raise odd_element(name)
        if name in needed and name not in header:
            raise UnsupportedFilm(
                f"The film's DICOM header lacks what an object of the same study must have ({name}); export the film"
                " again."
            )
    for name in MAY_BE_EMPTY:
        if name not in taken:
            setattr(taken, name, "")
    if "SpecificCharacterSet" in header:
        named = taken.get("SpecificCharacterSet", "unknown")
        if any(one not in python_encoding for one in ([named] if isinstance(named, str) else named or [""])):
            taken.SpecificCharacterSet = UTF_8  # which can hold any text, however pydicom understood it
    return taken


def _sound(element: Any) -> bool:
    """Return whether the standard allows an element, its number of values, each value, and nested elements."""
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VM, dictionary_VR
    from pydicom.valuerep import DA, DT, STR_VR, TM, validate_value

    if dictionary_VR(element.tag) != element.VR:
        return False
    if element.VR == "SQ":
        return all(_sound(item[tag]) for item in element.value for tag in item.keys())  # noqa: SIM118
    if element.is_empty:
        return True
    count = dictionary_VM(element.tag)
    if count.isdigit() and int(count) != element.VM:
        return False
    for value in element.value if element.VM > 1 else [element.value]:
        text = str(value)
        validate_value(element.VR, text if element.VR in STR_VR else value, RAISE)
        # a date or a time can have the right form and still not exist
        {"DA": DA, "DT": DT, "TM": TM}.get(element.VR, str)(text)
        if not re.fullmatch(VALUES.get(element.keyword, ".*"), text, re.DOTALL):
            return False
    return True


def odd_element(name: str) -> UnsupportedFilm:
    """Return the error for a malformed element. It leaves out the value, which may identify a patient."""
    return UnsupportedFilm(f"{name} in the film's DICOM header is empty or malformed; export the film again.")
