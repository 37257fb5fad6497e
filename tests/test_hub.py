"""Push to and pull from a Hub, with the unmodified client against the local server, through the faults that happen."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .bundles import CARD, contents, make_bundle
from .hub_server import HubServer

CHILD = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.WARNING)
from kneeoa_hub import KneeOAError, hub, pull, push
from kneeoa_hub.hub import revision_of
hub.WAITS_S = (0.01, 0.01)
hub.TIMEOUT_S = 1.0
name, arguments, options = json.loads(sys.argv[1])
try:
    answer = {"push": push, "pull": pull}[name](*arguments, **options)
    said = {"answer": str(answer), "revision": revision_of(answer) if name == "pull" else None}
except KneeOAError as error:
    said = {"error": type(error).__name__, "message": error.message}
print(json.dumps(said))
"""
REPO = "lab/kneeoa"


class Person:
    """Someone at a computer of their own: each call is a new process with that computer's cache and login."""

    def __init__(self, home: Path, endpoint: str, token: str | None = None):
        self.cache = home / "hub"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self.environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        if token:
            self.environment["HF_TOKEN"] = token

    def does(self, name: str, *arguments: object, **options: object) -> dict[str, str]:
        call = json.dumps((name, arguments, options), default=str)
        done = subprocess.run([sys.executable, "-c", CHILD, call], capture_output=True, text=True, env=self.environment, timeout=120)
        assert done.returncode == 0, done.stderr
        return {"log": done.stderr} | json.loads(done.stdout)

    def pulls(self, address: str, **options: object) -> Path:
        said = self.does("pull", address, **options)
        assert "answer" in said, said
        return Path(said["answer"])
