"""Defines how a bundle is pushed, and what a push reports."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..arguments import check_texts
from ..errors import AddressError

EDITED_CARD = ("refuse", "keep", "replace")
"""A push does one of these with a card that was edited on the Hub since the last push."""
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|\.lock$))[A-Za-z0-9_][\w./+-]*(?<![./])", re.ASCII)


@dataclass(frozen=True)
class PushOptions:
    """Says how a bundle is pushed. The constructor raises AddressError for options that contradict each other.

    Attributes:
        tag: The tag to set, such as "v1.0"; None sets none.
        branch: The branch of a Hub repo, made if it is missing; None is main.
        pull_request: Open a pull request to main in place of a commit on it.
        private: Make a new repo private, and refuse a public one.
        message: The message of the commit; None names bundle and version.
        edited_card: One of EDITED_CARD.
        dry_run: Check everything, and change nothing.
    """

    tag: str | None = None
    branch: str | None = None
    pull_request: bool = False
    private: bool = False
    message: str | None = None
    edited_card: str = "refuse"
    dry_run: bool = False

    def __post_init__(self) -> None:
        check_texts(tag=self.tag, branch=self.branch, message=self.message)
        if self.edited_card not in EDITED_CARD:
            raise AddressError(f"edited_card is {self.edited_card!r}; choose one of {', '.join(EDITED_CARD)}.")
        if self.pull_request and (self.tag or self.branch):
            raise AddressError(
                "A pull request goes to main, and gets its tag after it was merged; leave out the tag and the branch."
            )
        if self.branch and not _BRANCH.fullmatch(self.branch):
            raise AddressError(
                f"{self.branch!r} is not a branch name; use letters, digits and . _ + - /, as in next or try/larger."
            )

    def for_repos_only(self) -> str:
        """Name the chosen options that a folder does not have, or return "" if there are none."""
        chosen = {
            "branch": self.branch,
            "pull request": self.pull_request,
            "privacy": self.private,
            "commit message": self.message,
            "edited card": self.edited_card != "refuse",
        }
        return ", ".join(name for name, value in chosen.items() if value)


@dataclass(frozen=True)
class PushResult:
    """Says what a push did, or in a dry run would do.

    Attributes:
        address: Where to pull the bundle from.
        files: Name and bytes of every file that is sent; empty if all are already there.
        removed: Names of the files that the previous bundle has left, and that are deleted.
    """

    address: str
    files: tuple[tuple[str, int], ...] = ()
    removed: tuple[str, ...] = ()

    @classmethod
    def of(cls, address: str, folder: Path, names: Iterable[str], removed: Iterable[str] = ()) -> "PushResult":
        """Make the result of sending files of a folder.

        Args:
            address: The address that pulls what was sent.
            folder: Folder of the bundle.
            names: Files that were sent, relative to the folder.
            removed: Files that were removed at the destination.
        """
        return cls(address, tuple((name, (folder / name).stat().st_size) for name in names), tuple(removed))
