"""The local Hub keeps and checks its content here: repos, a request, large files by chunks, the metadata of cards."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "lab"
MAY = {"w": ("read", "write"), "r": ("read",)}
LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "other")
TASKS = ("image-classification",)
PLAIN_PATH = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[\w.][\w./-]*")
OID = re.compile(r"[0-9a-f]{64}")
REPO_ID = r"(?P<repo>[\w.-]+/[\w.-]+)"
API = rf"/api/(?P<kind>models|spaces)/{REPO_ID}"
XET_EXPIRES = 4102444800
"""Tokens of Xet expire at this Unix time, in 2100."""
CDN = re.compile(r"/cdn/(?P<oid>[0-9a-f]{64})/.+")


class Refused(Exception):
    """The Hub refuses a request with a status, a message, and `code`, its X-Error-Code."""

    def __init__(self, status: int, message: str, code: str = "", **body: Any):
        super().__init__(message)
        self.status, self.code, self.body = status, code, {"error": message, **body}


@dataclass
class Repo:
    """A repo has commits, branches and tags.

    Attributes:
        commits: The files of each commit by its id, the oldest first.
        branches: The commit of each branch.
        tags: The commit of each tag.
        messages: Title and description of each commit.
    """

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    messages: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, files: dict[str, bytes], branch: str = "main", title: str = "by hand", description: str = "") -> str:
        seed = json.dumps(
            [[name, hashlib.sha256(files[name]).hexdigest()] for name in sorted(files)] + [len(self.commits)]
        )
        commit = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        self.messages[commit] = title, description
        return commit

    def at(self, revision: str) -> str:
        for known in (self.branches, self.tags):
            if revision in known:
                return known[revision]
        if revision in self.commits:
            return revision
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")


@dataclass
class Fault:
    """A fault strikes requests of a method and a path so many times."""

    kind: str
    method: str
    path: str
    times: int
    struck: int = 0


@dataclass
class Ask:
    """An ask is one request of a client."""

    part: dict[str, str]
    query: dict[str, list[str]]
    body: bytes
    token: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def xet_upload(content: bytes, cas: Path) -> str:
    """Bring a file into a store of chunks; returns its Xet hash."""
    from huggingface_hub.utils._xet import get_xet_session

    with get_xet_session().new_upload_commit(
        endpoint=f"local://{cas}", token="x", token_expiry_unix_secs=XET_EXPIRES
    ) as commit:
        handle = commit.start_upload_bytes(content, sha256=hashlib.sha256(content).hexdigest())
    return handle.result().xet_info.hash


def xet_download(name: str, size: int, cas: Path, to: Path) -> bytes | None:
    """Return a file by its Xet hash, or None when the store does not have it."""
    from hf_xet import XetFileInfo  # pyright: ignore[reportAttributeAccessIssue]
    from huggingface_hub.utils._xet import get_xet_session

    with suppress(RuntimeError, OSError, ValueError):
        with get_xet_session().new_file_download_group(
            endpoint=f"local://{cas}", token="x", token_expiry_unix_secs=XET_EXPIRES
        ) as group:
            group.start_download_file(XetFileInfo(name, size), str(to))
        return to.read_bytes()
    return None


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def card_errors(text: str, kind: str) -> list[str]:
    """Return the errors that a Hub finds in the metadata of a README."""
    front = re.match(r"---\n(.*?)\n---\s", text, re.DOTALL)
    if not front:
        return []  # a card without metadata is accepted
    try:
        card = yaml.safe_load(front[1])
    except yaml.YAMLError as error:
        return [f"not YAML: {error}"]
    if not isinstance(card, dict):
        return ["the metadata is not a mapping"]
    errors = [] if card.get("license", "other") in LICENSES else [f"license: {card['license']} is not known"]
    if kind == "space":
        return errors + [f"{key} is missing" for key in ("sdk", "sdk_version", "app_file") if key not in card]
    if card.get("pipeline_tag", TASKS[0]) not in TASKS:
        errors.append(f"pipeline_tag: {card['pipeline_tag']} is not known")
    for model in card.get("model-index", ()):
        for number, result in enumerate(model.get("results", ())):
            wanted = {"task": ("type",), "dataset": ("type", "name")}
            errors += [
                f"model-index {number}: {a}.{b} is missing"
                for a, keys in wanted.items()
                for b in keys
                if b not in result.get(a, {})
            ]
            metrics = result.get("metrics", ())
            if not metrics or not all("type" in metric and "value" in metric for metric in metrics):
                errors.append(f"model-index {number}: each metric has a type and a value")
    return errors
