"""Reads values of a DICOM header as real files hold them: empty, with decimal commas, or of a wrong type.

A header is a pydicom Dataset. It is typed as Any, since type checkers do not know pydicom without the extra `dicom`.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

WHOLE_TABLE = 2**16
"""A table whose descriptor says 0 has 65,536 entries (PS3.3 C.11.1.1.1)."""


def several(header: Any, keyword: str) -> list[Any]:
    """Return the values of an element, whatever their number and type. A missing or empty element has none."""
    value = header.get(keyword)
    if value is None or isinstance(value, bytes):
        return []
    return list(value) if _is_list(value) else [value]


def text(header: Any, keyword: str) -> str:
    """Return a value in capitals without padding. Of several values, the first one counts."""
    return str(next(iter(several(header, keyword)), "")).strip(" \0").upper()


def words(texts: Iterable[Any]) -> set[str]:
    """Return the runs of letters in all texts, in capitals and without accents."""
    letters = unicodedata.normalize("NFD", " ".join(as_typed(str(one)) for one in texts).upper())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return set(re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", bare)))


def as_typed(text: str) -> str:
    """Return a text as it was typed if its bytes are UTF-8 and its header does not say so.

    pydicom then takes each byte for a letter of Latin-1, also in elements that may hold ASCII alone.
    """
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def numbers(header: Any, keyword: str) -> list[float]:
    """Return all numbers of an element, with NaN for a value that is no number. A missing or empty element has none."""
    return [_number(one) for one in several(header, keyword) if str(one).strip(" \0")]


def _number(value: Any) -> float:
    try:
        return float(str(value).strip(" \0").replace(",", "."))
    except ValueError:
        return math.nan


def whole(header: Any, keyword: str, default: int) -> int:
    """Return the first number of an element, cut to an integer.

    Args:
        header: The DICOM dataset.
        keyword: The element's keyword, such as "Rows".
        default: The answer if the element has no finite number.
    """
    first = next(iter(numbers(header, keyword)), math.nan)
    return int(first) if math.isfinite(first) else default


def items(header: Any, keyword: str) -> list[Any]:
    """Return the items of a sequence. A missing or empty sequence, or a value of another kind, has none."""
    return [item for item in several(header, keyword) if hasattr(item, "walk")]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


@dataclass(frozen=True)
class Table:
    """Applies a lookup table (PS3.3 C.11.1.1).

    Attributes:
        first: The value of the first entry. Lower values have the first entry too, and values beyond the last entry the
            last one.
        entries: The values that replace the stored ones.
    """

    first: int
    entries: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the entry of each value."""
        places = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[places]


def table_of(descriptor: list[float], data: Any, signed: bool, stored: int = 0) -> Table | None:
    """Read a lookup table.

    Args:
        descriptor: Number of entries, first value, and bits of an entry; empty if it is missing.
        data: The entries, as bytes or as numbers.
        signed: Whether the values are signed.
        stored: Bits of the values. A table without a descriptor that has an entry for each value begins at the lowest.

    Returns:
        The table, or None if it is cut off or cannot be understood.
    """
    if len(descriptor) == 3 and all(map(math.isfinite, descriptor)):
        count, first, bits = (int(number) for number in descriptor)
        count, first = count or WHOLE_TABLE, first - 2**16 if signed and first >= 2**15 else first
    elif not descriptor and stored:
        count, first, bits = 2**stored, -(2 ** (stored - 1)) if signed else 0, 16
    else:
        return None
    entries = _entries(data, count, bits)
    complete = len(entries) == count if not descriptor else len(entries) >= count > 0
    return Table(first, entries[:count]) if complete else None


def _entries(data: Any, count: int, bits: int) -> np.ndarray:
    """Return the entries of a table. They lie in words, two to a word if they have 8 bits."""
    if not isinstance(data, bytes):
        data = np.array([] if data is None else data, np.int64).reshape(-1).astype("<u2").tobytes()
    in_bytes = bits <= 8 and len(data) < 2 * count
    return np.frombuffer(data, np.uint8 if in_bytes else "<u2", len(data) // (1 if in_bytes else 2))
