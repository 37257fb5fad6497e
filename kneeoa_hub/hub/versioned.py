"""The versioned folder: a hub without a server. Bundles are kept once, for good, and tags point to them.

    snapshots/<revision>/   a bundle; its revision is the first 12 hex digits of the sha256 of its manifest
    refs/<tag>, refs/main   the revision that a tag names, and the one pushed last

The Hub client's cache of a repo has the same layout, with commits for revisions, and is read by the same functions.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ..bundle import Bundle, read_manifest, verify
from ..errors import AddressError, BundleError, HubConflict, OutputError
from ..files import replacing
from .address import did_you_mean

MAIN = "main"
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".svg", ".webp"))
_REVISION = re.compile(r"[0-9a-f]{12}|[0-9a-f]{40}")
_TAG = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)


@dataclass(frozen=True)
class Delivery:
    """What a push has done, or in a dry run would do.

    address: to pull the bundle from. files: names and bytes of what is sent, none when all is there already.
    removed: names of what the bundle before has left and is taken away.
    """

    address: str
    files: tuple[tuple[str, int], ...] = ()
    removed: tuple[str, ...] = ()


def delivery(address: str, folder: Path, names: Iterable[str], removed: Iterable[str] = ()) -> Delivery:
    """A delivery of some of a folder's files."""
    return Delivery(address, tuple((name, (folder / name).stat().st_size) for name in names), tuple(removed))


def is_versioned(folder: Path) -> bool:
    """Whether the folder holds snapshots and refs."""
    return (folder / "snapshots").is_dir() and (folder / "refs").is_dir()


def find(folder: Path, revision: str) -> Path | None:
    """The snapshot that a tag, branch or revision names, or None.

    A revision names itself, whatever a ref of its name says.
    """
    name = revision if _REVISION.fullmatch(revision) else read_ref(folder, revision) or ""
    snapshot = folder / "snapshots" / name
    return snapshot if _REVISION.fullmatch(name) and snapshot.is_dir() else None


def resolve(folder: Path, revision: str | None) -> Path:
    """The snapshot of `revision`, or of what was pushed last. Raises AddressError that suggests the nearest tag."""
    wanted = revision or MAIN
    if snapshot := find(folder, wanted):
        return snapshot
    if dangling := read_ref(folder, wanted):
        raise AddressError(
            f"{folder}: {wanted} names {dangling}, but there is no such snapshot; push that bundle again."
        )
    known = refs(folder)
    raise AddressError(
        f"{folder} has no revision {wanted!r}.{did_you_mean(wanted, known)} It has"
        f" {', '.join(known) or 'none yet; push a bundle to it'}."
    )


def refs(folder: Path) -> list[str]:
    """The tags, and main, in the order of their names."""
    return sorted(path.name for path in (folder / "refs").iterdir() if path.is_file() and not path.name.startswith("."))


def read_ref(folder: Path, name: str) -> str | None:
    """The revision that a tag names, or None when there is no such tag."""
    path = folder / "refs" / name
    return path.read_text("ascii", "replace").strip() if path.is_file() else None


def write_ref(folder: Path, name: str, revision: str) -> None:
    """Point a tag at a revision: written beside and renamed, and only when that changes it."""
    if read_ref(folder, name) == revision:
        return
    path = folder / "refs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(revision + "\n", "ascii")


def _write_tag(folder: Path, tag: str, revision: str) -> None:
    """A new tag, as `write_ref` writes one; of two pushes that make it at once, the later one is told so."""
    beside = folder / "refs" / f".{tag}.{uuid4().hex[:8]}"
    try:
        beside.write_text(revision + "\n", "ascii")
        os.link(beside, folder / "refs" / tag)
    except FileExistsError:
        if read_ref(folder, tag) is None:
            raise
        if read_ref(folder, tag) != revision:
            raise _taken(folder, tag, revision) from None
    except OSError:  # a file system without hard links
        write_ref(folder, tag, revision)
    finally:
        beside.unlink(missing_ok=True)


