"""Deletes what visitors have sent. Gradio itself forgets films that came through MCP, and uploads that broke off."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DELETE_EVERY_S, DELETE_AFTER_S = 60, 600
"""Uploads that are older than the second number of seconds are deleted, in intervals of the first."""


def sweep(folder: Path, older_than_s: float) -> None:
    """Delete every file that was last written that many seconds ago or earlier, and folders that are then empty."""
    limit = time.time() - older_than_s
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder comes after its content
        try:
            if path.is_dir() and not path.is_symlink():
                if path.stat().st_mtime < limit:
                    path.rmdir()
            elif path.lstat().st_mtime < limit:
                path.unlink()
        except OSError:  # it was deleted meanwhile, or is a folder that still holds something
            continue


@contextmanager
def swept(folder: Path, every_s: float, older_than_s: float) -> Iterator[None]:
    """Sweep a folder in a thread for as long as the context lasts, and empty it at the end.

    Args:
        folder: The folder.
        every_s: The seconds between two sweeps.
        older_than_s: The age in seconds from which a file is removed.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every_s):
            sweep(folder, older_than_s)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sweep(folder, 0)
