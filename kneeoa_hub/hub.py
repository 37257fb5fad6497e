"""Pull a verified bundle from wherever an address points, and push one to a versioned folder or a Hub repo.

The Hub's client accepts changed bytes of the right size and calls a partial folder a success, so every pull is
checked against the bundle's own manifest, and what is damaged is fetched once more.
"""

import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from . import versioned
from .address import Folder, Repo, Shipped, did_you_mean, parse_address
from .bundle import Bundle, read_bundle, read_manifest, sha256_of, verify
from .errors import (
    AddressError,
    BundleError,
    BundleIncomplete,
    HubConflict,
    HubNotFound,
    HubUnreachable,
)
from .hub_client import patiently, talking
from .presets import DEFAULT, find_preset

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile(r"[0-9a-f]{40}")

log = logging.getLogger(__name__)


def pull(
    address: str | Path | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
) -> Path:
    """The folder of a bundle whose every file was just checked against its manifest.

    address: see `address`; None is the shipped bundle. token: of the Hub, by default HF_TOKEN or the stored login.
    local_files_only: no network at all, as with HF_HUB_OFFLINE=1. cache_dir: by default the Hub client's own.
    When the Hub can't be reached, the copy that was pulled last is used, with a warning in the log.
    Raises AddressError, HubError or BundleError kinds; OutputError when the cache can't be written.
    """
    match parse_address(DEFAULT if address is None else address, revision):
        case Shipped(name):
            folder = find_preset(name).folder
            verify(folder)
        case Folder(path, selected):
            folder = _from_folder(path, selected)
        case Repo() as repo:
            folder = _from_repo(repo, token, local_files_only, cache_dir)
    return folder


def push(
    bundle: Path | str,
    address: str | Path,
    *,
    tag: str | None = None,
    token: str | None = None,
    private: bool = False,
    message: str | None = None,
    dry_run: bool = False,
) -> str:
    """Publish a bundle with its card; returns the address to pull it from, with the tag or else the revision.

    private: of a Hub repo that this makes. message: of the commit. dry_run: check everything, change nothing.
    The same bundle twice changes nothing. Raises BundleError kinds before anything is sent, HubConflict when the
    tag already names another bundle, AddressError, other HubError kinds, or OutputError.
    """
    target = parse_address(address)
    if tag is not None:
        versioned.check_tag(tag)
    if isinstance(target, Shipped):
        raise AddressError(f"{str(address)!r} is a name of the package; push to a folder ('./{target.name}') or a Hub repo ('org/name').")
    if target.revision:
        raise AddressError(f"{str(address)!r}: a push makes its own revision; leave out @{target.revision}, or give it as the tag.")
    checked = read_bundle(Path(bundle))
    if isinstance(target, Repo):
        return _to_repo(checked, target.name, tag, token, private, message, dry_run)
    published = versioned.publish(checked, target.path, tag, dry_run=dry_run)
    path = target.path.as_posix()
    return f"{path if target.path.is_absolute() or path.startswith('../') else './' + path}@{published}"


def revision_of(folder: Path) -> str:
    """The commit, 40 hex digits, of a snapshot in the Hub client's cache; else 12 digits of the manifest's sha256."""
    in_cache = folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--")
    return folder.name if in_cache and _COMMIT.fullmatch(folder.name) else sha256_of(folder / "manifest.json")[:12]


