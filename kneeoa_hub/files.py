"""Writes files and folders that appear whole or not at all, and checks names that stay in their folder."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

UNFINISHED = ".part-"
"""The name of a file that is still being written begins so. A process that is killed leaves such a file behind."""
_FILE_NAME = re.compile(r"""[^.\s<>:"/\\|?*]([^<>:"/\\|?*]{0,98}[^.\s<>:"/\\|?*])?""")


def is_file_name(text: str) -> bool:
    """Tell whether a text can name a file on every system, and leads to no other folder."""
    return bool(_FILE_NAME.fullmatch(text)) and text.isprintable()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a free path beside `path`, and rename it to `path` when the block ends without an error.

    Readers of `path` see the old content or the new content, never a part of it, even when the process is killed.
    When the block fails, nothing of it stays. The block writes a file or makes a folder at the yielded path, whose name
    ends as that of `path` does: Keras and NumPy choose their format by it. Two writers do not disturb each other; a
    folder that is not empty is never replaced.

    Args:
        path: The file or folder to make or to replace. Its parent folder exists.

    Raises:
        OSError: The block or the renaming failed.
    """
    part = path.with_name(f"{UNFINISHED}{os.urandom(4).hex()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def release(lock: "FileLock") -> None:
    """Release a lock, and remove its file. On Windows no file can be removed while it is open; there filelock does."""
    with suppress(OSError):  # a file that stays hinders nobody
        Path(lock.lock_file).unlink()
    lock.release()
