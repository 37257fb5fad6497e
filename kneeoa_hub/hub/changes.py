"""Finds what a push changes in a Hub repo: the files that it sends, and the old bundle's files that it deletes.

A person may edit the card on the Hub. Every commit of a push names the SHA-256 of the card's files that it brings, so
that the next push can tell an edited card from one of its own.
"""

import re
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..bundle import Bundle
from ..errors import BundleError, HubConflict
from ..manifest import read_manifest, refuse_code, sha256_of
from . import versioned

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

CARD = "README.md"
"""This is the file of the model card."""
_CARD_HASH = re.compile(r"^(\S+) sha256: ([0-9a-f]{64})$", re.MULTILINE)


def card_hashes(bundle: Bundle, names: list[str]) -> str:
    """Return the lines of a commit's description that name the hashes of those card files that are in `names`."""
    return "\n".join(f"{name} sha256: {sha256_of(bundle.folder / name)}" for name in names if versioned.is_card(name))


def changes(
    api: "HfApi", bundle: Bundle, repo: str, head: "ModelInfo", edited_card: str
) -> tuple[list[str], list[str]]:
    """Compare a bundle with a commit of a repo.

    Args:
        api: The Hub's client.
        bundle: The bundle to push.
        repo: The repo, org/name.
        head: The commit to push on top of.
        edited_card: What to do with an edited card, one of `push_options.EDITED_CARD`.

    Returns:
        Names of the files to send, empty if the bundle is already there; and names of the files to delete, which the
        previous bundle has left. Files that others have added are never among them.

    Raises:
        HubConflict: The card was edited, and `edited_card` is "refuse".
        BundleChanged: A file in the repo could run code.
    """
    there = {file.rfilename for file in head.siblings or ()}
    before = manifest_at(api, repo, head.sha or "") if "manifest.json" in there else None
    same = before is not None and before[0] == bundle.digest
    names = versioned.published_files(bundle.folder)
    pushed = _pushed_card(api, repo, head) if CARD in there else {}
    left = {name for name in there if name in (before[1] if before else ()) or name in pushed} - {*names, CARD}
    refuse_code(sorted(there - left), repo)
    mine = {name for name in names if versioned.is_card(name)}
    shown = {
        name: sha256(content_at(api, repo, head, name)).hexdigest()
        for name in sorted(there & (mine | {CARD} | pushed.keys()))
    }
    if same and all(shown.get(name) == sha256_of(bundle.folder / name) for name in mine):
        return [], []
    edited = [name for name, found in shown.items() if pushed.get(name, found if name != CARD else "") != found]
    edited = [name for name in edited if name not in mine or shown[name] != sha256_of(bundle.folder / name)]
    if not edited or edited_card == "replace":
        return names, sorted(left)
    if same:
        return [], []
    if edited_card == "refuse":
        raise HubConflict(
            f"{repo}: {', '.join(edited)} was changed since the last push, or does not come from one. Keep it with"
            ' edited_card="keep" (--edited-card keep), or copy what you need from it into your card and push with'
            ' "replace".'
        )
    kept = set(edited) | (shown.keys() if CARD in edited else set())  # an edited card keeps the pictures that it shows
    return [name for name in names if name not in kept], sorted(left - kept)


def open_pull_request(api: "HfApi", bundle: Bundle, repo: str) -> str | None:
    """Find an open pull request that brings this bundle with this card.

    Args:
        api: Client of the Hub.
        bundle: The bundle on disk.
        repo: Name of the repo, such as lab/knees.

    Returns:
        The commit of the pull request, or None.
    """
    card = (bundle.folder / CARD).read_bytes()
    for request in api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open"):
        head = api.model_info(repo, revision=request.git_reference)
        there = manifest_at(api, repo, head.sha or "")
        if there and there[0] == bundle.digest and content_at(api, repo, head, CARD) == card:
            return head.sha
    return None


def manifest_at(api: "HfApi", repo: str, commit: str) -> tuple[str, dict[str, Any]] | None:
    """Read the manifest of a bundle on the Hub.

    Args:
        api: Client of the Hub.
        repo: Name of the repo, such as lab/knees.
        commit: The commit to read.

    Returns:
        Digest and files of the bundle, or None if the commit holds no bundle.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with TemporaryDirectory() as folder:
        try:
            path = Path(api.hf_hub_download(repo, "manifest.json", revision=commit, cache_dir=folder))
            return sha256_of(path)[:12], read_manifest(path.parent)[1]
        except (RemoteEntryNotFoundError, BundleError):
            return None


def content_at(api: "HfApi", repo: str, head: "ModelInfo", name: str) -> bytes:
    """Return the content of a file at a commit.

    Args:
        api: Client of the Hub.
        repo: Name of the repo, such as lab/knees.
        head: The repo at that commit.
        name: Name of the file in the repo.
    """
    with TemporaryDirectory() as folder:
        return Path(api.hf_hub_download(repo, name, revision=head.sha, cache_dir=folder)).read_bytes()


def _pushed_card(api: "HfApi", repo: str, head: "ModelInfo") -> dict[str, str]:
    """Return the card's files and their SHA-256 as the pushes up to a commit have brought them."""
    pushed: dict[str, str] = {}
    for commit in api.list_repo_commits(repo, revision=head.sha):  # the newest first
        for name, digest in _CARD_HASH.findall(commit.message):
            if versioned.is_card(name):  # a message by somebody else may name anything
                pushed.setdefault(name, digest)
    return pushed
