"""Bounds DICOM films (PS3.5): the elements that are read, their values, and the fragments of compressed pixels.

The reads of pydicom itself are counted. A parser of our own could not foresee them, since they depend on much that a
file may get wrong.
"""

import io
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from .jpeg import check_scans
from .jpeg2000 import check_codestreams
from .limit import HEADER_BYTES, OverBound, at_most

READS = 200_000
"""pydicom may read from a film at most 200,000 times, about twice for each element or item. A film has a few hundred
elements. An empty item takes eight bytes of the file and a kilobyte of memory."""
VALUE_BYTES = 64 * 2**10
"""A value that is read has at most 64 kB. Each number that is written as text takes two hundred bytes of memory."""
TABLE_BYTES = 512 * 2**10
"""A sequence of lookup tables, or a palette, has at most 512 kB. A table has at most 128 kB."""
FRAGMENTS = 100_000
"""Compressed pixels come in at most 100,000 fragments. Archives split frames every 64 kB, or every 2 kB."""
TABLES = (
    *("ModalityLUTSequence", "VOILUTSequence"),
    *(f"{kind}{one}PaletteColorLookupTableData" for kind in ("", "Segmented") for one in ("Red", "Green", "Blue")),
)
PIXEL_DATA: int = Tag("PixelData")
PIXEL_TAGS = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")
"""Pixel data have this tag, in one order of bytes or the other."""
HEAD = 8
"""The head of an element or of an item has eight bytes. pydicom reads each head separately."""
PIXEL_KINDS = (None, "OB", "OW", "UN")
"""Pixel data have one of these value representations. pydicom would parse any other one value by value."""
ITEM = b"\xfe\xff\x00\xe0"


class CountedReads(io.BytesIO):
    """Gives a film to pydicom, and raises OverBound when it reads too much beside the pixels.

    Args:
        content: The file's bytes, inflated.
        most: Most bytes that may be read beside the pixels.
    """

    def __init__(self, content: bytes, most: int = HEADER_BYTES):
        super().__init__(content)
        self._size, self._most = len(content), most
        self._reads = self._bytes = 0
        self._in_pixels = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as io.BytesIO does.

        Raises OverBound also for a read to the end, since pydicom inflates what it returns.
        """
        if size is None or size < 0:
            raise OverBound("a data set that is packed in an unusual way")
        self._reads += 1
        at_most(READS // 2, self._reads // 2, "elements or items")
        if not self._in_pixels:
            self._bytes += min(size, self._size - self.tell())
            at_most(self._most, self._bytes, "bytes in its header")
        content = super().read(size)
        if size == HEAD:
            self._in_pixels = content[:4] in PIXEL_TAGS
        return content


def check_values(header: Any) -> None:
    """Check the elements of a data set that pydicom has not converted yet, and those in its sequences.

    Raises OverBound.
    """
    tables = {Tag(keyword) for keyword in TABLES}
    for tag in list(header.keys()):
        element = header.get_item(tag)
        if not isinstance(element, RawDataElement):  # a sequence that was read element by element
            for item in element.value if element.VR == "SQ" else ():
                check_values(item)
            continue
        if tag == PIXEL_DATA:
            if element.VR not in PIXEL_KINDS:
                raise OverBound("pixel data that are not bytes")
            continue
        most = TABLE_BYTES if tag in tables else VALUE_BYTES
        at_most(most, len(element.value or b""), "bytes in a value of its header")


def check_fragments(content: bytes) -> None:
    """Check encapsulated pixel data before they are joined. Raises OverBound."""
    at, count = 0, 0
    while content[at : at + 4] == ITEM:
        count += 1
        at_most(FRAGMENTS, count, "fragments of pixel data")
        at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")


def check_frame(frame: bytes, jpeg2000: bool) -> None:
    """Check a frame in any kind of JPEG. Raises OverBound."""
    if jpeg2000:
        check_codestreams([frame])
    else:
        check_scans(frame)
