"""A process that decodes films, with a decoder that takes too much of each kind."""

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
"""A process in which what stands for a decoder takes too much of each kind."""


def hostile_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that does as `decode_worker`, and what the film says where it is no film."""
    (folder / "hostile.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(str(folder))
    return "hostile"
