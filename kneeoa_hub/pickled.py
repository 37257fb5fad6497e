"""Takes graders to other processes. A pickled grader names its bundle, and each process opens that bundle once.

`multiprocessing`, joblib and Dask can therefore take a grader or its method as they take any function. The weights do
not travel with every task.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from .bundle import read_bundle
from .errors import BundleError
from .grader import KneeGrader
from .hub.presets import PRESETS


def pickled(grader: KneeGrader) -> tuple[Callable[..., KneeGrader], tuple[Any, ...]]:
    """Return what pickle writes for a grader: the function that opens it again, and its arguments."""
    folder = grader.bundle.folder
    preset = next((name for name, one in PRESETS.items() if one.folder == folder), "")
    options = grader.revision, grader.threads, grader.level, grader.decode_process
    return opened, (preset or str(folder.absolute()), grader.bundle.digest, *options)


def opened(place: str, digest: str, *options: Any) -> KneeGrader:
    """Return the grader of this process for a bundle.

    Args:
        place: The name of a shipped bundle, or the folder of another one.
        digest: The digest of its manifest.
        options: The further arguments of `KneeGrader`.

    Raises:
        BundleError: This machine lacks the bundle, or has a different one in its place.
    """
    return _opened(os.getpid(), place, digest, *options)  # a forked process lacks the threads of its parent's graders


@lru_cache(maxsize=4)
def _opened(_process: int, place: str, digest: str, *options: Any) -> KneeGrader:
    folder = PRESETS[place].folder if place in PRESETS else Path(place)
    advice = "give this machine the same bundle at the same place, or call from_pretrained on it"
    if not folder.is_dir():
        raise BundleError(
            f"A grader was sent here whose bundle lies in {place}, where this machine has none; {advice}."
        )
    bundle = read_bundle(folder)
    if bundle.digest != digest:
        raise BundleError(f"A grader of revision {digest} was sent here, but {place} holds {bundle.digest}; {advice}.")
    return KneeGrader(bundle, *options)
