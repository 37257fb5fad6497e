"""Users with computers of their own push to, pull from and deploy to a Hub with the unmodified client."""

import ctypes
import importlib
import json
import logging
import os
import resource
import sys
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from .forks import FORKS, forget_client

REPO = "lab/kneeoa"
_READ_THE_ENVIRONMENT = tuple(f"huggingface_hub.{name}" for name in ("constants", "utils.tqdm", "utils._http"))
"""These modules of the client keep what they found in the environment that they were imported in."""


class Call:
    """A call is a push, a pull or the command that deploys a Space, in a process of its own."""

    def __init__(self, environment: dict[str, str], *call: Any) -> None:
        self._said, end = os.pipe()
        self._process = FORKS.Process(target=_run, args=(environment, DupFd(end), *call))
        self._process.start()
        os.close(end)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        assert self.pid
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 120) -> str:
        """Return all that it says until it ends."""
        with open(self._said, encoding="utf-8") as said:
            text = said.read()
        self._process.join(timeout)
        return text


def _run(
    environment: dict[str, str], end: Any, name: str, arguments: Any, options: dict[str, Any], room: int, guest: bool
) -> None:
    for stream in (1, 2):
        os.dup2(end.detach() if stream == 1 else 1, stream)
    os.environ.clear()
    os.environ.update(environment)
    _renew_client()
    logging.basicConfig(level=logging.WARNING)
    from kneeoa_hub import KneeOAError, pull, push
    from kneeoa_hub.hub import retry
    from kneeoa_hub.hub.pull_push import revision_of

    retry.WAITS_S = (0.01, 0.01)
    if guest and os.geteuid() == 0:  # root ignores permissions unless it gives up CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        head, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capget(head, rights) == 0
        rights[0] &= ~0b110
        assert ctypes.CDLL(None).capset(head, rights) == 0
    if room:  # the system writes no more bytes to a file, as a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if name == "settings":
        forked = _settings_of_client()
        forget_client()
        print(json.dumps({"forked": forked, "imported": _settings_of_client()}), flush=True)
        return
    if name == "deploy":
        from spaces.deploy import main

        print(json.dumps({"code": main(arguments)}), flush=True)
        return
    try:
        answer = {"push": push, "pull": pull}[name](*arguments, **options)
        said = {"answer": str(answer), "revision": revision_of(answer) if name == "pull" else None}
    except KneeOAError as error:
        said = {"error": type(error).__name__, "message": error.message}
    print(json.dumps(said), flush=True)


def _renew_client() -> None:
    """Let the client read the environment as if it were imported now. Where it cannot, a call imports it itself."""
    try:
        for name in _READ_THE_ENVIRONMENT:
            importlib.reload(importlib.import_module(name))
    except Exception:  # a variable that it cannot read, which the call has to name
        forget_client()


def _settings_of_client() -> dict[str, str]:
    """Return what the modules of the client keep, of which some is from the environment."""
    importlib.import_module("huggingface_hub.hf_api")
    return {
        f"{module}.{name}": str(sorted(map(str, value)) if isinstance(value, frozenset) else value)
        for module, names in list(sys.modules.items())
        if module.startswith("huggingface_hub.")
        for name, value in vars(names).items()
        if isinstance(value, str | int | float | tuple | frozenset | None) and not name.startswith("__")
    }


class Person:
    """A person is a user of a separate computer: each call is a new process with that computer's cache and login."""

    def __init__(self, home: Path, endpoint: str, token: str | None = None):
        self.cache = home / "hub"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self.environment |= {
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "SSL_CERT_DIR": str(Path(__file__).parent),  # or each call would load all certificates of this machine
        }
        self.environment |= {"KNEEOA_TIMEOUT": "3", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
        if token:
            self.environment["HF_TOKEN"] = token

    def starts(self, name: str, *arguments: object, room: int = 0, guest: bool = False, **options: object) -> Call:
        """Start a call in a thread of its own and return it.

        room: most bytes of a file, 0 for as many as there are. guest: one whom permissions stop, even as root.
        """
        return Call(self.environment, name, *json.loads(json.dumps((arguments, options), default=str)), room, guest)

    def does(
        self, name: str, *arguments: object, room: int = 0, guest: bool = False, **options: object
    ) -> dict[str, str]:
        return said(self.starts(name, *arguments, room=room, guest=guest, **options))

    def pulls(self, address: str, **options: Any) -> Path:
        said = self.does("pull", address, **options)
        assert "answer" in said, said
        return Path(said["answer"])


def said(call: Call) -> dict[str, str]:
    """Return the result of a call or its error, and its log."""
    text = call.communicate()
    assert call.poll() == 0, text
    log, _, last = text.rstrip("\n").rpartition("\n")
    return {"log": log} | json.loads(last)
