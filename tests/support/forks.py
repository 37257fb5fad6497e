"""Processes of the tests begin with their imports done, which are most of the time of a short one.

A process of multiprocessing imports once what PRELOADED names, and each process that a test starts is its fork.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
# What starts threads is not among them, such as onnxruntime. huggingface_hub reads its environment when it is imported:
# a fork makes it read that again, or forgets it.
PRELOADED = [
    *("numpy", "PIL.Image", "yaml", "httpx2", "kneeoa_hub.hub.pull_push", "kneeoa_hub.hub.retry", "spaces.deploy"),
    *("anyio", "asyncio", "concurrent.futures.thread", "filelock", "httpcore2", "tqdm.auto", "truststore", "uuid"),
    *("huggingface_hub.hf_api", "huggingface_hub.repocard", "kneeoa_hub.hub.download", "kneeoa_hub.hub.upload"),
    *("flask_app.server", "flask_app.worker", "gunicorn.app.base", "encodings.idna"),
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(PRELOADED)


def forget_client() -> None:
    """Let the Hub's client be imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]


class Forked:
    """A process that runs a program of Python; it is used as one that subprocess started is."""

    def __init__(
        self,
        program: str,
        *options: str,
        environment: Mapping[str, str],
        errors: int,
        room: int | None = None,
    ) -> None:
        """Start a program in the root of the repository.

        Args:
            program: Its code.
            options: What follows the program's name on the command line.
            environment: All of its variables.
            errors: The number of the file that gets what it says on stderr.
            room: The system writes no more bytes of it to a file, as where the disk is full; None: as many as it will.
        """
        said, end = os.pipe()
        streams = DupFd(end), DupFd(errors)
        self._process = FORKS.Process(target=_run, args=(program, options, dict(environment), streams, room))
        self._process.start()
        os.close(end)
        self.stdout: IO[str] | None = open(said, encoding="utf-8")  # noqa: SIM115
        assert self._process.pid
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return the exit status when it has ended."""
        self._process.join(timeout)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return status

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Return what it says until it ends."""
        assert self.stdout
        self.wait(timeout)  # first: what a test's program says fits into the pipe
        with self.stdout:
            return self.stdout.read(), None

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _run(
    program: str,
    options: tuple[str, ...],
    environment: dict[str, str],
    streams: tuple[Any, Any],
    room: int | None,
) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.detach(), number)
    # New objects, since the inherited ones remember what kind of file they wrote to in the first process.
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    forget_client()
    assert "onnxruntime" not in sys.modules
    assert tempfile.tempdir is None
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = ["-c", *options]
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    exec(program, {"__name__": "__main__"})
