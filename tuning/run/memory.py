"""Memory that training frees each step and takes again the next one stays with the process."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory; elsewhere nothing happens.

    By default it gives large blocks back to the kernel at once. A training frees and takes gigabytes of activations
    every second, and then spends up to half of its time in page faults (benchmarks/training_speed.py).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)
