"""Keeps a versioned folder, a hub without a server. Every bundle is kept once and for good, and tags point to bundles.

    snapshots/<revision>/   a bundle; its revision is the first 12 hex digits of the SHA-256 of its manifest
    refs/<tag>, refs/main   the revision that a tag names, and the revision that was pushed last

The Hub client's cache of a repo has the same layout, with commits as revisions, and the same functions read it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..bundle import Bundle
from ..errors import AddressError, BundleError, HubConflict, OutputError
from ..files import release, replacing
from ..manifest import read_manifest, verify
from .address import did_you_mean
from .push_options import PushResult

MAIN = "main"
NEXT = ".next"
"""This file beside the refs holds the revision that a push is writing. After a kill, the next push of that bundle
finishes it.
"""
LOCK = ".lock"
"""This file beside the refs lets one push at a time write to a versioned folder."""
"""The ref of the revision that was pushed last; on the Hub the main branch."""
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".svg", ".webp"))
"""A card may show pictures with these suffixes."""
_REVISION = re.compile(r"[0-9a-f]{12}|[0-9a-f]{40}")
_TAG = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)


def is_versioned(folder: Path) -> bool:
    """Tell whether a folder holds snapshots and refs."""
    return (folder / "snapshots").is_dir() and (folder / "refs").is_dir()


def find_snapshot(folder: Path, revision: str) -> Path | None:
    """Return the snapshot that a tag, branch or revision names, or None.

    A revision always names itself, even if a ref has the same name.
    """
    name = revision if _REVISION.fullmatch(revision) else read_ref(folder, revision) or ""
    snapshot = folder / "snapshots" / name
    return snapshot if _REVISION.fullmatch(name) and snapshot.is_dir() else None


def resolve_snapshot(folder: Path, revision: str | None) -> Path:
    """Return the snapshot of a revision, or of the last push. Raises AddressError that suggests the nearest tag."""
    wanted = revision or MAIN
    if snapshot := find_snapshot(folder, wanted):
        return snapshot
    if dangling := read_ref(folder, wanted):
        raise AddressError(
            f"{folder}: {wanted} names {dangling}, but there is no such snapshot; push that bundle again."
        )
    known = list_refs(folder)
    raise AddressError(
        f"{folder} has no revision {wanted!r}.{did_you_mean(wanted, known)} It has"
        f" {', '.join(known) or 'none yet; push a bundle to it'}."
    )


def list_refs(folder: Path) -> list[str]:
    """Return the names of the tags, and main, in alphabetical order."""
    return sorted(path.name for path in (folder / "refs").iterdir() if path.is_file() and not path.name.startswith("."))


def read_ref(folder: Path, name: str) -> str | None:
    """Return the revision that a tag names, or None if there is no such tag."""
    path = folder / "refs" / name
    return path.read_text("ascii", "replace").strip() if path.is_file() else None


def write_ref(folder: Path, name: str, revision: str) -> None:
    """Point a tag at a revision, in one step that no reader sees half done.

    Args:
        folder: The versioned folder.
        name: Name of the tag.
        revision: The revision that the tag stands for from now on.
    """
    if read_ref(folder, name) == revision:
        return
    path = folder / "refs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(revision + "\n", "ascii")


def _write_new_tag(folder: Path, tag: str, revision: str) -> None:
    """Make a tag. Of two pushes that make it at the same time, the later one gets HubConflict."""
    part = folder / "refs" / f".{tag}.{os.urandom(4).hex()}"
    try:
        part.write_text(revision + "\n", "ascii")
        os.link(part, folder / "refs" / tag)
    except FileExistsError:
        if read_ref(folder, tag) is None:
            raise
        if read_ref(folder, tag) != revision:
            raise _tag_taken(folder, tag, revision) from None
    except OSError:  # the file system has no hard links
        write_ref(folder, tag, revision)
    finally:
        part.unlink(missing_ok=True)


def _tag_taken(folder: Path, tag: str, revision: str) -> HubConflict:
    return HubConflict(
        f"{folder}: the tag {tag} already names {read_ref(folder, tag)}, and this bundle is {revision}; use a new tag."
    )


def check_tag(tag: str) -> None:
    """Raise AddressError for a tag that could be taken for something else."""
    if not _TAG.fullmatch(tag) or ".." in tag:
        raise AddressError(f"{tag!r} is not a tag; use letters, digits and . _ + -, as in v1.0.")
    if tag == MAIN or _REVISION.fullmatch(tag):
        raise AddressError(
            f"The tag {tag!r} would be taken for {'the newest' if tag == MAIN else 'a'} revision; use one such as v1.0."
        )


def published_files(folder: Path) -> list[str]:
    """Return the names of a verified bundle's files that are published.

    They are the manifest, listed files, the card and its pictures.
    """
    names = {"manifest.json", *read_manifest(folder)[1]}
    others = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(names | set(filter(is_card, others)))


def is_card(name: str) -> bool:
    """Tell whether a file belongs to the model card: the README, and pictures in figures/."""
    return name == "README.md" or (name.startswith("figures/") and Path(name).suffix.lower() in PICTURES)


def push_to_folder(bundle: Bundle, folder: Path, tag: str | None = None, *, dry_run: bool = False) -> PushResult:
    """Keep a verified bundle in a versioned folder. A tag that already names this bundle changes nothing.

    Args:
        bundle: The verified bundle.
        folder: The versioned folder; it is made if it is missing.
        tag: The tag to set; None sets none.
        dry_run: Check everything, and change nothing.

    Returns:
        The files that were copied, and the address to pull the bundle from.

    Raises:
        HubConflict: The tag names another bundle.
        AddressError: The folder holds other things.
        OutputError: The folder cannot be written; then nothing of this push stays.
    """
    snapshot = folder / "snapshots" / bundle.digest
    with _writing(folder):
        _check_target(folder)
        done = _is_done(folder, tag, bundle.digest)
        kept = snapshot.is_dir()
        if kept:
            _check_kept(snapshot)
        if not (done or dry_run):
            with _one_push_at_a_time(folder):
                kept = _push(bundle, folder, tag)
    path = folder.as_posix()
    address = f"{path if folder.is_absolute() or path.startswith('../') else './' + path}@{tag or bundle.digest}"
    return PushResult.of(address, bundle.folder, [] if kept else published_files(bundle.folder))


def _is_done(folder: Path, tag: str | None, revision: str) -> bool:
    """Return whether the refs say that this was pushed before. Raises HubConflict when the tag names another bundle."""
    named = read_ref(folder, tag or MAIN)
    if tag and named not in (None, revision):
        raise _tag_taken(folder, tag, revision)
    whole = (folder / "snapshots" / revision).is_dir() and read_ref(folder, NEXT) != revision
    return whole and named == revision


def _push(bundle: Bundle, folder: Path, tag: str | None) -> bool:
    """Copy the bundle, then write its tag, then main, so that main never leads to a bundle whose tag was refused.

    Nothing of it stays when another push has taken the tag. Returns whether the bundle was there before.
    """
    snapshot = folder / "snapshots" / bundle.digest
    _is_done(folder, tag, bundle.digest)
    kept = snapshot.is_dir()
    if not kept:
        _copy(bundle, snapshot)
    try:
        write_ref(folder, NEXT, bundle.digest)
        if tag:
            _write_new_tag(folder, tag, bundle.digest)
        write_ref(folder, MAIN, bundle.digest)
    except HubConflict:
        if not kept:
            shutil.rmtree(snapshot, ignore_errors=True)
        raise
    finally:
        (folder / "refs" / NEXT).unlink(missing_ok=True)
    return kept


@contextmanager
def _one_push_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for the push that is writing to the folder.

    On a system that cannot lock a file, the tag's link alone decides.
    """
    from filelock import FileLock

    path = folder / "refs" / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire()
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        release(lock)


