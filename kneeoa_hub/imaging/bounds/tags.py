"""Bounds the directories of tags in TIFF (TIFF 6.0, section 2), which EXIF and MPF use too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .limit import OverBound, at_most

TAGS = 4096
"""All directories that are read have at most 4,096 tags. A film has about thirty, a phone's EXIF a hundred."""
NUMBERS = 1_000_000
"""All tags hold at most a million numbers. Pillow makes an object of about forty bytes of each. A film of the largest
size in tiles of 16 x 16 pixels has 320,000."""
SHARED_BYTES = 64 * 2**10
"""The values of all tags may exceed the file by 64 kB. Writers let two resolutions share their bytes. An attack lets a
thousand tags share a megabyte, and each tag takes a copy."""
VALUE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""A value has as many bytes as the number of its type says here."""
OPAQUE = (1, 2, 7)
"""Pillow leaves the values of these types as bytes."""
PAGES = 64
"""A film is looked for among at most 64 pages. Files with previews have up to ten."""
FURTHER = (34665, 34853, 40965)
"""These tags point to the directories that Pillow reads too: EXIF, GPS, interoperability."""
MARKS = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
"""Pillow takes a file that begins with one of these for TIFF. The last two are BigTIFF."""
BIG = 43
"""BigTIFF has this number in its first bytes."""
RATIONAL = 5
"""A fraction of two whole numbers has this type."""
EXIF, PROFILE = b"Exif\0\0", "Raw profile type exif"
"""The first bytes precede EXIF. A PNG's text of the second name holds EXIF in hexadecimal digits."""


@dataclass(frozen=True)
class Tag:
    """Describes a tag of a directory.

    Attributes:
        number: What the tag says.
        kind: The number of its type.
        count: How many values it has.
        at: The offset of the values in the file.
    """

    number: int
    kind: int
    count: int
    at: int

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self.count * VALUE_BYTES[self.kind]


class TagReader:
    """Reads numbers in the file's order of bytes, and the directories of TIFF or of BigTIFF."""

    def __init__(self, content: bytes, big: bool):
        self.content: bytes = content
        self.big: bool = big
        self.order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"

    @property
    def first(self) -> int:
        """Where the first directory lies."""
        return self.number(8, 8) if self.big else self.number(4, 4)

    def number(self, at: int, size: int) -> int:
        """Return a whole number of so many bytes."""
        return int.from_bytes(self.content[at : at + size], self.order)

    def numbers(self, tag: Tag) -> list[int]:
        """Return the values of a tag of whole numbers."""
        kind = f"{'<' if self.order == 'little' else '>'}u{VALUE_BYTES[tag.kind]}"
        return np.frombuffer(self.content, kind, tag.count, tag.at).tolist()

    def values(self, tag: Tag) -> Sequence[float]:
        """Return the values of a tag of whole numbers or of fractions; a fraction over 0 is 0."""
        if tag.kind != RATIONAL:
            return self.numbers(tag) if VALUE_BYTES[tag.kind] > 0 else []
        kind = "<u4" if self.order == "little" else ">u4"
        pairs = np.frombuffer(self.content, kind, 2 * tag.count, tag.at).reshape(-1, 2).tolist()
        return [over / under if under else 0.0 for over, under in pairs]

    def directories(self) -> Iterator[int]:
        """Yield where the directories of the first pages lie, one more than PAGES at most."""
        counter, entry, room = (8, 20, 8) if self.big else (2, 12, 4)
        at, seen = self.first, set[int]()
        while 0 < at < len(self.content) and at not in seen and len(seen) <= PAGES:
            seen.add(at)
            yield at
            at = self.number(at + counter + entry * self.number(at, counter), room)

    def tags(self, at: int) -> Iterator[Tag]:
        """Yield the tags of a directory whose values lie in the file; Pillow leaves out the others."""
        counter, entry, room = (8, 20, 8) if self.big else (2, 12, 4)
        for start in range(at + counter, at + counter + entry * self.number(at, counter), entry):
            if start + entry > len(self.content):
                return
            kind = self.number(start + 2, 2)
            tag = Tag(self.number(start, 2), kind, self.number(start + 4, room), start + entry - room)
            if kind >= len(VALUE_BYTES) or not VALUE_BYTES[kind]:
                continue
            if tag.size > room:
                tag = Tag(tag.number, kind, tag.count, self.number(tag.at, room))
            if tag.at + tag.size <= len(self.content):
                yield tag


def readers(content: bytes) -> list[TagReader]:
    """Return each way in which a decoder may read this file. There is none if the file is not TIFF.

    Pillow takes BigTIFF in big endian for TIFF, and libtiff does not. The way of libtiff comes first.
    """
    if content[:4] not in MARKS:
        return []
    return [TagReader(content, big) for big in dict.fromkeys((BIG in content[2:4], content[2] == BIG))]


def check_tags(content: bytes) -> None:
    """Check the directories of a TIFF file or of EXIF, given from its order of bytes on.

    Raises OverBound if there are too many tags or numbers, or if values share their bytes.
    """
    for reader in readers(content):
        waiting, seen = [reader.first, *reader.directories()], set()
        tags = numbers = size = 0
        while waiting:
            directory = waiting.pop()
            if directory in seen:
                continue
            seen.add(directory)
            for tag in reader.tags(directory):
                tags, size = tags + 1, size + tag.size
                numbers += 0 if tag.kind in OPAQUE else tag.count
                at_most(TAGS, tags, "tags")
                at_most(NUMBERS, numbers, "numbers in its tags")
                if size > len(content) + SHARED_BYTES:
                    raise OverBound("tags that share their bytes")
                if tag.number in FURTHER:
                    waiting.append(reader.number(tag.at, VALUE_BYTES[tag.kind]))


def check_exif(info: Mapping[Any, Any]) -> None:
    """Check the EXIF that Pillow keeps of a picture, before Pillow parses it. Raises OverBound."""
    exif, profile = info.get("exif"), info.get(PROFILE)
    if exif is None and isinstance(profile, str):
        try:
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:  # Pillow reports it
            return
    if isinstance(exif, bytes):
        while exif.startswith(EXIF):
            exif = exif[len(EXIF) :]
        check_tags(exif)