def _taken(folder: Path, tag: str, revision: str) -> HubConflict:
    return HubConflict(
        f"{folder}: the tag {tag} already names {read_ref(folder, tag)}, and this bundle is {revision}; use a new tag."
    )


def check_tag(tag: str) -> None:
    """Raises AddressError for a tag that could be taken for something else."""
    if not _TAG.fullmatch(tag) or ".." in tag:
        raise AddressError(f"{tag!r} is no tag; use letters, digits and . _ + -, as in v1.0.")
    if tag == MAIN or _REVISION.fullmatch(tag):
        raise AddressError(
            f"The tag {tag!r} would be taken for {'the newest' if tag == MAIN else 'a'} revision; use one such as v1.0."
        )


def travelling_files(folder: Path) -> list[str]:
    """Names of what is published of a verified bundle: the manifest, what it lists, the card, and the card's
    pictures.
    """
    names = {"manifest.json", *read_manifest(folder)[1]}
    beside = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(names | set(filter(is_card, beside)))


def is_card(name: str) -> bool:
    """Whether a file belongs to the model card: the README, and pictures in figures/."""
    return name == "README.md" or (name.startswith("figures/") and Path(name).suffix.lower() in PICTURES)


def publish(bundle: Bundle, folder: Path, tag: str | None = None, *, dry_run: bool = False) -> Delivery:
    """Keep a verified bundle in a versioned folder.

    A tag that already names this bundle changes nothing. Raises HubConflict when it names another, AddressError
    when the folder holds other things, OutputError when it can't be written; then nothing of this push is left.
    """
    with _writing(folder):
        _check_target(folder)
        snapshot = folder / "snapshots" / bundle.digest
        named = read_ref(folder, tag) if tag else None
        if tag and named not in (None, bundle.digest):
            raise _taken(folder, tag, bundle.digest)
        kept = snapshot.is_dir()
        if kept:
            _check_kept(snapshot)
        if not (dry_run or (kept and named)):
            if not kept:
                _copy(bundle, snapshot)
            write_ref(folder, MAIN, bundle.digest)
            if tag:  # last, so that a push that was cut off is finished by the next one
                _write_tag(folder, tag, bundle.digest)
    path = folder.as_posix()
    address = f"{path if folder.is_absolute() or path.startswith('../') else './' + path}@{tag or bundle.digest}"
    return delivery(address, bundle.folder, [] if kept else travelling_files(bundle.folder))


def _check_target(folder: Path) -> None:
    if (folder / "manifest.json").exists():
        raise AddressError(f"{folder} is itself a bundle; push to a folder beside it.")
    if folder.is_dir() and not is_versioned(folder):
        others = sorted(path.name for path in folder.iterdir() if path.name not in ("snapshots", "refs"))
        if others:
            raise AddressError(
                f"{folder} holds other things ({others[0]}); push to a new or empty folder, such as"
                f" {folder / 'kneeoa'}."
            )


def _check_kept(snapshot: Path) -> None:
    try:
        verify(snapshot)
    except BundleError as error:
        raise type(error)(
            f"The copy that was kept is damaged: {error.message} Remove {snapshot} and push again."
        ) from None


def _copy(bundle: Bundle, snapshot: Path) -> None:
    try:
        with replacing(snapshot) as part:
            part.mkdir(parents=True)
            for name in travelling_files(bundle.folder):
                target = part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, target)
                target.chmod(0o444)  # a snapshot is never changed
            verify(part)
    except OSError:
        if not snapshot.is_dir():  # otherwise another push of the same bundle was faster
            raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns a failure of the file system into OutputError, and takes away the empty folders that it would leave."""
    new = [
        path for path in (folder / "snapshots", folder / "refs", folder, *folder.parents) if not os.path.lexists(path)
    ]
    try:
        yield
    except BaseException as error:
        for path in filter(os.path.isdir, new):
            if not any(path.iterdir()):
                path.rmdir()
        if isinstance(error, OSError):
            reason = f"{error.strerror or error}: {error.filename or folder}"
            raise OutputError(
                f"{folder} can't be written ({reason}); make room or give access, or push to another folder."
            ) from None
        raise
