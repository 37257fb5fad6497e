"""Checks the output folder of a long run: the disk has enough space, and no other run writes to the folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.files import UNFINISHED

BYTES_PER_PARAMETER = 12
"""A checkpoint holds a weight and the optimizer's two moments of it, of four bytes each."""
SPARE = 8 * 2**20
"""Bytes that stay free for the small files beside a checkpoint."""


def check_disk_space(folder: Path, parameters: int) -> None:
    """Raise OutputError when a checkpoint would not fit: the HDF5 library ends the process on a full disk."""
    needed, free = BYTES_PER_PARAMETER * parameters + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / 2**20:.0f} MB left, and a checkpoint needs {needed / 2**20:.0f}; make room, and give"
            " the same command again to go on."
        )


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Raise DataError when another process runs a step in the folder: each would overwrite the other's files."""
    from filelock import FileLock, Timeout

    lock = FileLock(out / f"{UNFINISHED}lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"Another process runs in {out}; wait for its end, or give another --out.") from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
