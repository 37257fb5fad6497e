"""Finds symbolic links that lead out of a bundle's folder: such a link could expose or remove another file."""

from collections.abc import Iterator
from pathlib import Path

HUB_REPO = "models--"
"""The folder of a repo in the cache of the Hub client begins with this prefix."""


def links_out_of(folder: Path) -> Iterator[Path]:
    """Yield each link below `folder` that leads out of it, in order of name.

    A snapshot in the cache of the Hub client consists of links. They may lead to the files that the cache keeps for the
    repo or, if the client shares files between repos, for the whole cache. No other link may leave the folder.
    """
    rooms = _rooms(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not _is_inside(path, rooms):
            yield path


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether `path`, with every link followed, lies below `folder`."""
    return _is_inside(path, [folder.resolve()])


def _rooms(folder: Path) -> list[Path]:
    real = folder.resolve()
    repo = real.parent.parent
    if real.parent.name == "snapshots" and repo.name.startswith(HUB_REPO):
        return [real, repo / "blobs", repo.parent / "blobs"]
    return [real]


def _is_inside(path: Path, rooms: list[Path]) -> bool:
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return False
    return any(target.is_relative_to(room) for room in rooms)
