"""A file is written beside its destination, and appears there complete or not at all."""

from pathlib import Path

import pytest
from filelock import FileLock

from kneeoa_hub.files import release, replacing


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "table.weights.h5"
    path.write_text("old", "utf-8")
    with replacing(path) as part:
        part.write_text("new", "utf-8")
        assert part.name.endswith("table.weights.h5")
        assert path.read_text("utf-8") == "old"
    assert path.read_text("utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def interrupted(path: Path, folder: bool) -> None:
    """Begin to replace `path` by a file or a folder, and fail halfway."""
    with replacing(path) as part:
        if folder:
            part.mkdir()
        (part / "inside" if folder else part).write_text("new", "utf-8")
        raise KeyboardInterrupt


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, folder):
    path = tmp_path / "result"
    path.write_text("old", "utf-8")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path, folder)
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_with_its_content_and_never_replaces_another(tmp_path):
    path = tmp_path / "bundle"
    for number in (1, 2):
        try:
            with replacing(path) as part:
                part.mkdir()
                (part / "number").write_text(str(number), "utf-8")
        except OSError:
            assert number == 2
    assert (path / "number").read_text("utf-8") == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_released_where_its_file_cannot_be_removed(tmp_path, monkeypatch):
    def in_use(path: Path, missing_ok: bool = False) -> None:  # what Windows says of a file that is open
        raise PermissionError(13, "The process cannot access the file", str(path))

    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    with monkeypatch.context() as windows:
        windows.setattr(Path, "unlink", in_use)
        release(lock)
    assert not lock.is_locked
    lock.acquire()
    release(lock)
    assert list(tmp_path.iterdir()) == []
