"""Uploads a checked bundle to a Hub repo in one commit, and sets its tag last, so that no partial version has a tag."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..bundle import Bundle
from ..errors import HubConflict, HubDenied, HubError, HubUnreachable
from .changes import CARD, card_hashes, changes, manifest_at, open_pull_request
from .client import hub_session
from .push_options import PushOptions, PushResult
from .retry import with_retries
from .versioned import published_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo


def upload_bundle(bundle: Bundle, repo: str, token: str | None, options: PushOptions) -> PushResult:
    """Push a bundle to a Hub repo.

    Args:
        bundle: The checked bundle.
        repo: The repo, org/name; it is made if it is missing.
        token: A token of the Hub with write access. None takes HF_TOKEN or the stored login.
        options: Tag, branch, privacy and the like.

    Returns:
        The files that were sent, or in a dry run would be, and the address to pull the bundle from.

    Raises:
        HubConflict: The tag names another bundle, the card was edited, or the repo is not private as asked.
        HubError: The Hub does not take the bundle.
    """
    from huggingface_hub import HfApi, constants

    if constants.is_offline_mode():
        raise HubUnreachable(f"{repo} can't be pushed to while HF_HUB_OFFLINE is set; unset it, or push to a folder.")
    push = _Push(HfApi(token=token), bundle, repo, options)
    with hub_session(repo):
        return with_retries(push.attempt)  # as a whole: an attempt finds what an earlier one has done


@dataclass(frozen=True)
class _Push:
    """Carries out one push of a bundle to a repo."""

    api: "HfApi"
    bundle: Bundle
    repo: str
    options: PushOptions

    def attempt(self) -> PushResult:
        """Push what is not there yet."""
        from huggingface_hub.errors import RepositoryNotFoundError

        api, repo, options = self.api, self.repo, self.options
        wanted = options.tag or options.branch
        named = f"{repo}@{wanted}" if wanted else repo
        self._check_rights()
        if not options.dry_run:
            api.create_repo(repo, private=options.private, exist_ok=True)
        try:
            refs = api.list_repo_refs(repo)
        except RepositoryNotFoundError:
            if not options.dry_run:
                raise
            return PushResult.of(named, self.bundle.folder, published_files(self.bundle.folder))  # a push would make it
        head = api.model_info(repo)
        self._check_privacy(head)
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        if options.tag in tags:
            self._check_tag(tags[options.tag])
            return PushResult(named)
        if options.branch and options.branch in tags:
            raise HubConflict(
                f"{repo}: {options.branch} is a tag, and a branch must not have the same name; choose another name."
            )
        if options.pull_request and (proposed := open_pull_request(api, self.bundle, repo)):
            return PushResult(f"{repo}@{proposed}")
        if options.branch and options.branch in {ref.name for ref in refs.branches}:
            head = api.model_info(repo, revision=options.branch)
        names, removed = changes(api, self.bundle, repo, head, options.edited_card)
        commit = head.sha or ""
        if not options.dry_run:
            commit = self._send(commit, names, removed)
        address = named if options.tag or options.dry_run else f"{repo}@{commit}"
        return PushResult.of(address, self.bundle.folder, names, removed)

    def _check_rights(self) -> None:
        """Raise HubDenied or HubError for what the Hub would refuse, before a repo is made for it."""
        from huggingface_hub import ModelCard

        account = self.api.whoami()
        owner = self.repo.partition("/")[0]
        names = [account["name"], *(one["name"] for one in account.get("orgs", ()))]
        if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise HubDenied(
                f"The token of {account['name']} may only read; make a token with write access to push to {self.repo}."
            )
        if owner not in names and not self.options.pull_request:  # anybody may open a pull request
            raise HubDenied(
                f"{account['name']} has no account or organisation {owner}; push to one of {', '.join(names)}."
            )
        try:
            ModelCard((self.bundle.folder / CARD).read_text("utf-8")).validate(repo_type="model")
        except ValueError as error:
            raise HubError(f"The Hub does not accept the card's metadata ({error}); correct {CARD}.") from None

    def _check_privacy(self, head: "ModelInfo") -> None:
        if self.options.private and not head.private:
            raise HubConflict(
                f"{self.repo} exists already, and everybody can read it; make it private on its page first, or push to"
                " a new repo."
            )

    def _check_tag(self, commit: str) -> None:
        """Raise HubConflict if the tag on that commit names another bundle."""
        there = manifest_at(self.api, self.repo, commit)
        if there is None or there[0] != self.bundle.digest:
            raise HubConflict(
                f"{self.repo}: the tag {self.options.tag} already names another bundle"
                f" ({there[0] if there else 'none of this package'}), and this one is {self.bundle.digest}; use a new"
                " tag."
            )

    def _send(self, parent: str, names: list[str], removed: list[str]) -> str:
        """Make branch, commit and tag if they are asked for, and return the commit."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        config, options, commit = self.bundle.config, self.options, parent
        if options.branch:
            self.api.create_branch(self.repo, branch=options.branch, revision=parent, exist_ok=True)
        if names:
            commit = self.api.create_commit(
                self.repo,
                [
                    *(CommitOperationAdd(name, str(self.bundle.folder / name)) for name in names),
                    *(CommitOperationDelete(name) for name in removed),
                ],
                commit_message=options.message or f"{config.name} {config.version}",
                commit_description=card_hashes(self.bundle, names),
                revision=options.branch,
                create_pr=options.pull_request,
                parent_commit=parent,
            ).oid
        if options.tag:
            self.api.create_tag(self.repo, tag=options.tag, revision=commit)
        return commit
