"""Runs the process that decodes films for `decode_process`. It limits itself, then takes one film after the other."""

import ctypes
import io
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FilmTooLarge, KneeOAError
from .decode import decode_file
from .film import Film, Limits, pixels_in
from .shared_memory import SharedMemory, SharedPixels

MEMORY_BYTES = 512 * 2**20
"""A film may take 512 MB of memory beside the process's own, at the default limit on pixels. The limit grows with that
on pixels."""
PROCESSOR_SECONDS = 7
"""A film may take seven seconds of the processor, rounded up. One of the largest size takes about two."""
WALL_SECONDS = 10
"""A film may take ten seconds of the clock, on a machine that is busy with others."""
EXTRAS = ("pydicom", "imagecodecs", "kneeoa_hub.imaging.dicom", "imagecodecs._jpeg2k", "imagecodecs._jpeg8")
"""A film may need these modules, which take long to import."""
ALLOCATOR = {-3: 32 * 2**20, -1: 48 * 2**20}
"""mallopt(3) gets these settings. Blocks of 32 MiB and more return to the system when they are freed, and so does what
exceeds 48 MiB of the rest. By default, glibc gets new memory for every film, which takes as long as decoding it.
"""
STATUS = Path("/proc/self/status")
"""Linux tells in this file how much memory a process has. Other systems do not enforce a limit on memory."""
ANSWERED = tuple(field.name for field in fields(Film) if field.name not in ("pixels", "name", "given"))


def main(handle: int, max_pixels: int, shared: int | None = None) -> None:
    """Decode films until the other end of the socket is closed.

    Args:
        handle: The handle of the socket.
        max_pixels: Most pixels of a film, from which the limit on memory follows.
        shared: The handle of the memory that the parent shares; None if it shares none.
    """
    memory = None if shared is None else SharedMemory(Limits(max_pixels=max_pixels), shared)
    connection = socket.socket(fileno=handle).makefile("rwb")
    for stop in (signal.SIGINT, signal.SIGTERM):  # which a terminal and systemd send to all; the parent decides
        signal.signal(stop, signal.SIG_IGN)
    for name in EXTRAS:
        try:
            import_module(name)
        except ImportError:
            continue
    with suppress(AttributeError):  # where the C library has no such call
        for what, value in ALLOCATOR.items():
            ctypes.CDLL(None).mallopt(what, value)
    most = _most_memory(max_pixels)
    room = SharedPixels(memory, lambda pixels: _limit_memory(most, pixels))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # a decoder in C may print what a header says
    send(connection, {})
    while request := connection.readline():
        _limit_seconds()
        room.clear()
        size, *rest = json.loads(request)
        _answer(connection, room, connection.read(size), *rest)


def fields_of(film: Any) -> dict[str, Any]:
    """Convert what a film says beside its pixels and name, from a film to JSON or from JSON to a film."""
    values = film if isinstance(film, dict) else {name: getattr(film, name) for name in ANSWERED}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def send(connection: io.BufferedRWPair, head: Any, content: Any = b"") -> None:
    """Send a message between the process that decodes and its parent.

    Args:
        connection: The pipe or socket.
        head: The fields that go first, as one line of JSON.
        content: The bytes behind it.
    """
    connection.write(json.dumps(head).encode() + b"\n")
    connection.write(content)
    connection.flush()


def _answer(connection: io.BufferedRWPair, room: SharedPixels, content: bytes, name: str, *limits: int) -> None:
    try:
        with pixels_in(room):
            film = decode_file(content, name, Limits(*limits))
    except MemoryError:
        _send_error(connection, FilmTooLarge(f"{name} needs more memory than a film should; send a smaller film."))
    except KneeOAError as error:
        _send_error(connection, error)
    else:
        place = room.place_of(film.pixels)
        head = fields_of(film) | {"shape": film.pixels.shape, "place": place}
        send(connection, head, np.ascontiguousarray(film.pixels).data if place is None else b"")


def _send_error(connection: io.BufferedRWPair, error: KneeOAError) -> None:
    send(connection, {"error": type(error).__name__, "message": error.message})


def _most_memory(max_pixels: int) -> int:
    """Return the most bytes that this process may have, or 0 if the system does not say how many it has."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the film
    if not STATUS.exists():
        return 0
    room = MEMORY_BYTES * max(1.0, max_pixels / Limits().max_pixels)
    status = STATUS.read_text().splitlines()
    own = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    return int(own + room)


def _limit_memory(most: int, shared: int) -> None:
    """Limit the memory of this process.

    `shared` is the number of its bytes that the system does not count.
    """
    if most:
        resource.setrlimit(resource.RLIMIT_DATA, (max(0, most - shared), most))


def _limit_seconds() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + PROCESSOR_SECONDS, hard))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
