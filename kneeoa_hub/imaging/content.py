"""Reads the bytes of a film from a path or from an open file."""

import os
from pathlib import Path
from typing import Any

from ..arguments import kind_of
from ..errors import EmptyFilm, FilmError, FilmNotFound, FilmTooLarge
from .film import Limits


def read_content(film: Any, limits: Limits) -> tuple[bytes, str]:
    """Read a film to its end, or to just beyond the limit.

    Args:
        film: Bytes, a path, or a binary file.
        limits: The limits on a film. Only the number of bytes counts here.

    Returns:
        The film's bytes, and the name that messages use: the file's own name without its folders.

    Raises:
        FilmError: The film is of another type, was opened as text, or cannot be read.
        FilmNotFound: No file can be read at the path.
        FilmTooLarge: The film has too many bytes.
        EmptyFilm: The film has no bytes.
    """
    if isinstance(film, bytes | bytearray | memoryview):
        content, name = bytes(film), "The film"
    elif isinstance(film, str | os.PathLike):
        path = _path_of(film)
        content, name = _from_path(path, str(path), limits), path.name
    elif hasattr(film, "read"):
        name = _name_of(film)
        content = _from_file(film, name, limits)
    else:
        raise FilmError(f"A film can't be {kind_of(film)}; give a path, bytes, a file, a PIL image or an array.")
    if len(content) > limits.max_bytes:
        raise _too_many_bytes(name, len(content), limits)
    if not content:
        raise EmptyFilm(f"{name} is empty (0 bytes); send it again.")
    return content, name


def _path_of(film: Any) -> Path:
    try:
        return Path(os.fsdecode(film))
    except Exception as error:  # the caller's own object may raise anything
        raise FilmError(f"A {type(film).__name__} gives no path ({type(error).__name__}); give a text.") from None


def _name_of(file: Any) -> str:
    try:
        return Path(str(file.name or "The film")).name
    except Exception:  # it has none, or the caller's own object raises anything
        return "The film"


def _from_path(path: Path, given: str, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise _too_many_bytes(path.name, size, limits)
        with path.open("rb") as file:
            # A pipe or a device has no size. Where a file has one, room for the largest film would take longer to get
            # than the film takes to read.
            return file.read((size or limits.max_bytes) + 1)
    except (OSError, ValueError) as error:  # ValueError is raised for a path with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise FilmNotFound(f"{path.name or given} can't be read ({reason}); give the path of a film's file.") from None


def _from_file(file: Any, name: str, limits: Limits) -> bytes:
    """Read a file, which may give fewer bytes at a time than are asked for."""
    parts: list[bytes] = []
    left = limits.max_bytes + 1
    try:
        while left > 0 and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except Exception as error:  # the caller's own object may raise anything
        if isinstance(error, UnicodeDecodeError) or any(isinstance(part, str) for part in parts):
            raise FilmError(f"{name} was opened as text; open it in binary mode, as in open(path, 'rb').") from None
        reason = "it is closed" if getattr(file, "closed", False) else type(error).__name__
        raise FilmError(
            f"{name} can't be read ({reason}); give a file that is open for reading, as by open(path, 'rb')."
        ) from None


def _too_many_bytes(name: str, size: int, limits: Limits) -> FilmTooLarge:
    return FilmTooLarge(
        f"{name} has at least {size / 2**20:.1f} MiB, over the limit of {limits.max_bytes / 2**20:.1f} MiB; send a"
        " smaller file with one film, or raise KNEEOA_MAX_BYTES."
    )