def _from_folder(path: Path, revision: str | None) -> Path:
    if not os.path.isdir(path):
        beside = [other.name for other in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        raise AddressError(f"There is no folder {str(path)!r}.{did_you_mean(path.name, beside)}")
    try:
        if versioned.is_versioned(path):
            path = versioned.resolve(path, revision)
        elif revision:
            raise AddressError(f"{path} is not a versioned folder, so it has no revision {revision!r}; leave that out.")
        verify(path)
    except OSError as error:
        raise BundleError(f"{error.filename or path} can't be read ({error.strerror}); check its permissions.") from None
    return path


def _from_repo(repo: Repo, token: str | None, local_files_only: bool, cache_dir: str | Path | None) -> Path:
    from huggingface_hub import constants

    wanted = repo.revision or versioned.MAIN
    cache = Path(cache_dir or constants.HF_HUB_CACHE).expanduser()
    kept = cache / f"models--{repo.name.replace('/', '--')}"
    snapshot = versioned.find(kept, wanted)
    if local_files_only or constants.is_offline_mode():
        if snapshot is None:
            raise HubUnreachable(
                f"{repo.name}@{wanted} was not pulled before into {cache}, and the network is switched off;"
                " pull it once with the network on, or ask for a tag or whole commit that was pulled."
            )
        verify(snapshot)
        return snapshot
    if snapshot and _COMMIT.fullmatch(wanted) and _is_whole(snapshot):
        return snapshot
    try:
        with talking(repo.name):
            snapshot = _fetched(repo, token, cache)
            if wanted != snapshot.name:  # so that the tag is found when the network is off
                versioned.write_ref(kept, wanted, snapshot.name)
    except HubUnreachable as error:
        if snapshot is None or not _is_whole(snapshot):
            raise
        log.warning("%s Using the copy of %s that was pulled before, %s.", error.message, repo, snapshot.name)
    return snapshot


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
        info = patiently(lambda: api.model_info(repo.name, revision=repo.revision, timeout=10))
    except RevisionNotFoundError:
        refs = patiently(lambda: api.list_repo_refs(repo.name))
        known = sorted(ref.name for ref in (*refs.tags, *refs.branches))
        guess = did_you_mean(repo.revision or versioned.MAIN, known)
        raise HubNotFound(f"{repo.name} has no revision {repo.revision!r}.{guess} It has {', '.join(known)}.") from None
    card = [file.rfilename for file in info.siblings or () if versioned.is_card(file.rfilename)]

    def download(name: str) -> Path:
        try:
            return Path(patiently(lambda: api.hf_hub_download(repo.name, name, revision=info.sha, cache_dir=cache)))
        except RemoteEntryNotFoundError:
            raise BundleIncomplete(f"{repo} has no {name}, so it is not a whole bundle of this package; see that the address is right.") from None

    for last in (False, True):
        folder = download("manifest.json").parent
        try:
            for name in (*read_manifest(folder)[1], *card):
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
        damaged += [name for name, entry in files.items() if (folder / name).is_file() and sha256_of(folder / name) != entry["sha256"]]
    for name in damaged:
        blob = (folder / name).resolve()
        (folder / name).unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def _to_repo(bundle: Bundle, repo: str, tag: str | None, token: str | None, private: bool, message: str | None, dry_run: bool) -> str:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.is_offline_mode():
        raise HubUnreachable(f"{repo} can't be pushed to while HF_HUB_OFFLINE is set; unset it, or push to a folder.")
    api = HfApi(token=token)

    def attempt() -> str:
        if not dry_run:
            api.create_repo(repo, private=private, exist_ok=True)
        try:
            tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}
        except RepositoryNotFoundError:
            if dry_run:  # the push would make it
                return f"{repo}@{tag}" if tag else repo
            raise
        if tag in tags:
            named = _manifest_at(api, repo, tags[tag])
            if named is None or named[0] != bundle.digest:
                raise HubConflict(
                    f"{repo}: the tag {tag} already names another bundle ({named[0] if named else 'none of this package'}),"
                    f" and this one is {bundle.digest}; use a new tag."
                )
        elif not dry_run:
            commit = _committed(api, bundle, repo, message)
            if tag:
                api.create_tag(repo, tag=tag, revision=commit)
            return f"{repo}@{tag or commit}"
        return f"{repo}@{tag}" if tag else repo

    with talking(repo):
        return patiently(attempt)  # as a whole, since what an earlier try has done is found and not done again


def _committed(api: "HfApi", bundle: Bundle, repo: str, message: str | None) -> str:
    """The commit at the head of main, after one that brings the bundle there unless it is there already.

    Takes away what the bundle before it has left: its files and pictures, but nothing that others have added.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    head = api.model_info(repo, timeout=10)
    there = {file.rfilename for file in head.siblings or ()}
    before = _manifest_at(api, repo, head.sha) if head.sha and "manifest.json" in there else None
    if before and head.sha and before[0] == bundle.digest:
        return head.sha
    names = versioned.travelling_files(bundle.folder)
    left = {name for name in there if name in (before[1] if before else ()) or versioned.is_card(name)} - {*names, "README.md"}
    operations = [CommitOperationAdd(name, str(bundle.folder / name)) for name in names]
    operations += [CommitOperationDelete(name) for name in sorted(left)]
    text = message or f"{bundle.config.name} {bundle.config.version}"
    return api.create_commit(repo, operations, commit_message=text, parent_commit=head.sha).oid


def _manifest_at(api: "HfApi", repo: str, commit: str) -> tuple[str, dict[str, Any]] | None:
    """Digest and files of the bundle at a commit, or None when there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with TemporaryDirectory() as folder:
        try:
            path = Path(api.hf_hub_download(repo, "manifest.json", revision=commit, cache_dir=folder))
            return sha256_of(path)[:12], read_manifest(path.parent)[1]
        except (RemoteEntryNotFoundError, BundleError):
            return None
