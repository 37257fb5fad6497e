"""Shares memory between the process that decodes and its parent, so that a large film is never in memory twice.

A smaller film goes through the socket of the two processes, which takes less time: shared memory has small pages. Only
Linux has such memory without a name, which ends with the last process that holds it.
"""

import fcntl
import math
import mmap
import os
from collections.abc import Callable

import numpy as np

from .film import Limits

LEAST_BYTES = 64 * 2**20
"""Pixels of fewer bytes go through the socket."""
PIECE_BYTES = 16 * 2**20
"""The parent copies 16 MB at a time, and gives them back."""


class SharedMemory:
    """Gives room for the pixels of one film. Pages that are not used take no memory.

    Args:
        limits: The limits on a film, which set the size of the room.
        handle: The handle of memory that another process has made for the same limits. None makes new memory.

    Attributes:
        handle: The handle of the memory.
    """

    def __init__(self, limits: Limits, handle: int | None = None):
        size = 2 * _whole_pages(4 * limits.max_pixels)  # a film in colour becomes gray, and then a film
        if handle is None:
            handle = _sealed(size)
        self.handle: int = handle
        self._memory = mmap.mmap(handle, size)

    def take(self, shape: tuple[int, int], place: int) -> np.ndarray:
        """Return a copy of pixels [H,W] float32, and give the memory back.

        Args:
            shape: Height and width.
            place: The offset of the pixels in the memory, in bytes.

        Raises:
            ValueError: The memory ends before that.
        """
        pixels = np.empty(shape, np.float32)
        copy, shared = pixels.reshape(-1), np.frombuffer(self._memory, np.float32, pixels.size, place)
        step = PIECE_BYTES // 4
        for at in reversed(range(0, pixels.size, step)):
            copy[at : at + step] = shared[at : at + step]
            self._free(place + 4 * at, place + 4 * (at + step))
        self._free(0, place)
        return pixels

    def pixels(self, shape: tuple[int, ...], begin: int) -> tuple[np.ndarray, int] | None:
        """Return room for pixels [H,W] float32, and its offset in the memory, or None for too few or too many of them.

        Args:
            shape: Height and width.
            begin: Bytes of the room for pixels that others have.
        """
        place, size = _whole_pages(begin), 4 * math.prod(shape)
        if size < LEAST_BYTES or place + size > len(self._memory):
            return None
        return np.frombuffer(self._memory, np.float32, math.prod(shape), place).reshape(shape), place

    def clear(self) -> None:
        """Give all of the memory back."""
        self._free(0, len(self._memory))

    def _free(self, start: int, end: int) -> None:
        end = min(_whole_pages(end), len(self._memory))
        if start < end:
            self._memory.madvise(mmap.MADV_REMOVE, start, end - start)


def shared_memory(limits: Limits) -> SharedMemory | None:
    """Return new memory for films within the limits, or None if films go through the socket alone.

    Films do so on all systems but Linux, and if a limit on files or the rules of a container forbid such memory.
    """
    try:
        return SharedMemory(limits) if hasattr(os, "memfd_create") else None
    except OSError:
        return None


class SharedPixels:
    """Makes room for the pixels of a film, in shared memory if there is any.

    Args:
        memory: The memory that the parent shares; None if the system has none.
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
        """Return the offset in the shared memory of an array that was made here, or None for any other array."""
        return next((place for room, place in self._rooms if room is pixels), None)

    def clear(self) -> None:
        """Make room for another film. The parent has taken the one before, unless that ended with an error."""
        if self._memory and self._rooms:
            self._memory.clear()
        self._rooms.clear()
        self._bytes = 0
        self._count(0)


def _sealed(size: int) -> int:
    handle = os.memfd_create("film", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(handle, size)
        # A process that made it smaller would end the other one.
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except OSError:
        os.close(handle)
        raise
    return handle


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
