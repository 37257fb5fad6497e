"""What visitors sent is deleted, whoever wrote it down: Gradio forgets films that came through MCP and uploads that
broke off.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sweep(folder: Path, older_than_s: float) -> None:
    """Delete every file in the folder that was last written so long ago, and the folders that this leaves empty."""
    limit = time.time() - older_than_s
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        try:
            if path.is_dir() and not path.is_symlink():
                if path.stat().st_mtime < limit:
                    path.rmdir()
            elif path.lstat().st_mtime < limit:
                path.unlink()
        except OSError:  # deleted meanwhile, or a folder that still holds something
            continue


@contextmanager
def swept(folder: Path, every_s: float, older_than_s: float) -> Iterator[None]:
    """Sweep the folder again and again, in a thread, until left; then empty it."""
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
