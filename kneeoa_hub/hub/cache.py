"""Guards a repo's folder in the Hub client's cache, so that no file outside the cache is read or removed through it."""

import os
from contextlib import suppress
from pathlib import Path

from ..errors import BundleChanged, BundleError, HubError
from ..links import is_inside, links_out_of
from ..manifest import read_manifest, sha256_of


def check_place(path: Path, name: str, snapshot: Path) -> None:
    """Check where the client says that it has put a file of a snapshot.

    Args:
        path: The file's place as the client gives it.
        name: Its name in the bundle.
        snapshot: Folder of the snapshot in the cache.

    Raises:
        HubError: The file is not in the snapshot, so the Hub has sent another commit.
        BundleChanged: A link leads out of the folders that the cache keeps for the repo and for all repos.
    """
    if os.path.abspath(path) != os.path.abspath(snapshot / name):
        raise HubError(f"The Hub answered the request for {snapshot.name} with {path}; try again.")
    repo = snapshot.parent.parent
    if not any(is_inside(path, room) for room in (repo, repo.parent / "blobs")):
        raise BundleChanged(f"{path} is a link that leads out of the cache, to {path.resolve()}; pull again.")


def remove_abandoned(repo: Path) -> None:
    """Remove the parts of files that killed processes have left in a repo's folder.

    The Hub's client holds the lock of a file while it writes it, so a part whose lock is free has no writer.
    """
    from filelock import FileLock, Timeout

    for part in repo.glob("blobs/*.incomplete"):
        lock = repo.parent / ".locks" / repo.name / f"{part.name.partition('.')[0]}.lock"
        with suppress(OSError, NotImplementedError, Timeout), FileLock(lock, timeout=0):
            part.unlink(missing_ok=True)


def forget_damaged(snapshot: Path) -> None:
    """Remove from a snapshot what differs from its manifest, the manifest, and links that lead out of the cache.

    They are fetched again. Of such a link, only the link is removed.
    """
    links = {path.relative_to(snapshot).as_posix() for path in links_out_of(snapshot)}
    names = {"manifest.json", *links}
    if "manifest.json" not in links:
        with suppress(BundleError):
            names |= {
                name
                for name, entry in read_manifest(snapshot)[1].items()
                if name not in links and (snapshot / name).is_file() and sha256_of(snapshot / name) != entry["sha256"]
            }
    for name in names:
        path = snapshot / name
        if path.is_file() and is_inside(path, snapshot.parent.parent):
            path.resolve().unlink()
        path.unlink(missing_ok=True)
