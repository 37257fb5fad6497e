"""Decodes films in separate processes, which have limits on memory and time and are replaced when they break one.

`bounds` stops the known ways to make a decoder take gigabytes or minutes. These limits hold for all others. A film
travels to such a process and back through a socket, the pixels of a large one through shared memory. Windows cannot
start such processes, and macOS does not enforce a limit on memory.
"""

import json
import math
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import astuple
from typing import Any

import numpy as np

from .. import errors
from ..errors import KneeOAError
from .decode_worker import WALL_SECONDS, fields_of, send
from .film import Film, Limits
from .passing import EndedDecoding, SlowDecoding
from .shared_memory import shared_memory

WORKER = "kneeoa_hub.imaging.decode_worker"
"""A process runs this module."""
START_SECONDS = 60
"""A process must be ready within a minute. It needs half a second, or longer on a busy machine."""
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
"""A process gets these environment variables. Tokens and keys are not among them."""
NOT_STARTED = "No process that decodes films can be started ({why}); set KNEEOA_DECODE_PROCESS=0 to do without."


class DecodeProcesses:
    """Decodes films as `decode.decode_file` does, each in one of a few processes. Threads may share it.

    Args:
        count: How many processes there are. Further films wait.
        limits: The limits on a film, from which the limit on memory follows.
    """

    def __init__(self, count: int, limits: Limits):
        self._count, self._limits = count, limits
        self._lock = threading.Lock()
        self._pid = 0
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        self._begin()

    def __call__(self, content: bytes, name: str, limits: Limits) -> Film:
        """Decode a film.

        Raises:
            FilmError: As `decode.decode` does; FilmTooLarge for a film that breaks a limit of its process, and
                DamagedFilm for one that ends it. Both are a `PassingFault`, unless it is the limit on memory.
            KneeOAError: No process can be started.
        """
        self._begin()
        idle = self._idle
        process = idle.get()
        try:
            process = process or self._start()
            return process.decode(content, name, limits)
        finally:
            if process and process.ended:
                process.stop()
                process = None
                with suppress(KneeOAError):  # the next film tries again
                    process = self._start()
            idle.put(process)

    def _start(self) -> "_Process":
        """Start a process. Raises KneeOAError where the system has none left, or no memory for it."""
        try:
            return _Process(self._limits)
        except OSError as error:
            raise KneeOAError(NOT_STARTED.format(why=error.strerror or error)) from None

    def _begin(self) -> None:
        """Start the processes, also after a fork, since two processes cannot share them."""
        with self._lock:
            if self._pid == os.getpid():
                return
            idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
            for _ in range(self._count):
                idle.put(self._start())
            self._pid, self._idle = os.getpid(), idle


class _Process:
    def __init__(self, limits: Limits):
        self._socket, other = socket.socketpair()
        self._memory = shared_memory(limits)
        shared = [self._memory.handle] if self._memory else []
        environ = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        try:
            with other:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", WORKER, *map(str, (other.fileno(), limits.max_pixels, *shared))],
                    env=environ,
                    pass_fds=[other.fileno(), *shared],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        finally:
            for handle in shared:
                os.close(handle)  # the memory stays mapped
        self._file = self._socket.makefile("rwb")
        self._ready = self.ended = False
        self.stop = weakref.finalize(self, _stop, self._process, self._socket, os.getpid())

    def decode(self, content: bytes, name: str, limits: Limits) -> Film:
        # Until a whole answer has been read: an interrupt would leave it to the next film.
        self.ended = True
        try:
            if not self._ready:
                self._socket.settimeout(START_SECONDS)
                self._receive()
                self._ready = True
        except (OSError, EOFError):
            raise KneeOAError(NOT_STARTED.format(why="it ended at once; see the error above")) from None
        answered: Film | KneeOAError
        try:
            self._socket.settimeout(WALL_SECONDS)
            send(self._file, [len(content), name, *astuple(limits)], content)
            answer = self._receive()
            if "error" in answer:
                answered = getattr(errors, answer["error"])(answer["message"])
            else:
                pixels = self._pixels(answer.pop("shape"), answer.pop("place"), limits)
                answered = Film(pixels, name, **fields_of(answer))
        except TimeoutError:
            raise _too_slow(name) from None
        except Exception:  # a process that a film has broken may answer anything
            raise self._why_ended(name) from None
        self.ended = False
        if isinstance(answered, KneeOAError):
            raise answered
        return answered

    def _pixels(self, shape: tuple[int, int], place: int | None, limits: Limits) -> np.ndarray:
        if math.prod(shape) > limits.max_pixels:
            raise EOFError
        if self._memory and place is not None:
            return self._memory.take(shape, place)
        pixels = np.empty(shape, np.float32)
        if self._file.readinto(pixels.data.cast("B")) < pixels.nbytes:
            raise EOFError
        return pixels

    def _receive(self) -> dict[str, Any]:
        if not (line := self._file.readline()):
            raise EOFError
        return json.loads(line)

    def _why_ended(self, name: str) -> KneeOAError:
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(WALL_SECONDS) == -signal.SIGXCPU:
                return _too_slow(name)
        return EndedDecoding(
            f"{name} is damaged: it ended the process that decoded it. Export it again, as a plain PNG file or as"
            " uncompressed DICOM."
        )


def _stop(process: subprocess.Popen[bytes], connection: socket.socket, owner: int) -> None:
    connection.close()
    if os.getpid() != owner:  # a fork of the owner
        return
    process.kill()
    process.wait()


def _too_slow(name: str) -> SlowDecoding:
    return SlowDecoding(
        f"{name} takes too long to decode, longer than any film should. Export it again, as a plain PNG file or as"
        " uncompressed DICOM."
    )
