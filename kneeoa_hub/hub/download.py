"""From a Hub repo to a verified folder in the client's cache, with the network or without.

The Hub's client accepts changed bytes of the right size and calls a partial folder a success, so every download is
checked against the bundle's own manifest, and what is damaged is fetched once more.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..bundle import read_manifest, refuse_code, sha256_of, verify
from ..errors import BundleError, BundleIncomplete, HubError, HubNotFound, HubUnreachable
from ..settings import Settings
from . import versioned
from .address import Repo, did_you_mean
from .client import patiently, talking

_COMMIT = re.compile(r"[0-9a-f]{40}")

LOOK_EVERY_S = 0.2

log: logging.Logger = logging.getLogger(__name__)


def from_repo(repo: Repo, token: str | None, local_files_only: bool, cache_dir: str | Path | None) -> Path:
    """The verified folder, in the Hub client's cache, of the bundle at a repo's revision."""
    from huggingface_hub import constants

    wanted = repo.revision or versioned.MAIN
    cache = Path(cache_dir or constants.HF_HUB_CACHE).expanduser()
    kept = cache / f"models--{repo.name.replace('/', '--')}"
    pinned = _COMMIT.fullmatch(wanted) is not None
    snapshot = versioned.find(kept, wanted)
    if local_files_only or constants.is_offline_mode():
        if snapshot is None:
            raise HubUnreachable(
                f"{repo.name}@{wanted} was not pulled before into {cache}, and the network is switched off;"
                " pull it once with the network on, or ask for a tag or whole commit that was pulled."
            )
        verify(snapshot)
        return snapshot
    if snapshot and pinned and _is_whole(snapshot):
        return snapshot
    try:
        with talking(repo.name), _alone(kept):
            snapshot = _fetched(repo, token, cache)
            if not pinned:
                # the bundle is whole; without the ref its tag is not found when the network is off
                with suppress(OSError):
                    versioned.write_ref(kept, wanted, snapshot.name)
    except HubUnreachable as error:
        if snapshot is None or not _is_whole(snapshot):
            raise
        log.warning("%s Using the copy of %s that was pulled before, %s.", error.message, repo, snapshot.name)
    return snapshot


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """One process at a time pulls into a repo's folder of the cache; another waits as long as that one's files grow.

    Raises HubUnreachable when they have not for KNEEOA_TIMEOUT, as when that process was stopped: the Hub's client
    would wait without end.
    """
    from filelock import FileLock, Timeout

    limit = max(1, Settings.from_environ().timeout)
    path = kept.parent / ".locks" / kept.name / "kneeoa.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        seen, since = _grown(kept), time.monotonic()
        while True:
            try:
                lock.acquire(timeout=LOOK_EVERY_S)
                break
            except Timeout:
                if (now := _grown(kept)) != seen:
                    seen, since = now, time.monotonic()
                elif time.monotonic() - since >= limit:
                    raise HubUnreachable(
                        f"Another process pulls into {kept} and got nowhere for {limit} s; end it, and try again."
                    ) from None
    # a cache that can't be written, which the download will tell, or where nothing can be locked
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _grown(kept: Path) -> tuple[int, int]:
    """How many files a repo's folder holds of blobs, and their bytes."""
    sizes = [0]
    for path in kept.glob("blobs/*"):
        with suppress(OSError):  # renamed meanwhile
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except BundleError:
        return False
    return True


def _fetched(repo: Repo, token: str | None, cache: Path) -> Path:
    """Every needed file of the repo's one commit, verified; a file that is missing or changed is fetched once more."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError

    api = HfApi(token=token)
    try:
        info = patiently(lambda: api.model_info(repo.name, revision=repo.revision))
    except RevisionNotFoundError:
        refs = patiently(lambda: api.list_repo_refs(repo.name))
        known = sorted(ref.name for ref in (*refs.tags, *refs.branches))
        guess = did_you_mean(repo.revision or versioned.MAIN, known)
        raise HubNotFound(f"{repo.name} has no revision {repo.revision!r}.{guess} It has {', '.join(known)}.") from None
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(repo.revision or "") and commit != repo.revision):
        raise HubError(
            f"Asked for {repo}, the Hub answered with the commit {commit or 'of no name'}; see that HF_ENDPOINT is a"
            " Hub, and try again."
        )
    there = [file.rfilename for file in info.siblings or ()]
    refuse_code(there, str(repo))
    card = [name for name in there if versioned.is_card(name)]

    def download(name: str) -> Path:
        try:
            return Path(patiently(lambda: api.hf_hub_download(repo.name, name, revision=commit, cache_dir=cache)))
        except RemoteEntryNotFoundError:
            raise BundleIncomplete(
                f"{repo} has no {name}, so it is not a whole bundle of this package; see that the address is right."
            ) from None

    for last in (False, True):
        folder = download("manifest.json").parent
        if folder.name != commit:
            raise HubError(
                f"Asked for {repo}, the Hub sent a file of the commit {folder.name} in place of {commit}; try again."
            )
        try:
            listed = read_manifest(folder)[1]
            refuse_code((), str(repo), listed)
            for name in (*listed, *card):
                download(name)
            verify(folder)
            break
        except BundleError:
            if last:
                raise
            _forget_damaged(folder)
    return folder


def _forget_damaged(folder: Path) -> None:
    """Take what differs from the manifest, and the manifest, out of the client's cache, so that it is fetched again."""
    damaged = ["manifest.json"]
    with suppress(BundleError):
        files = read_manifest(folder)[1]
        damaged += [
            name
            for name, entry in files.items()
            if (folder / name).is_file() and sha256_of(folder / name) != entry["sha256"]
        ]
    for name in damaged:
        blob = (folder / name).resolve()
        (folder / name).unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
