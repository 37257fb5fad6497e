"""From a checked bundle to a Hub repo: one commit, and a tag on it last, so that no half version has a tag."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..bundle import Bundle, read_manifest, refuse_code, sha256_of
from ..errors import AddressError, BundleError, HubConflict, HubDenied, HubUnreachable
from . import versioned
from .client import patiently, talking
from .versioned import Delivery, delivery

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

CARD = "README.md"
EDITED_CARD = ("refuse", "keep", "replace")
"""What a push does with a card that was changed on the Hub since the last push."""
_TRAILER = re.compile(r"^(\S+) sha256: ([0-9a-f]{64})$", re.MULTILINE)
"""A line for each file of the card in the description of the commit that brings it, so that the next push can tell what
was edited or added."""
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|\.lock$))[A-Za-z0-9_][\w./+-]*(?<![./])", re.ASCII)


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
            raise AddressError(
                "A pull request goes to main and gets its tag when it was merged; leave out the tag and the branch."
            )
        if self.branch and not _BRANCH.fullmatch(self.branch):
            raise AddressError(
                f"{self.branch!r} is no branch; use letters, digits and . _ + - /, as in next or try/larger."
            )

    def asks_of_a_repo(self) -> str:
        """What of this a folder can't do; "" for nothing."""
        asked = {
            "branch": self.branch,
            "pull request": self.pull_request,
            "privacy": self.private,
            "commit message": self.message,
        }
        asked["edited card"] = self.edited_card != "refuse"
        return ", ".join(name for name, value in asked.items() if value)


