"""Downloads a Hub repo into a verified folder in the client's cache, with the network or without it.

The Hub's client accepts changed bytes of the right size, and calls a partial folder a success. So every download is
checked against the bundle's own manifest, and damaged files are downloaded a second time.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BundleChanged, BundleError, BundleIncomplete, HubError, HubNotFound, HubUnreachable
from ..links import HUB_REPO
from ..manifest import MOST_UNLISTED, most_bytes, read_manifest, refuse_code, verify
from ..settings import Settings
from . import versioned
from .address import Repo, did_you_mean
from .cache import check_place, forget_damaged, remove_abandoned
from .client import hub_session
from .retry import with_retries

if TYPE_CHECKING:
    from filelock import FileLock
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

    from .client import Guard

_COMMIT = re.compile(r"[0-9a-f]{40}")

LOOK_EVERY_S = 0.2
"""A process that waits for another one's download looks at it again after 0.2 seconds."""

log: logging.Logger = logging.getLogger(__name__)


def download_bundle(repo: Repo, token: str | None, local_files_only: bool, cache_dir: str | Path | None) -> Path:
    """Bring the bundle at a repo's revision into the Hub client's cache.

    Args:
        repo: The repo and its revision.
        token: A token of the Hub, or None.
        local_files_only: Use no network.
        cache_dir: The cache. None takes the Hub client's own.

    Returns:
        The verified folder. If the Hub cannot be reached, it is the one that was pulled last, with a warning in the
        log.
    """
    from huggingface_hub import constants

    wanted = repo.revision or versioned.MAIN
    cache = Path(cache_dir or constants.HF_HUB_CACHE).expanduser()
    kept = cache / f"{HUB_REPO}{repo.name.replace('/', '--')}"
    pinned = _COMMIT.fullmatch(wanted) is not None
    snapshot = versioned.find_snapshot(kept, wanted)
    if local_files_only or constants.is_offline_mode():
        return _without_network(snapshot, f"{repo.name}@{wanted}", cache)
    if snapshot and pinned and _is_whole(snapshot):
        return snapshot
    try:
        with hub_session(repo.name) as guard, _one_process_at_a_time(kept):
            remove_abandoned(kept)
            snapshot = _downloaded(repo, token, kept, guard)
            if not pinned:
                with suppress(OSError):  # the bundle is whole; without the ref only its tag is not found offline
                    versioned.write_ref(kept, wanted, snapshot.name)
    except HubUnreachable as error:
        if snapshot is None or not _is_whole(snapshot):
            raise
        log.warning("%s Using the copy of %s that was pulled before, %s.", error.message, repo, snapshot.name)
    return snapshot


def _without_network(snapshot: Path | None, wanted: str, cache: Path) -> Path:
    if snapshot is None:
        raise HubUnreachable(
            f"{wanted} was not pulled before into {cache}, and the network is switched off; pull it once with the"
            " network on, or ask for a tag or a full commit that was pulled."
        )
    verify(snapshot)
    return snapshot


@contextmanager
def _one_process_at_a_time(kept: Path) -> Iterator[None]:
    """Let one process at a time pull into a repo's folder of the cache; others wait while its files grow.

    The Hub's client would wait without end for a process that was stopped. Raises HubUnreachable if the files have
    not grown for KNEEOA_TIMEOUT seconds.
    """
    from filelock import FileLock

    path = kept.parent / ".locks" / kept.name / "kneeoa.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        _acquire(lock, kept)
    # The cache can't be written, as the download will say, or its file system has no locks.
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: "FileLock", kept: Path) -> None:
    from filelock import Timeout

    limit = max(1, Settings.from_environ().timeout)
    size, since = _size(kept), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=LOOK_EVERY_S)
            return
        except Timeout:
            if (now := _size(kept)) != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since >= limit:
                raise HubUnreachable(
                    f"Another process is pulling into {kept} and made no progress for {limit} s; end it, and try again."
                ) from None


def _size(kept: Path) -> tuple[int, int]:
    """Return how many blobs a repo's folder holds, and their bytes."""
    sizes = [0]
    for path in kept.glob("blobs/*"):
        with suppress(OSError):  # it was renamed meanwhile
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except BundleError:
        return False
    return True


def _downloaded(repo: Repo, token: str | None, kept: Path, guard: "Guard") -> Path:
    """Download every needed file of one commit and verify them. A missing or changed file is downloaded once more."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    info = _model_info(api, repo)
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(repo.revision or "") and commit != repo.revision):
        raise HubError(
            f"The Hub answered the request for {repo} with the commit {commit or 'without a name'}; check that"
            " HF_ENDPOINT is a Hub, and try again."
        )
    there = [file.rfilename for file in info.siblings or ()]
    refuse_code(there, str(repo))
    card = [name for name in there if versioned.is_card(name)]
    snapshot = kept / "snapshots" / commit

    def download(name: str, most: int) -> None:
        with guard.at_most(most):
            check_place(_download(api, repo, commit, name, kept.parent), name, snapshot)

    for last_attempt in (False, True):
        try:
            download("manifest.json", most_bytes("manifest.json"))
            listed = read_manifest(snapshot)[1]
            refuse_code((), str(repo), listed)
            if len(unlisted := [name for name in card if name not in listed]) > MOST_UNLISTED:
                raise BundleChanged(
                    f"{repo} has {len(unlisted)} files of a model card that its manifest does not list; at most"
                    f" {MOST_UNLISTED} are pulled. Check the address."
                )
            for name in listed:
                download(name, listed[name]["size"])
            for name in card:
                download(name, most_bytes(name))
            verify(snapshot)
            break
        except BundleError:
            if last_attempt:
                raise
            forget_damaged(snapshot)
    return snapshot


def _model_info(api: "HfApi", repo: Repo) -> "ModelInfo":
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return with_retries(lambda: api.model_info(repo.name, revision=repo.revision))
    except RevisionNotFoundError:
        refs = with_retries(lambda: api.list_repo_refs(repo.name))
        known = sorted(ref.name for ref in (*refs.tags, *refs.branches))
        guess = did_you_mean(repo.revision or versioned.MAIN, known)
        raise HubNotFound(f"{repo.name} has no revision {repo.revision!r}.{guess} It has {', '.join(known)}.") from None


def _download(api: "HfApi", repo: Repo, commit: str, name: str, cache: Path) -> Path:
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        return Path(with_retries(lambda: api.hf_hub_download(repo.name, name, revision=commit, cache_dir=cache)))
    except RemoteEntryNotFoundError:
        raise BundleIncomplete(
            f"{repo} has no {name}, so it is not a complete bundle of this package; check the address."
        ) from None
