"""Tests inspect and arrange the content of the local Hub: repos, large files, faults, and who may do what."""

import hashlib
import threading
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from .hub_store import (
    MAY,
    NAMESPACE,
    Ask,
    Fault,
    Refused,
    Repo,
    xet_download,
    xet_upload,
)

Holdings = tuple[dict[tuple[str, str], Repo], dict[str, bytes]]
"""A Hub holds repos by kind and name, and large files by sha256."""


class HubState:
    """The state of a Hub has repos, large files and injected faults."""

    url: str
    cdn: str
    token_at: str

    def __init__(self, cas: Path | None = None) -> None:
        self.cas = cas
        self.chunked: dict[str, str] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.granted: dict[str, int] = {}
        self.modes: dict[tuple[str, str], str] = {}
        self.requests: list[tuple[str, str]] = []
        self.strays: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.moved_to = ""
        self.mistaken = ""
        self.faults: list[Fault] = []
        self.arranged: list[Fault] = []  # every fault so far, for a test to see which ones happened
        self.lock = threading.RLock()
        self.stopped = threading.Event()
        self.store = f"local://{cas}" if cas else ""

    def add_repo(self, name: str, *, private: bool = False, gated: bool = False, kind: str = "models") -> Repo:
        repo = self.repos[kind, name] = Repo(private, gated)
        repo.add({".gitattributes": b"*.onnx filter=lfs\n"})
        return repo

    def commits(self, name: str, kind: str = "models") -> list[str]:
        return list(self.repos[kind, name].commits)

    def refs(self, name: str, kind: str = "models") -> dict[str, str]:
        return self.repos[kind, name].branches | self.repos[kind, name].tags

    def files(self, name: str, kind: str = "models") -> dict[str, bytes]:
        repo = self.repos[kind, name]
        return dict(repo.commits[repo.branches["main"]])

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        """Change the repo as a person does in the browser."""
        repo = self.repos["models", name]
        self.objects |= {hashlib.sha256(files[large]).hexdigest(): files[large] for large in repo.large & files.keys()}
        return repo.add(files)

    def copy(self) -> Holdings:
        """Return a copy of the present content, for `hold` of this server or another."""
        return deepcopy((self.repos, self.objects))

    def hold(self, holdings: Holdings) -> None:
        """Replace the content by this."""
        self.repos, self.objects = deepcopy(holdings)

    def fault(self, kind: str, method: str, path: str, times: int = 1) -> None:
        """fail: 503. cut: closed in the middle, of a POST after it was done. reset: TCP reset. flip: one byte changed.
        busy: 429, and to wait an hour; "busy 1" is a second. "header NAME: VALUE" puts that into the answer. drip: a
        byte at a time; drip head: the head of the answer too. hang: no answer. stall: half an answer. slow. portal: a
        network's log-in page in place of the Hub."""
        self.faults.append(Fault(kind, method, path, times))
        self.arranged.append(self.faults[-1])

    def announce(self, content: bytes) -> None:
        """Announce which large file may come by Xet, as the store of chunks does for a real Hub; it does not bring the
        file.
        """
        with TemporaryDirectory() as elsewhere:
            self.chunked[hashlib.sha256(content).hexdigest()] = xet_upload(content, Path(elsewhere))

    def by_xet(self, oid: str) -> bytes | None:
        """Return a large file out of its chunks, or None when they are not all there."""
        if self.cas is None or oid not in self.chunked:
            return None
        with TemporaryDirectory() as folder:
            content = xet_download(self.chunked[oid], self.granted.get(oid, 0), self.cas, Path(folder) / "file")
        return content if content and hashlib.sha256(content).hexdigest() == oid else None

    def struck(self, method: str, path: str) -> str:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    fault.struck += 1
                    return fault.kind
        return ""

    def allowed(self, ask: Ask, action: str) -> None:
        if ask.token and ask.token not in MAY:
            raise Refused(
                401,
                f"Invalid credentials in Authorization header ({'expired' if ask.token == 'expired' else 'unknown'}"
                " token)",
            )
        if action not in MAY.get(ask.token, ()):
            raise Refused(403 if ask.token else 401, f"This needs a token with the permission to {action}.")

    def repo(self, ask: Ask, action: str = "read") -> Repo:
        """action: read, write, or suggest, which may be done to another's repo."""
        repo = self.repos.get((ask.part["kind"], ask.part["repo"]))
        if action != "read":
            self.allowed(ask, "write")
            if action == "write" and repo and ask.part["repo"].split("/")[0] != NAMESPACE:
                raise Refused(403, "You don't have the rights to write to this repo; open a pull request")
        elif ask.token and ask.token not in MAY:
            self.allowed(ask, "read")
        if repo is None or (repo.private and not ask.token):
            raise Refused(404 if ask.token else 401, "Repository not found", "RepoNotFound")
        return repo
