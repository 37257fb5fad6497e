"""Users with computers of their own, who push to and pull from a Hub with the unmodified client."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHILD = """
import json, logging, os, resource, sys
from pathlib import Path
logging.basicConfig(level=logging.WARNING)
from kneeoa_hub import KneeOAError, pull, push
from kneeoa_hub.hub import retry
from kneeoa_hub.hub.pull_push import revision_of
retry.WAITS_S = (0.01, 0.01)
name, arguments, options, room, guest = json.loads(sys.argv[1])
if guest and os.geteuid() == 0:  # root ignores permissions unless it gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    import ctypes
    head, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capget(head, rights) == 0
    rights[0] &= ~0b110
    assert ctypes.CDLL(None).capset(head, rights) == 0
if room:  # the system writes no more bytes to a file, as a full disk does
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    answer = {"push": push, "pull": pull}[name](*arguments, **options)
    said = {"answer": str(answer), "revision": revision_of(answer) if name == "pull" else None}
except KneeOAError as error:
    said = {"error": type(error).__name__, "message": error.message}
print(json.dumps(said))
"""
REPO = "lab/kneeoa"


class Person:
    """A user of a separate computer: each call is a new process with that computer's cache and login."""

    def __init__(self, home: Path, endpoint: str, token: str | None = None):
        self.cache = home / "hub"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self.environment |= {
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        self.environment |= {"KNEEOA_TIMEOUT": "3", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
        if token:
            self.environment["HF_TOKEN"] = token

    def starts(
        self, name: str, *arguments: object, room: int = 0, guest: bool = False, **options: object
    ) -> subprocess.Popen[str]:
        """A call that goes on by itself.

        room: most bytes of a file, 0 for as many as there are. guest: one whom permissions stop, even as root.
        """
        call = json.dumps((name, arguments, options, room, guest), default=str)
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, call],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def does(
        self, name: str, *arguments: object, room: int = 0, guest: bool = False, **options: object
    ) -> dict[str, str]:
        return said(self.starts(name, *arguments, room=room, guest=guest, **options))

    def pulls(self, address: str, **options: Any) -> Path:
        said = self.does("pull", address, **options)
        assert "answer" in said, said
        return Path(said["answer"])


def said(call: subprocess.Popen[str]) -> dict[str, str]:
    """The result of a call or its error, and its log."""
    out, log = call.communicate(timeout=120)
    assert call.returncode == 0, log
    return {"log": log} | json.loads(out)
