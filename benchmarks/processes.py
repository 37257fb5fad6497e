"""Linux says how much memory processes take. Measured processes import this module, so it imports little.

A megabyte is a million bytes.
"""

import re
from pathlib import Path


def family(process: int) -> list[int]:
    """Return the id of a process, and those of all processes that it started, or that these started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in family(int(child)))]


def megabytes(process: int | str = "self") -> float:
    """Return the proportional set size of a process: each page is divided among the processes that share it."""
    return _field(f"/proc/{process}/smaps_rollup", "Pss")


def peak_megabytes(process: int | str = "self") -> float:
    """Return the most memory that was resident at one time in the life of a process."""
    return _field(f"/proc/{process}/status", "VmHWM")


def _field(path: str, name: str) -> float:
    """Return a field of a file of Linux in megabytes; 0 when the process has ended and lacks it."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(path).read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
