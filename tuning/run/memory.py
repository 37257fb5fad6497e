"""The process keeps memory that a training step frees, for the next step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""These are parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory; on other systems this does nothing.

    By default, glibc returns large blocks to the kernel at once. A training frees and allocates gigabytes of
    activations every second, and then spends up to half of its time in page faults (benchmarks/training_speed.py).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has no mallopt
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)
