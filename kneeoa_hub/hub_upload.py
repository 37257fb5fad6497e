"""From a checked bundle to a Hub repo: one commit, and a tag on it last, so that no half version has a tag."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from . import versioned
from .bundle import Bundle, read_manifest, sha256_of
from .errors import AddressError, BundleError, HubConflict, HubUnreachable
from .hub_client import patiently, talking

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

CARD = "README.md"
EDITED_CARD = ("refuse", "keep", "replace")
"""What a push does with a card that was changed on the Hub since the last push."""
_TRAILER = re.compile(r"^README\.md sha256: ([0-9a-f]{64})$", re.MULTILINE)
"""In the description of every commit that brings a card, so that the next push can tell an edited one."""


@dataclass(frozen=True)
class Upload:
    """How a bundle is brought to a repo: see `hub.push`."""

    tag: str | None = None
    branch: str | None = None
    pull_request: bool = False
    private: bool = False
    message: str | None = None
    edited_card: str = "refuse"
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.edited_card not in EDITED_CARD:
            raise AddressError(f"edited_card is {self.edited_card!r}; choose among {', '.join(EDITED_CARD)}.")
        if self.pull_request and (self.tag or self.branch):
            raise AddressError("A pull request goes to main and gets its tag when it was merged; leave out the tag and the branch.")
        if self.branch:
            versioned.check_tag(self.branch)


def to_repo(bundle: Bundle, repo: str, token: str | None, upload: Upload) -> str:
    """The address to pull the bundle from, once it is there."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.is_offline_mode():
        raise HubUnreachable(f"{repo} can't be pushed to while HF_HUB_OFFLINE is set; unset it, or push to a folder.")
    api = HfApi(token=token)
    tag, named = upload.tag, f"{repo}@{upload.tag or upload.branch}" if upload.tag or upload.branch else repo

    def attempt() -> str:
        if not upload.dry_run:
            api.create_repo(repo, private=upload.private, exist_ok=True)
        try:
            refs = api.list_repo_refs(repo)
        except RepositoryNotFoundError:
            if upload.dry_run:  # the push would make it
                return named
            raise
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        if tag in tags:
            there = _manifest_at(api, repo, tags[tag])
            if there is None or there[0] != bundle.digest:
                raise HubConflict(
                    f"{repo}: the tag {tag} already names another bundle ({there[0] if there else 'none of this package'}),"
                    f" and this one is {bundle.digest}; use a new tag."
                )
            return named
        has_branch = upload.branch is None or upload.branch in {ref.name for ref in refs.branches}
        if not has_branch and not upload.dry_run:
            api.create_branch(repo, branch=upload.branch or "", exist_ok=True)
        commit = _committed(api, bundle, repo, upload, upload.branch if has_branch or not upload.dry_run else None)
        if tag and not upload.dry_run:
            api.create_tag(repo, tag=tag, revision=commit)
        return named if tag or upload.dry_run else f"{repo}@{commit}"

    with talking(repo):
        return patiently(attempt)  # as a whole, since what an earlier try has done is found and not done again


def _committed(api: "HfApi", bundle: Bundle, repo: str, upload: Upload, branch: str | None) -> str:
    """The commit at the head of the branch, after one that brings the bundle there unless it is there already.

    Takes away what the bundle before it has left: its files and pictures, but nothing that others have added.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    head = api.model_info(repo, revision=branch, timeout=10)
    commit = head.sha or ""
    there = {file.rfilename for file in head.siblings or ()}
    before = _manifest_at(api, repo, commit) if "manifest.json" in there else None
    if before and before[0] == bundle.digest:
        return commit
    names = versioned.travelling_files(bundle.folder)
    left = {name for name in there if name in (before[1] if before else ()) or versioned.is_card(name)} - {*names, CARD}
    if CARD in there and _card_was_edited(api, repo, head, bundle.folder / CARD):
        if upload.edited_card == "refuse":
            raise HubConflict(
                f'{repo}: its {CARD} was changed since the last push, or is not of one. Keep it with edited_card="keep" (--edited-card keep),'
                ' or take what you want of it into yours and push with "replace".'
            )
        if upload.edited_card == "keep":  # with the pictures that it may show
            names = [name for name in names if name != CARD]
            left = {name for name in left if not versioned.is_card(name)}
    if upload.dry_run:
        return commit
    operations = [CommitOperationAdd(name, str(bundle.folder / name)) for name in names]
    operations += [CommitOperationDelete(name) for name in sorted(left)]
    description = f"README.md sha256: {sha256_of(bundle.folder / CARD)}" if CARD in names else ""
    text = upload.message or f"{bundle.config.name} {bundle.config.version}"
    return api.create_commit(
        repo, operations, commit_message=text, commit_description=description,
        revision=branch, create_pr=upload.pull_request, parent_commit=commit,
    ).oid  # fmt: skip


def _card_was_edited(api: "HfApi", repo: str, head: "ModelInfo", mine: Path) -> bool:
    """Whether the card at a commit is neither the one that the last push brought nor the one that this push brings."""
    with TemporaryDirectory() as folder:
        text = Path(api.hf_hub_download(repo, CARD, revision=head.sha, cache_dir=folder)).read_bytes()
    if mine.is_file() and text == mine.read_bytes():
        return False
    brought = (_TRAILER.search(commit.message) for commit in api.list_repo_commits(repo, revision=head.sha))
    last = next((match[1] for match in brought if match), None)
    return hashlib.sha256(text).hexdigest() != last


def _manifest_at(api: "HfApi", repo: str, commit: str) -> tuple[str, dict[str, Any]] | None:
    """Digest and files of the bundle at a commit, or None when there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with TemporaryDirectory() as folder:
        try:
            path = Path(api.hf_hub_download(repo, "manifest.json", revision=commit, cache_dir=folder))
            return sha256_of(path)[:12], read_manifest(path.parent)[1]
        except (RemoteEntryNotFoundError, BundleError):
            return None