def to_repo(bundle: Bundle, repo: str, token: str | None, upload: Upload) -> Delivery:
    """What was sent, and the address to pull the bundle from once it is there; for a dry run, what would be."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.is_offline_mode():
        raise HubUnreachable(f"{repo} can't be pushed to while HF_HUB_OFFLINE is set; unset it, or push to a folder.")
    api = HfApi(token=token)
    tag, named = upload.tag, f"{repo}@{upload.tag or upload.branch}" if upload.tag or upload.branch else repo

    def attempt() -> Delivery:
        _check_rights(api, bundle, repo, anybody=upload.pull_request)
        if not upload.dry_run:
            api.create_repo(repo, private=upload.private, exist_ok=True)
        try:
            refs = api.list_repo_refs(repo)
        except RepositoryNotFoundError:
            if upload.dry_run:  # the push would make it
                return delivery(named, bundle.folder, versioned.travelling_files(bundle.folder))
            raise
        head = api.model_info(repo)
        if upload.private and not head.private:
            raise HubConflict(
                f"{repo} is there already, and everybody can read it; make it private on its page first, or push to a"
                " new repo."
            )
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        if tag in tags:
            there = _manifest_at(api, repo, tags[tag])
            if there is None or there[0] != bundle.digest:
                raise HubConflict(
                    f"{repo}: the tag {tag} already names another bundle"
                    f" ({there[0] if there else 'none of this package'}), and this one is {bundle.digest}; use a new"
                    " tag."
                )
            return Delivery(named)
        if upload.branch and upload.branch in tags:
            raise HubConflict(
                f"{repo}: {upload.branch} is a tag, so a branch of that name could not be told from it; choose another"
                " name."
            )
        if upload.pull_request and (proposed := _proposed(api, bundle, repo)):
            return Delivery(f"{repo}@{proposed}")
        if upload.branch and upload.branch in {ref.name for ref in refs.branches}:
            head = api.model_info(repo, revision=upload.branch)
        names, removed = _changes(api, bundle, repo, head, upload.edited_card)
        commit = head.sha or ""
        if not upload.dry_run:
            if upload.branch:
                api.create_branch(repo, branch=upload.branch, revision=commit, exist_ok=True)
            if names:
                commit = _committed(api, bundle, repo, upload, commit, names, removed)
            if tag:
                api.create_tag(repo, tag=tag, revision=commit)
        return delivery(named if tag or upload.dry_run else f"{repo}@{commit}", bundle.folder, names, removed)

    with talking(repo):
        return patiently(attempt)  # as a whole, since what an earlier try has done is found and not done again


def _check_rights(api: "HfApi", bundle: Bundle, repo: str, anybody: bool) -> None:
    """Raises HubDenied or HubError for what the Hub would refuse, before a repo is made for it.

    anybody: may do it, whosever the repo is.
    """
    from huggingface_hub import ModelCard

    account = api.whoami()
    owner, names = repo.partition("/")[0], [account["name"], *(one["name"] for one in account.get("orgs", ()))]
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubDenied(f"The token of {account['name']} may read only; make one that may write, for a push to {repo}.")
    if owner not in names and not anybody:
        raise HubDenied(f"{account['name']} has no account or organisation {owner}; push to one of {', '.join(names)}.")
    ModelCard((bundle.folder / CARD).read_text("utf-8")).validate(repo_type="model")


def _proposed(api: "HfApi", bundle: Bundle, repo: str) -> str | None:
    """The commit of an open pull request that brings this bundle with this card, if there is one."""
    card = (bundle.folder / CARD).read_bytes()
    for request in api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open"):
        head = api.model_info(repo, revision=request.git_reference)
        there = _manifest_at(api, repo, head.sha or "")
        if there and there[0] == bundle.digest and _content_at(api, repo, head, CARD) == card:
            return head.sha
    return None


def _changes(
    api: "HfApi", bundle: Bundle, repo: str, head: "ModelInfo", edited_card: str
) -> tuple[list[str], list[str]]:
    """The files to send on top of a commit, and those to take away: what the bundle before has left, nothing that
    others have added.

    No files when the bundle is there already.
    """
    there = {file.rfilename for file in head.siblings or ()}
    before = _manifest_at(api, repo, head.sha or "") if "manifest.json" in there else None
    same = before is not None and before[0] == bundle.digest
    names = versioned.travelling_files(bundle.folder)
    brought = _brought(api, repo, head) if CARD in there else {}
    left = {name for name in there if name in (before[1] if before else ()) or name in brought} - {*names, CARD}
    refuse_code(sorted(there - left), repo)
    mine = {name for name in names if versioned.is_card(name)}
    shown = {
        name: sha256(_content_at(api, repo, head, name)).hexdigest()
        for name in sorted(there & (mine | {CARD} | brought.keys()))
    }
    if same and all(shown.get(name) == sha256_of(bundle.folder / name) for name in mine):
        return [], []
    edited = [name for name, found in shown.items() if brought.get(name, found if name != CARD else "") != found]
    edited = [name for name in edited if name not in mine or shown[name] != sha256_of(bundle.folder / name)]
    if edited and edited_card != "replace":
        if same:
            return [], []
        if edited_card == "refuse":
            raise HubConflict(
                f"{repo}: its {', '.join(edited)} was changed since the last push, or is not of one. Keep it with"
                ' edited_card="keep" (--edited-card keep), or take what you want of it into yours and push with'
                ' "replace".'
            )
        kept = set(edited) | (shown.keys() if CARD in edited else set())  # a card with the pictures that it shows
        return [name for name in names if name not in kept], sorted(left - kept)
    return names, sorted(left)


def _committed(
    api: "HfApi", bundle: Bundle, repo: str, upload: Upload, parent: str, names: list[str], removed: list[str]
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [CommitOperationAdd(name, str(bundle.folder / name)) for name in names]
    operations += [CommitOperationDelete(name) for name in removed]
    return api.create_commit(
        repo,
        operations,
        commit_message=upload.message or f"{bundle.config.name} {bundle.config.version}",
        commit_description="\n".join(
            f"{name} sha256: {sha256_of(bundle.folder / name)}" for name in names if versioned.is_card(name)
        ),
        revision=upload.branch,
        create_pr=upload.pull_request,
        parent_commit=parent,
    ).oid


def _content_at(api: "HfApi", repo: str, head: "ModelInfo", name: str) -> bytes:
    with TemporaryDirectory() as folder:
        return Path(api.hf_hub_download(repo, name, revision=head.sha, cache_dir=folder)).read_bytes()


def _brought(api: "HfApi", repo: str, head: "ModelInfo") -> dict[str, str]:
    """Files of the card, and their sha256, as pushes up to a commit have brought them."""
    brought: dict[str, str] = {}
    for commit in api.list_repo_commits(repo, revision=head.sha):  # the newest first
        for name, digest in _TRAILER.findall(commit.message):
            if versioned.is_card(name):  # whatever else somebody's message tells of
                brought.setdefault(name, digest)
    return brought


def _manifest_at(api: "HfApi", repo: str, commit: str) -> tuple[str, dict[str, Any]] | None:
    """Digest and files of the bundle at a commit, or None when there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with TemporaryDirectory() as folder:
        try:
            path = Path(api.hf_hub_download(repo, "manifest.json", revision=commit, cache_dir=folder))
            return sha256_of(path)[:12], read_manifest(path.parent)[1]
        except (RemoteEntryNotFoundError, BundleError):
            return None
