"""The decoder of a decoding process takes too much memory or time here, or crashes."""

from pathlib import Path

import pytest

HOSTILE = """
import sys, types
import numpy as np
from kneeoa_hub.imaging import decode_worker as worker

def hostile(content, name, limits):
    if content == b"memory":
        return np.ones(10**9)
    while content == b"time":
        pass
    if content == b"crash":
        import ctypes
        ctypes.string_at(0)
    return good(content, name, limits)

good, worker.decode_file, worker.PROCESSOR_SECONDS = worker.decode_file, hostile, 0
worker.main(*map(int, sys.argv[1:]))
"""
"""In this process the replaced decoder takes too much memory or time, or crashes."""


def hostile_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that acts as `decode_worker` until a film names an attack."""
    (folder / "hostile.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(str(folder))
    return "hostile"
