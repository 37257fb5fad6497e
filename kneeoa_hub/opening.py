"""Makes a grader from an address, and does the slow parts side by side.

Hashing a bundle, loading the libraries and opening the grading network take about a tenth of a second each. The first
and the last of these run without Python's lock.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from .arguments import check_count
from .bundle import Bundle
from .hub.pull_push import pull_bundle, revision_of
from .third_party import quiet_onnxruntime

if TYPE_CHECKING:
    from .grader import KneeGrader


def from_pretrained(
    address: str | Path | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
    threads: int = 0,
    level: float | None = None,
    decode_process: int | None = None,
) -> "KneeGrader":
    """Make a grader from the shipped bundle, or from any other.

    Args:
        address: A folder, a shipped name, or a repo on the Hub such as "org/name@v1.0" (docs/addresses.md). None is
            the shipped bundle.
        revision: A tag, branch or commit, if the address does not hold one.
        token: A token of the Hub. None takes HF_TOKEN or the stored login.
        local_files_only: Use no network, as HF_HUB_OFFLINE=1 does.
        cache_dir: The cache for bundles of the Hub. None takes the Hub client's own.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.
        level: Coverage level of the prediction sets, one of those in the bundle. None is its first, 0.9 as shipped.
        decode_process: How many processes decode films, each with limits on memory and time. 0 decodes in this process;
            None takes KNEEOA_DECODE_PROCESS.

    Returns:
        The grader, whose bundle was verified file by file.

    Raises:
        AddressError: The address or revision names nothing.
        HubError: The Hub does not give the bundle.
        BundleError: The bundle is damaged, incomplete or of an unknown version.
        SettingsError: The bundle has no prediction sets of that level, or an argument is of another type.

    Examples:
        >>> import kneeoa_hub
        >>> grader = kneeoa_hub.from_pretrained()
        >>> grader.model
        'kneeoa-cnn'
        >>> len(grader.revision)
        12
    """
    check_count("threads", threads)
    with loading():
        bundle = pull_bundle(
            address, revision=revision, token=token, local_files_only=local_files_only, cache_dir=cache_dir
        )
    return open_grader(bundle, revision_of(bundle.folder), threads, level, decode_process)


def open_grader(
    bundle: Bundle,
    revision: str,
    threads: int = 0,
    level: float | None = None,
    decode_process: int | None = None,
    *,
    wait: bool = True,
) -> "KneeGrader":
    """Make a grader from a verified bundle, and load its code while the grading network is opened.

    Args:
        bundle: As in `KneeGrader`.
        revision: As in `KneeGrader`.
        threads: As in `KneeGrader`.
        level: As in `KneeGrader`.
        decode_process: As in `KneeGrader`.
        wait: Return when the grading network is open. Otherwise the first film is decoded and searched meanwhile, and
            its grading fails if the network cannot be opened.

    Raises:
        BundleError: A network cannot be opened.
        SettingsError: The bundle has no prediction sets of that level.
    """
    from .runtime import open_grading

    pool = ThreadPoolExecutor(1)
    network = pool.submit(open_grading, bundle, threads)
    pool.shutdown(wait=False)
    from .grader import KneeGrader

    grader = KneeGrader(bundle, revision, threads, level, decode_process, network)
    if wait:
        network.result()
    return grader


@contextmanager
def loading() -> Iterator[None]:
    """Load NumPy and onnxruntime in a thread during the block.

    The block must import neither: if two threads load NumPy at the same time, one may see a half-loaded module.
    """
    thread = Thread(target=_load, name="kneeoa-loading")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load() -> None:
    quiet_onnxruntime()
    with suppress(ImportError):  # whoever needs it says what is missing
        import_module("onnxruntime")
