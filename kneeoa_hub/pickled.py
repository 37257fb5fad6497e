"""Takes graders to other processes. A pickled grader names its bundle, and each process opens that bundle once.

`multiprocessing`, joblib and Dask can therefore take a grader or its method as they take any function. The weights do
not travel with every task.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from .bundle import Bundle, read_bundle
from .errors import BundleError
from .hub.presets import PRESETS

Grader = TypeVar("Grader")


def place_of(bundle: Bundle) -> tuple[str, str]:
    """Return the name of a shipped bundle or the folder of another one, and the digest of its manifest."""
    preset = next((name for name, one in PRESETS.items() if one.folder == bundle.folder), "")
    return preset or str(bundle.folder.absolute()), bundle.digest


def opened(kind: Callable[..., Grader], place: str, digest: str, *options: Any) -> Grader:
    """Return the grader of this process for a bundle.

    Args:
        kind: The class of the grader, which takes the bundle and the options.
        place: The name of a shipped bundle, or the folder of another one.
        digest: The digest of its manifest.
        options: The further arguments of the class.

    Raises:
        BundleError: This machine lacks the bundle, or has a different one in its place.
    """
    # A forked process lacks the threads of its parent's graders.
    return _opened(os.getpid(), kind, place, digest, *options)


@lru_cache(maxsize=4)
def _opened(_process: int, kind: Callable[..., Any], place: str, digest: str, *options: Any) -> Any:
    folder = PRESETS[place].folder if place in PRESETS else Path(place)
    advice = "give this machine the same bundle at the same place, or call from_pretrained on it"
    if not folder.is_dir():
        raise BundleError(
            f"A grader was sent here whose bundle lies in {place}, where this machine has none; {advice}."
        )
    bundle = read_bundle(folder)
    if bundle.digest != digest:
        raise BundleError(f"A grader of revision {digest} was sent here, but {place} holds {bundle.digest}; {advice}.")
    return kind(bundle, *options)
