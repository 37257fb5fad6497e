"""Pull a verified bundle from wherever an address points, and push one to a versioned folder or a Hub repo."""

import os
import re
from pathlib import Path

from ..bundle import read_bundle, sha256_of, verify
from ..errors import AddressError, BundleError
from . import versioned
from .address import Folder, Repo, Shipped, did_you_mean, parse_address
from .checks import check_publishable
from .client import check_client, checked_token
from .download import from_repo
from .presets import DEFAULT, find_preset
from .upload import Upload, to_repo
from .versioned import Delivery

_COMMIT = re.compile(r"[0-9a-f]{40}")


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
    try:
        match parse_address(DEFAULT if address is None else address, revision):
            case Shipped(name):
                folder = find_preset(name).folder
                verify(folder)
            case Folder(path, selected):
                folder = _from_folder(path, selected)
            case Repo() as repo:
                check_client()
                folder = from_repo(repo, checked_token(token), local_files_only, cache_dir)
    except OSError as error:  # of what lies on this machine; the network's errors are told by then
        raise BundleError(
            f"{error.filename or address} can't be read ({error.strerror}); check its permissions."
        ) from None
    return folder


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
    """Publish a bundle with its card; returns the address to pull it from, with the tag or else the revision.

    For a Hub repo: private, of one that this makes; message, of the commit; branch, made when there is none;
    pull_request, to main; edited_card: "refuse", "keep" or "replace" a card that was changed there since the last push.
    dry_run: check everything, change nothing; `deliver` tells what would go. The same bundle twice changes nothing.
    Raises BundleError kinds before anything is sent, when the bundle is damaged, its graph grades no film, or card or
    evidence are not whole; HubConflict when the tag names another bundle, a card would be lost, or what should be
    private is not; AddressError, other HubError kinds, or OutputError.
    """
    return deliver(
        Path(bundle), address, Upload(tag, branch, pull_request, private, message, edited_card, dry_run), token
    ).address


def deliver(bundle: Path, address: str | Path, upload: Upload, token: str | None = None) -> Delivery:
    """As `push`; returns what was sent, or for a dry run what would be."""
    target = parse_address(address)
    if upload.tag is not None:
        versioned.check_tag(upload.tag)
    if isinstance(target, Shipped):
        raise AddressError(
            f"{str(address)!r} is a name of the package; push to a folder ('./{target.name}') or a Hub repo"
            " ('org/name')."
        )
    if target.revision:
        raise AddressError(
            f"{str(address)!r}: a push makes its own revision; leave out @{target.revision}, or give it as the tag."
        )
    if isinstance(target, Folder) and (asked := upload.asks_of_a_repo()):
        raise AddressError(
            f"{str(address)!r} is a folder, which has no {asked}; leave that out, or push to org/name on the Hub."
        )
    check_client()
    checked = read_bundle(bundle)
    check_publishable(checked)
    if isinstance(target, Repo):
        return to_repo(checked, target.name, checked_token(token), upload)
    return versioned.publish(checked, target.path, upload.tag, dry_run=upload.dry_run)


def revision_of(folder: Path) -> str:
    """The commit, 40 hex digits, of a snapshot in the Hub client's cache; else 12 digits of the manifest's sha256."""
    in_cache = folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--")
    return folder.name if in_cache and _COMMIT.fullmatch(folder.name) else sha256_of(folder / "manifest.json")[:12]


def _from_folder(path: Path, revision: str | None) -> Path:
    if not os.path.isdir(path):
        beside = [other.name for other in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        raise AddressError(f"There is no folder {str(path)!r}.{did_you_mean(path.name, beside)}")
    if versioned.is_versioned(path):
        path = versioned.resolve(path, revision)
    elif revision:
        raise AddressError(f"{path} is not a versioned folder, so it has no revision {revision!r}; leave that out.")
    verify(path)
    return path
