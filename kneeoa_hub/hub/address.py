"""Parses a model's address, the string by which a person names a bundle.

kneeoa-cnn                        a bundle that ships with the package
./hub/kneeoa  ../x  /srv/x  ~/x   a folder, as is any Path; @tag or @revision selects a bundle of a versioned one
org/name  hf://org/name@v1.0      a repo on the Hub; @ selects a tag, branch or commit
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..arguments import check_texts, checked_path
from ..errors import AddressError

_FOLDER = re.compile(r"\.{1,2}([\\/]|$)|[\\/]|~|[A-Za-z]:[\\/]")
_WEB_PAGE = re.compile(r"https?://[^/]+/([^/]+/[^/@?#]+)")
_REPO = re.compile(r"[A-Za-z0-9_]([\w.-]*\w)?/[A-Za-z0-9_]([\w.-]*\w)?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)


@dataclass(frozen=True)
class Shipped:
    """Names a shipped bundle. The name is a key of `presets.PRESETS` if it is spelt correctly."""

    name: str


@dataclass(frozen=True)
class Folder:
    """Names a bundle's folder, or a versioned folder with bundles in it. The folder may not exist."""

    path: Path
    revision: str | None = None


@dataclass(frozen=True)
class Repo:
    """Names a model repo on the Hub, org/name."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


Address = Shipped | Folder | Repo
"""An address names one of these."""


def parse_address(address: str | Path, revision: str | None = None) -> Address:
    """Parse an address.

    Args:
        address: What the user typed, or a Path, which always names a folder.
        revision: A tag, branch or commit that was given beside the address.

    Returns:
        What the address names. Its revision holds nothing that could lead out of a folder, such as "..".

    Raises:
        AddressError: The address follows none of the forms, or the revision is given twice or is not one.

    Examples:
        >>> parse_address("org/name@v1.0")
        Repo(name='org/name', revision='v1.0')
        >>> parse_address("kneeoa-cnn")
        Shipped(name='kneeoa-cnn')
    """
    check_texts(revision=revision)
    text = checked_path("address", address)
    if not isinstance(address, str) or _FOLDER.match(text):
        return _folder(text, revision)
    if page := _WEB_PAGE.match(text):
        raise AddressError(f"{text!r} is a web page; write {page[1]!r} for that repo on the Hub.")
    name, at, selected = text.removeprefix("hf://").partition("@")
    if "/" in name or text.startswith("hf://"):
        if not _REPO.fullmatch(name) or ".." in name or "--" in name or name.endswith(".git"):
            raise AddressError(
                f"{text!r} is not an address. A repo on the Hub is 'org/name'; a folder starts with ./ ../ / or ~"
                f" ('./{name}')."
            )
        return Repo(name, _one_revision(text, selected if at else None, revision))
    if at or revision is not None:
        raise AddressError(
            f"{name!r} is a shipped name, which has no revisions; leave out {at + selected or 'revision='}."
        )
    if not name:
        raise AddressError("The address is empty; leave it out for the shipped model.")
    return Shipped(name)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the nearest known name, or "" if no name is near."""
    near = get_close_matches(name.lower(), known, 1, 0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _folder(text: str, revision: str | None) -> Folder:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise AddressError(f"{text!r}: there is no home folder of that name; write the full path.") from None
    stem, at, selected = path.name.rpartition("@")
    if at and stem and not os.path.lexists(path):  # otherwise it is a folder whose own name holds an @
        return Folder(path.with_name(stem), _one_revision(text, selected, revision))
    return Folder(path, _one_revision(text, None, revision))


def _one_revision(address: str, selected: str | None, revision: str | None) -> str | None:
    if selected is not None and revision is not None:
        raise AddressError(
            f"Two revisions are given, in the address {address!r} and as revision={revision!r}; leave one out."
        )
    chosen = revision if selected is None else selected
    if chosen is not None and (not _REVISION.fullmatch(chosen) or ".." in chosen or len(chosen) > 200):
        raise AddressError(
            f"{chosen!r} in {address!r} is not a revision; give a tag such as v1.0, a branch or a commit."
        )
    return chosen
