"""Faults between a person and a Hub happen in a scene: who pulls and pushes what, and what comes of it in words."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .bundles import contents, make_bundle
from .hub_people import REPO, Person
from .hub_server import HubServer
from .hub_state import Holdings

RIGHT = "right model"
"""This is the outcome of a pull whose every byte is as published."""
ONE = "one commit, tagged, right model"


@cache
def first_push() -> Holdings:
    """Return what a Hub holds after a push of `make_bundle` as lab/kneeoa@v1.0. The push happens only once."""
    with TemporaryDirectory() as folder, HubServer() as server:
        publisher = Person(Path(folder) / "home", server.url, "w")
        result = publisher.does("push", make_bundle(Path(folder) / "bundle"), REPO, tag="v1.0")
        assert result["answer"] == f"{REPO}@v1.0", result
        return server.copy()


@dataclass
class Scene:
    """A scene has a Hub with `bundle` published as lab/kneeoa@v1.0, its publisher, and a stranger without a pull."""

    server: HubServer
    folder: Path
    bundle: Path
    publisher: Person
    stranger: Person

    def pull(self, address: str = f"{REPO}@v1.0", by: Person | None = None, **options: Any) -> str:
        return self.outcome((by or self.stranger).does("pull", address, **options))

    def push(self, tag: str = "v2.0", **options: Any) -> str:
        """Push a newer bundle; return "" for success."""
        result = self.publisher.does("push", self.newer, REPO, tag=tag, **options)
        return "" if "answer" in result else self.outcome(result)

    @property
    def newer(self) -> Path:
        folder = self.folder / "newer"
        return folder if folder.exists() else make_bundle(folder, version="2.0", weights=1)

    def pushed(self) -> str:
        """Return the state of the Hub after a push of the newer bundle."""
        commits, refs = self.server.commits(REPO), self.server.refs(REPO)
        fetched = contents(Person(self.folder / "another", self.server.url).pulls(f"{REPO}@v2.0"))
        assert fetched == contents(self.newer)
        return ONE if len(commits) == 3 and refs["v2.0"] == commits[-1] else f"{len(commits) - 2} commits, tags {refs}"

    def outcome(self, result: dict[str, str]) -> str:
        if "error" in result:
            message = result["message"].replace(self.server.url, "HUB").replace(str(self.folder), "...")
            # The client fetches several files at a time: the message names any one of them.
            masked = (
                (r"for \d+ s", "for N s"),
                (r"\b[0-9a-f]{40}\b", "COMMIT"),
                (r"/cdn/[0-9a-f]{64}/\S+", "/cdn/SHA256/FILE"),
                (r"\b[0-9a-f]{64}\b", "HASH"),
            )
            for pattern, word in masked:
                message = re.sub(pattern, word, message)
            return f"{result['error']}: {message}"
        return RIGHT if contents(Path(result["answer"])) == contents(self.bundle) else "ANOTHER MODEL"
