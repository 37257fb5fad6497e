"""Pulls a verified bundle from any address, and pushes one to a versioned folder or a Hub repo."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..arguments import check_texts, checked_path
from ..bundle import Bundle, read_bundle
from ..errors import AddressError, BundleError
from ..manifest import sha256_of, verify
from . import versioned
from .address import Folder, Repo, Shipped, did_you_mean, parse_address
from .presets import DEFAULT, find_preset
from .push_options import PushOptions, PushResult

_COMMIT = re.compile(r"[0-9a-f]{40}")


def pull(
    address: str | Path | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
) -> Path:
    """Get the folder of a bundle, each of whose files was just checked against its manifest.

    If the Hub cannot be reached, the copy that was pulled last is used, with a warning in the log.

    Args:
        address: A folder, a shipped name, or a repo on the Hub such as "org/name@v1.0" (docs/addresses.md). None is
            the shipped bundle.
        revision: A tag, branch or commit, if the address does not hold one.
        token: A token of the Hub. None takes HF_TOKEN or the stored login.
        local_files_only: Use no network, as HF_HUB_OFFLINE=1 does.
        cache_dir: The cache for bundles of the Hub. None takes the Hub client's own.

    Returns:
        The bundle's folder. Do not change it: it may be shared.

    Raises:
        AddressError: The address or revision names nothing.
        HubError: The Hub does not give the bundle.
        BundleError: The bundle is damaged, incomplete or of an unknown version.
        OutputError: The cache cannot be written.

    Examples:
        >>> import kneeoa_hub
        >>> folder = kneeoa_hub.pull()
        >>> (folder / "model.onnx").is_file()
        True
    """
    with _readable(address):
        folder = _located(address, revision, token, local_files_only, cache_dir)
        verify(folder)
    return folder


def pull_bundle(
    address: str | Path | None,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
) -> Bundle:
    """Pull a bundle and read it. Its files are hashed once.

    Args:
        address: The bundle's address, as `pull` takes it.
        revision: The revision, as `pull` takes it.
        token: The access token, as `pull` takes it.
        local_files_only: Whether the network is left alone, as in `pull`.
        cache_dir: The cache folder, as `pull` takes it.

    Raises:
        KneeOAError: The errors of `pull`.
    """
    with _readable(address):
        return read_bundle(_located(address, revision, token, local_files_only, cache_dir))


@contextmanager
def _readable(address: str | Path | None) -> Iterator[None]:
    """Turn errors of files on this machine into BundleError; `hub_session` has explained those of the network."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{error.filename or address} can't be read ({error.strerror}); check its permissions."
        ) from None


def _located(
    address: str | Path | None,
    revision: str | None,
    token: str | None,
    local_files_only: bool,
    cache_dir: str | Path | None,
) -> Path:
    """Return the folder of a bundle, which may not be verified yet."""
    check_texts(token=token)
    if cache_dir is not None:
        checked_path("cache_dir", cache_dir)
    match parse_address(DEFAULT if address is None else address, revision):
        case Shipped(name):
            return find_preset(name).folder
        case Folder(path, selected):
            return _from_folder(path, selected)
        case Repo() as repo:
            from .client import check_client, checked_token  # with OpenSSL, which no shipped bundle needs
            from .download import download_bundle

            check_client()
            return download_bundle(repo, checked_token(token), local_files_only, cache_dir)


def push(
    bundle: Path | str,
    address: str | Path,
    *,
    tag: str | None = None,
    token: str | None = None,
    private: bool = False,
    message: str | None = None,
    branch: str | None = None,
    pull_request: bool = False,
    edited_card: str = "refuse",
    dry_run: bool = False,
) -> str:
    """Publish a bundle with its card. Pushing the same bundle a second time changes nothing.

    Args:
        bundle: The bundle's folder.
        address: A versioned folder ("./hub/kneeoa") or a repo on the Hub ("org/name"); either is made if missing.
        tag: A tag for this bundle, such as "v1.0".
        token: A token of the Hub with write access. None takes HF_TOKEN or the stored login.
        private: Make a new repo private.
        message: The message of the commit.
        branch: The branch of a repo, made if it is missing. None is main.
        pull_request: Open a pull request to main in place of a commit on it.
        edited_card: What to do with a card that was edited on the Hub since the last push: "refuse", "keep" or
            "replace" it.
        dry_run: Check everything, and change nothing.

    Returns:
        The address to pull the bundle from, with the tag or, without a tag, with the revision.

    Raises:
        BundleError: The bundle is damaged, its networks grade no film, or card or evidence are not complete. Nothing
            was sent then.
        HubConflict: The tag names another bundle, an edited card would be lost, or the repo is not private as asked.
        AddressError: The address, tag or branch cannot be used.
        HubError: The Hub does not take the bundle.
        OutputError: The folder cannot be written.

    Examples:
        >>> import kneeoa_hub
        >>> kneeoa_hub.push(kneeoa_hub.pull(), "./hub/kneeoa", tag="v1.0")
        './hub/kneeoa@v1.0'
        >>> kneeoa_hub.from_pretrained("./hub/kneeoa@v1.0").model
        'kneeoa-cnn'
    """
    options = PushOptions(tag, branch, pull_request, private, message, edited_card, dry_run)
    return push_bundle(Path(checked_path("bundle", bundle)), address, options, token).address


def push_bundle(bundle: Path, address: str | Path, options: PushOptions, token: str | None = None) -> PushResult:
    """Publish a bundle as `push` does, with the same errors.

    Args:
        bundle: The bundle's folder.
        address: A versioned folder or a repo on the Hub.
        options: Tag, branch, privacy and the like.
        token: A token of the Hub with write access.

    Returns:
        The files that were sent, or in a dry run would be, and the address to pull the bundle from.
    """
    # A grading needs none of them, nor the sample film of the check.
    from .checks import check_publishable
    from .client import check_client, checked_token
    from .upload import upload_bundle

    check_texts(token=token)
    target = parse_address(address)
    if options.tag is not None:
        versioned.check_tag(options.tag)
    if isinstance(target, Shipped):
        raise AddressError(
            f"{str(address)!r} is a shipped name; push to a folder ('./{target.name}') or a Hub repo ('org/name')."
        )
    if target.revision:
        raise AddressError(
            f"{str(address)!r}: a push makes its own revision; leave out @{target.revision}, or give it as the tag."
        )
    if isinstance(target, Folder) and (unknown := options.for_repos_only()):
        raise AddressError(
            f"{str(address)!r} is a folder, which has no {unknown}; leave that out, or push to org/name on the Hub."
        )
    check_client()
    checked = read_bundle(bundle)
    check_publishable(checked)
    if isinstance(target, Repo):
        return upload_bundle(checked, target.name, checked_token(token), options)
    return versioned.push_to_folder(checked, target.path, options.tag, dry_run=options.dry_run)


def revision_of(folder: Path) -> str:
    """Return a bundle's revision: its commit, for a folder of the Hub client's cache, or the start of its digest."""
    in_cache = folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--")
    return folder.name if in_cache and _COMMIT.fullmatch(folder.name) else sha256_of(folder / "manifest.json")[:12]


def _from_folder(path: Path, revision: str | None) -> Path:
    if not os.path.isdir(path):
        beside = [other.name for other in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        raise AddressError(f"There is no folder {str(path)!r}.{did_you_mean(path.name, beside)}")
    if versioned.is_versioned(path):
        path = versioned.resolve_snapshot(path, revision)
    elif revision:
        raise AddressError(f"{path} is not a versioned folder, so it has no revision {revision!r}; leave that out.")
    return path
