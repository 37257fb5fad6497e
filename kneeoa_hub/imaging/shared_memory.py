"""Memory that the process that decodes shares with its parent: a pipe would take as long for a film as its decoder.

Only Linux has such memory without a name, which ends with the last process that holds it. Elsewhere, films go through
the socket of the two processes.
"""

import fcntl
import math
import mmap
import os
from collections.abc import Callable

import numpy as np

from .film import Limits

KEPT_FILE_BYTES, KEPT_PIXEL_BYTES = 12 * 2**20, 24 * 2**20
"""Bytes that are kept from one film to the next: those of a film of six million pixels. Linux takes as long to give
memory as to copy it three times."""
PIECE_BYTES = 16 * 2**20
"""The parent copies so many bytes at a time, and gives back those that are not kept."""
POSSIBLE: bool = hasattr(os, "memfd_create")
"""Whether this system has such memory."""


class SharedMemory:
    """A room for the file of one film, and behind it one for pixels. Pages that are not used take no memory.

    Args:
        limits: The limits on a film, by which the rooms are as large as they have to be.
        handle: The handle of memory that another process has made for the same limits. None makes new memory.

    Attributes:
        handle: The handle of the memory.
    """

    def __init__(self, limits: Limits, handle: int | None = None):
        self._behind = _whole_pages(limits.max_bytes)
        size = self._behind + 2 * _whole_pages(4 * limits.max_pixels)  # a film in colour becomes gray, and then a film
        if handle is None:
            handle = os.memfd_create("film", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(handle, size)
            # A process that made it smaller would end the other one.
            fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.handle: int = handle
        self._memory = mmap.mmap(handle, size)

    def put(self, content: bytes) -> bool:
        """Write a file, and return whether there was room for it."""
        fits = len(content) <= self._behind
        if fits:
            self._memory[: len(content)] = content
        return fits

    def file(self, size: int) -> bytes:
        """Return a copy of the file of so many bytes, and give back what is not kept."""
        content = self._memory[:size]
        self._free(KEPT_FILE_BYTES, size)
        return content

    def take(self, shape: tuple[int, int], place: int) -> np.ndarray:
        """Return a copy of pixels [H,W] float32, and give back what is not kept.

        Args:
            shape: Height and width.
            place: Where they lie in the memory, in bytes.

        Raises:
            ValueError: The memory ends before that.
        """
        pixels = np.empty(shape, np.float32)
        copy, shared = pixels.reshape(-1), np.frombuffer(self._memory, np.float32, pixels.size, place)
        step = PIECE_BYTES // 4
        for at in reversed(range(0, pixels.size, step)):
            copy[at : at + step] = shared[at : at + step]
            self._free(max(place + 4 * at, self._behind + KEPT_PIXEL_BYTES), place + 4 * (at + step))
        self._free(self._behind + KEPT_PIXEL_BYTES, len(self._memory))
        return pixels

    def pixels(self, shape: tuple[int, ...], begin: int) -> tuple[np.ndarray, int] | None:
        """Return room for pixels [H,W] float32, and where in the memory it lies; None where there is not enough.

        Args:
            shape: Height and width.
            begin: Bytes of the room for pixels that others have.
        """
        place = self._behind + _whole_pages(begin)
        if place + 4 * math.prod(shape) > len(self._memory):
            return None
        return np.frombuffer(self._memory, np.float32, math.prod(shape), place).reshape(shape), place

    def _free(self, start: int, end: int) -> None:
        end = min(end, len(self._memory)) // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:
            self._memory.madvise(mmap.MADV_REMOVE, start, end - start)


class SharedPixels:
    """Makes room for the pixels of a film, in shared memory as far as there is any.

    Args:
        memory: The memory that the parent shares; None where the system has none.
        count: A function that is called with the bytes of pixels that are shared, before they are used.
    """

    def __init__(self, memory: SharedMemory | None, count: Callable[[int], None]):
        self._memory, self._count = memory, count
        self._rooms: list[tuple[np.ndarray, int]] = []
        self._bytes = 0

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array [H,W] float32."""
        room = self._memory and self._memory.pixels(shape, self._bytes)
        if not room:
            return np.empty(shape, np.float32)
        self._rooms.append(room)
        self._bytes = _whole_pages(self._bytes) + room[0].nbytes
        self._count(self._bytes)
        return room[0]

    def place_of(self, pixels: np.ndarray) -> int | None:
        """Return where in the shared memory an array lies that was made here, None for any other array."""
        return next((place for room, place in self._rooms if room is pixels), None)

    def clear(self) -> None:
        """Make room for another film."""
        self._rooms.clear()
        self._bytes = 0
        self._count(0)


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