def _others(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("snapshots", "refs"))


def _check_target(folder: Path) -> None:
    if (folder / "manifest.json").exists():
        raise AddressError(f"{folder} is itself a bundle; push to a folder beside it.")
    if folder.is_dir() and not is_versioned(folder) and (others := _others(folder)):
        raise AddressError(
            f"{folder} holds other things ({others[0]}); push to a new or empty folder, such as {folder / 'kneeoa'}."
        )


def _check_kept(snapshot: Path) -> None:
    try:
        verify(snapshot)
    except BundleError as error:
        raise type(error)(f"The kept copy is damaged: {error.message} Remove {snapshot} and push again.") from None


def _copy(bundle: Bundle, snapshot: Path) -> None:
    try:
        with replacing(snapshot) as part:
            part.mkdir(parents=True)
            for name in published_files(bundle.folder):
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
    """Turn a failure of the file system into OutputError, and remove the empty folders that it would leave."""
    new = [
        path for path in (folder / "snapshots", folder / "refs", folder, *folder.parents) if not os.path.lexists(path)
    ]
    try:
        yield
    except BaseException as error:  # an interruption leaves empty folders too
        for path in filter(os.path.isdir, new):
            if not any(path.iterdir()):
                path.rmdir()
        if isinstance(error, OSError):
            reason = f"{error.strerror or error}: {error.filename or folder}"
            raise OutputError(
                f"{folder} can't be written ({reason}); make room or give access, or push to another folder."
            ) from None
        raise
