"""Reads coded views and body parts of a DICOM header as words (PS3.3 10.6 and C.8.11.5, PS3.16 CID 4010, 4011, 4031).

An item names its code and a meaning in the language of the machine. The words of both count. pydicom knows the English
meaning of the codes of SNOMED and DICOM.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from .dicom_values import items, several, text, words

VIEW = ("ViewCodeSequence", "ViewModifierCodeSequence")
"""These sequences name the view."""
REGION = ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence")
"""These sequences name the body part."""
MODIFIERS = (
    "ViewModifierCodeSequence",
    "AnatomicRegionModifierSequence",
    "PrimaryAnatomicStructureModifierSequence",
)
"""These sequences stand in the items of the others and name, for example, the side of a body part."""
SNOMED, OLD_SNOMED, DICOM = "SCT", ("SRT", "SNM3", "99SDM"), "DCM"
"""These designators stand for SNOMED CT, for the codes before it, and for DICOM's own codes."""
CODE = re.compile(r"[A-Z]-[0-9A-F]{4,6}|\d{6,18}")
"""A code of SNOMED, old or new, matches this."""


def coded_words(header: Any, keyword: str) -> set[str]:
    """Return the words of what a sequence of the header names, in capitals."""
    return words(meaning for item in items(header, keyword) for meaning in _meanings(item))


def named_words(header: Any, keyword: str) -> set[str]:
    """Return the words of a text element, in capitals, together with those of the codes that it may hold instead."""
    values = [str(one).strip(" \0") for one in several(header, keyword)]
    codes = [one.upper() for one in values if CODE.fullmatch(one.upper())]
    meanings = [_meaning_of(scheme, code) for code in codes for scheme in (SNOMED, OLD_SNOMED[0])]
    return words(values + meanings)


def _meanings(item: Any) -> Iterator[str]:
    yield str(item.get("CodeMeaning") or "")
    code = text(item, "CodeValue") or text(item, "LongCodeValue")
    yield _meaning_of(text(item, "CodingSchemeDesignator"), code)
    for keyword in MODIFIERS:
        for modifier in items(item, keyword):
            yield from _meanings(modifier)


def _meaning_of(scheme: str, code: str) -> str:
    """Return the English meaning of a code, or "" for an unknown code."""
    from pydicom.sr._snomed_dict import mapping  # both take long to import, and few headers have codes

    if scheme in OLD_SNOMED:
        scheme, code = SNOMED, mapping["SRT"].get(code, "")
    return _english(scheme).get(code, "") if scheme in (SNOMED, DICOM) else ""


@cache
def _english(scheme: str) -> dict[str, str]:
    from pydicom.sr._concepts_dict import concepts

    return {code: value[0] for coded in concepts[scheme].values() for code, value in coded.items()}
