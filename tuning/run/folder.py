"""Checks the output folder of a long run: the disk has enough space, and no other run writes to the folder."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.files import UNFINISHED, release

BYTES_PER_PARAMETER = 12
"""A checkpoint holds a weight and the optimizer's two moments of it, of four bytes each."""
SPARE = 8 * 2**20
"""Bytes that stay free for the small files beside a checkpoint."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk that is full, and of a user's part of it."""


def check_disk_space(folder: Path, parameters: int) -> None:
    """Raise OutputError when a checkpoint would not fit: the HDF5 library ends the process on a full disk."""
    needed, free = BYTES_PER_PARAMETER * parameters + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / 2**20:.0f} MB left, and a checkpoint needs {needed / 2**20:.0f}; make room, and give"
            " the same command again to go on."
        )


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error says that a disk is full. TensorFlow and HDF5 say so in their text alone."""
    return getattr(error, "errno", None) in FULL or any(os.strerror(code) in str(error) for code in FULL)


def no_room(place: Path | str, error: BaseException) -> OutputError:
    """Return the error for a place that can't be written, in a run that can be gone on with.

    Only where a disk is full does it ask for room. Of other failures it says which file they are about.
    """
    said = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    if is_full_disk(error):
        return OutputError(f"{place} can't be written ({said}); make room, and give the same command again to go on.")
    file = getattr(error, "filename", None)
    about = f": {file}" if file and str(file) != str(place) else ""
    return OutputError(
        f"{place} can't be written ({said}{about}); mend this, and give the same command again to go on."
    )


@contextmanager
def with_room(place: Path | str) -> Iterator[None]:
    """Turn a failure of the file system inside the block into an OutputError that names a file or folder."""
    try:
        yield
    except OSError as error:
        raise no_room(place, error) from error


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Raise DataError when another process runs a step in the folder: each would overwrite the other's files."""
    with locked(out / f"{UNFINISHED}lock", f"Another process runs in {out}; wait for its end, or give another --out."):
        yield


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Let one process at a time run the block. Others wait or, if `busy` has a message, get it as a DataError."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0 if busy else -1)
    except Timeout:
        raise DataError(busy) from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        release(lock)
