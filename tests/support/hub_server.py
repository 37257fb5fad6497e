"""A strict Hub on this machine for the unmodified client: repos, commits, tags, large files, and the faults that
happen.

What a Hub would refuse is refused here too, and test_hub_server.py shows each refusal once. Tokens: "w" may write to
the namespace `lab`, "r" may read it, "expired" was valid once.
"""

import base64
import hashlib
import json
import re
import threading
from copy import deepcopy
from http.server import ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

import yaml

from .hub_http import handler
from .hub_store import (
    MAY,
    NAMESPACE,
    OID,
    PLAIN_PATH,
    REPO_ID,
    XET_EXPIRES,
    Ask,
    Fault,
    Refused,
    Repo,
    card_errors,
    git_id,
    xet_download,
    xet_upload,
)

Holdings = tuple[dict[tuple[str, str], Repo], dict[str, bytes]]
"""Repos by kind and name, and large files by sha256."""


class HubServer:
    """`with HubServer() as server:` listens on a free port of the loopback.

    requests: (method, path) of what was asked. objects: the large files, by sha256. cdn: the host that serves them, and
    strays: tokens that were sent there. renamed: old -> new names of repos, as a redirect to moved_to.
    mistaken: the commit that a repo's metadata tells in place of the right one.
    token_at: the host that Xet's tokens are said to come from. store: what is said to hold Xet's chunks.
    cas: a folder for Xet's chunks; large files then go through it, and `announce` says which may come.
    """

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
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.cdn = f"http://localhost:{self._http.server_port}"  # another host to the client, as the real one is
        self.token_at = self.url
        self.store = f"local://{cas}" if cas else ""
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server: no connection to the address succeeds any more."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()

    # State that a test inspects and arranges

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
        """As if a person had changed the repo in the browser."""
        repo = self.repos["models", name]
        self.objects |= {hashlib.sha256(files[large]).hexdigest(): files[large] for large in repo.large & files.keys()}
        return repo.add(files)

    def copy(self) -> Holdings:
        """A copy of the present content, for `hold` of this server or another."""
        return deepcopy((self.repos, self.objects))

    def hold(self, holdings: Holdings) -> None:
        """Replace the content by this."""
        self.repos, self.objects = deepcopy(holdings)

    def fault(self, kind: str, method: str, path: str, times: int = 1) -> None:
        """fail: 503. cut: closed in the middle, of a POST after it was done. reset: TCP reset. flip: one byte changed.
        busy: 429, and to wait an hour; "busy 1" is a second. "header NAME: VALUE" puts that into the answer. drip: a
        byte at a time. hang: no answer. stall: half an answer. slow. portal: a network's log-in page in
        place of the Hub."""
        self.faults.append(Fault(kind, method, path, times))
        self.arranged.append(self.faults[-1])

    def announce(self, content: bytes) -> None:
        """Tell which large file may come by Xet, as the store of chunks tells a real Hub; it does not bring the
        file.
        """
        with TemporaryDirectory() as elsewhere:
            self.chunked[hashlib.sha256(content).hexdigest()] = xet_upload(content, Path(elsewhere))

    def by_xet(self, oid: str) -> bytes | None:
        """A large file out of its chunks, or None when they are not all there."""
        if self.cas is None or oid not in self.chunked:
            return None
        with TemporaryDirectory() as folder:
            content = xet_download(self.chunked[oid], self.granted.get(oid, 0), self.cas, Path(folder) / "file")
        return content if content and hashlib.sha256(content).hexdigest() == oid else None

    def xet_token(self, ask: Ask) -> Any:
        self.repo(ask, "write" if ask.part["may"] == "write" else "read")
        if not self.store:
            raise Refused(404, "This Hub has no Xet")
        return {"accessToken": "x", "exp": XET_EXPIRES, "casUrl": self.store}

    def struck(self, method: str, path: str) -> str:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    fault.struck += 1
                    return fault.kind
        return ""

    # Routes of HTTP; `ask` holds method, path parts, query, body, token

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

    def whoami(self, ask: Ask) -> Any:
        self.allowed(ask, "read")
        return {
            "type": "user",
            "name": NAMESPACE,
            "orgs": [],
            "auth": {"accessToken": {"role": "write" if ask.token == "w" else "read"}},
        }

    def create(self, ask: Ask) -> Any:
        self.allowed(ask, "write")
        name, kind = (
            f"{ask.json.get('organization') or NAMESPACE}/{ask.json['name']}",
            f"{ask.json.get('type') or 'model'}s",
        )
        if not re.fullmatch(REPO_ID, name):
            raise Refused(400, f"Invalid repo name: {name}")
        if name.split("/")[0] != NAMESPACE:
            raise Refused(
                403, f"You don't have the rights to create a {kind[:-1]} under the namespace {name.split('/')[0]}"
            )
        if kind == "spaces" and ask.json.get("sdk") not in ("gradio", "docker", "static"):
            raise Refused(400, "A space needs its sdk")
        answer = {"url": f"{self.url}/{'spaces/' if kind == 'spaces' else ''}{name}", "name": name}
        if (kind, name) in self.repos:
            raise Refused(409, "You already created this repo", **answer)
        self.add_repo(name, private=ask.json.get("visibility") == "private" or bool(ask.json.get("private")), kind=kind)
        return answer

    def validate(self, ask: Ask) -> Any:
        errors = card_errors(ask.json["content"], ask.json["repoType"])
        if errors:
            raise Refused(400, "Invalid metadata", errors=[{"message": error} for error in errors])
        return {"errors": [], "warnings": []}

    def preupload(self, ask: Ask) -> Any:
        self.repo(ask, "suggest").at(ask.part["rev"])
        answers = []
        for file in ask.json["files"]:
            sample = base64.b64decode(file["sample"], validate=True)
            if not PLAIN_PATH.fullmatch(file["path"]) or len(sample) > 512 or len(sample) > file["size"]:
                raise Refused(
                    400, f"preupload of {file['path']}: a plain path, its size and its first bytes are wanted"
                )
            mode = "lfs" if b"\0" in sample or file["size"] > 10**7 else "regular"
            self.modes[ask.part["repo"], file["path"]] = mode
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None})
        return {"files": answers}

    def lfs_batch(self, ask: Ask) -> Any:
        ask.part["kind"] = "spaces" if ask.part.get("space") else "models"
        self.repo(ask, "suggest")
        if (
            ask.json.get("operation") != "upload"
            or ask.json.get("hash_algo") != "sha256"
            or "basic" not in ask.json.get("transfers", ())
        ):
            raise Refused(422, "LFS batch: an upload with sha256 and the transfer basic is wanted")
        answers = []
        for wanted in ask.json["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            if not OID.fullmatch(oid) or not isinstance(size, int) or size < 1:
                raise Refused(422, f"LFS batch: {oid} is not the sha256 of a file with a size")
            answer: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.objects:
                self.granted[oid] = size
                answer["actions"] = {
                    "upload": {"href": f"{self.url}/lfs/{oid}"},
                    "verify": {"href": f"{self.url}/lfs-verify/{ask.part['repo']}"},
                }
            answers.append(answer)
        return {"transfer": "basic", "objects": answers}

    def lfs_put(self, ask: Ask) -> Any:
        oid = ask.part["oid"]
        if oid not in self.granted:
            raise Refused(403, "No batch has granted this upload")
        if len(ask.body) != self.granted[oid]:
            raise Refused(400, f"{len(ask.body)} bytes came, {self.granted[oid]} were promised")
        if hashlib.sha256(ask.body).hexdigest() != oid:
            raise Refused(400, "The bytes do not have the promised sha256")
        self.objects[oid] = ask.body
        return {}

    def lfs_verify(self, ask: Ask) -> Any:
        self.allowed(ask, "write")
        if len(self.objects.get(ask.json["oid"], b"")) != ask.json["size"]:
            raise Refused(404, "There is no such object of that size")
        return {}

    def take_commit(self, ask: Ask) -> Any:
        branch, asked = ask.part["rev"], ask.query.get("create_pr") == ["1"]
        repo = self.repo(ask, "suggest" if asked else "write")
        if branch not in repo.branches:
            raise Refused(404, "A commit goes to a branch", "RevisionNotFound")
        head, *operations = [json.loads(line) for line in ask.body.splitlines()]
        if head.get("key") != "header" or not head["value"].get("summary"):
            raise Refused(400, "A commit starts with a header that has a summary")
        parent = head["value"].get("parentCommit", repo.branches[branch])
        if parent != repo.branches[branch]:
            raise Refused(412, "The branch has moved since that parent commit")
        files, large, seen = dict(repo.commits[parent]), set(repo.large), set()
        for operation in operations:
            key, value = operation["key"], operation["value"]
            path = value["path"]
            if not PLAIN_PATH.fullmatch(path) or path in seen:
                raise Refused(400, f"{path} is not a plain path, or is there twice")
            seen.add(path)
            if key == "deletedFile":
                if files.pop(path, None) is None:
                    raise Refused(400, f"{path} is not there to be deleted")
                large.discard(path)
                continue
            if self.modes.get((ask.part["repo"], path)) != {"file": "regular", "lfsFile": "lfs"}.get(key):
                raise Refused(400, f"{path} was not announced by a preupload as {key}")
            files[path] = self._content(key, value)
            (large.add if key == "lfsFile" else large.discard)(path)
        errors = card_errors(files["README.md"].decode(), ask.part["kind"][:-1]) if "README.md" in files else []
        if errors:
            raise Refused(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
        repo.large = large
        summary, description = head["value"]["summary"], head["value"].get("description", "")
        place = f"{self.url}/{ask.part['repo']}"
        number = 1 + sum(name.startswith("refs/pr/") for name in repo.branches)
        commit = (
            parent
            if files == repo.commits[parent]
            else repo.add(files, f"refs/pr/{number}" if asked else branch, summary, description)
        )
        request = f"{place}/discussions/{number}" if asked else None
        return {
            "success": True,
            "commitOid": commit,
            "commitUrl": f"{place}/commit/{commit}",
            "pullRequestUrl": request,
        }

    def discussions(self, ask: Ask) -> Any:
        """Open pull requests; no request is ever closed here."""
        repo = self.repo(ask)
        if ask.query.get("type") != ["pull_request"] or ask.query.get("status") != ["open"]:
            raise Refused(400, "Only open pull requests are kept here")
        numbers = [int(name.rpartition("/")[2]) for name in repo.branches if name.startswith("refs/pr/")]
        about = {
            "author": {"name": NAMESPACE},
            "createdAt": "2026-01-01T00:00:00.000Z",
            "status": "open",
            "isPullRequest": True,
        }
        about |= {"repo": {"name": ask.part["repo"], "type": "model"}, "title": "a bundle"}
        return {"count": len(numbers), "start": 0, "discussions": [about | {"num": number} for number in numbers]}

    def branch(self, ask: Ask) -> Any:
        repo = self.repo(ask, "write")
        name = ask.part["rev"]
        if not re.fullmatch(r"[\w][\w.-]*", name):
            raise Refused(400, f"Invalid branch name: {name}")
        if name in repo.branches:
            raise Refused(409, "Branch reference exists already")
        repo.branches[name] = repo.at(ask.json.get("startingPoint") or "main")
        return {}

    def list_commits(self, ask: Ask) -> Any:
        """Newest first, those that were made before the one asked for and itself."""
        repo = self.repo(ask)
        known = list(repo.commits)
        until = known.index(repo.at(ask.part["rev"]))
        return [
            {
                "id": commit,
                "title": repo.messages[commit][0],
                "message": repo.messages[commit][1],
                "date": "2026-01-01T00:00:00.000Z",
                "authors": [{"user": "lab"}],
            }
            for commit in reversed(known[: until + 1])
        ]

    def _content(self, key: str, value: dict[str, Any]) -> bytes:
        if key == "file":
            if value.get("encoding") != "base64":
                raise Refused(400, f"{value['path']}: the content is base64")
            try:
                return base64.b64decode(value["content"], validate=True)
            except ValueError:
                raise Refused(400, f"{value['path']}: the content is not base64") from None
        if value["oid"] not in self.objects:
            self.granted.setdefault(value["oid"], value.get("size", 0))
            if content := self.by_xet(value["oid"]):
                self.objects[value["oid"]] = content
        content = self.objects.get(value["oid"])
        if content is None or value.get("algo") != "sha256" or value.get("size", len(content)) != len(content):
            raise Refused(400, f"{value['path']}: there is no large file with that sha256 and size")
        return content

    def tag(self, ask: Ask) -> Any:
        repo = self.repo(ask, "write")
        name, commit = ask.json["tag"], repo.at(ask.part["rev"])
        if not re.fullmatch(r"[\w][\w.-]*", name):
            raise Refused(400, f"Invalid tag name: {name}")
        if name in repo.tags:
            raise Refused(409, "Tag reference exists already")
        repo.tags[name] = commit
        return {}

    def list_refs(self, ask: Ask) -> Any:
        repo = self.repo(ask)

        def listed(known: dict[str, str], prefix: str) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{prefix}/{name}", "targetCommit": commit} for name, commit in known.items()
            ]

        return {"branches": listed(repo.branches, "heads"), "tags": listed(repo.tags, "tags"), "converts": []}

    def info(self, ask: Ask) -> Any:
        repo = self.repo(ask)
        commit = repo.at(ask.part.get("rev") or "main")
        files = repo.commits[commit]
        card = re.match(r"---\n(.*?)\n---", files.get("README.md", b"").decode(errors="replace"), re.DOTALL)
        return {
            **{"_id": commit[:24], "id": ask.part["repo"], "modelId": ask.part["repo"], "sha": self.mistaken or commit},
            **{
                "private": repo.private,
                "gated": "auto" if repo.gated else False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            },
            "siblings": [{"rfilename": name} for name in sorted(files)],
            "cardData": yaml.safe_load(card[1]) if card else None,
        }

    def tree(self, ask: Ask) -> Any:
        repo = self.repo(ask)
        files = repo.commits[repo.at(ask.part["rev"])]
        entries = []
        for name, content in sorted(files.items()):
            entry = {"type": "file", "path": name, "size": len(content), "oid": git_id(content)}
            if name in repo.large:
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries

    def resolve(self, ask: Ask) -> tuple[dict[str, str], bytes, str]:
        """Headers, content, and the address of the content."""
        ask.part["kind"] = "spaces" if ask.part.get("space") else "models"
        repo = self.repo(ask)
        if repo.gated and ask.token != "w":
            raise Refused(403 if ask.token else 401, "Access to this repo is restricted: accept its terms", "GatedRepo")
        commit = repo.at(ask.part["rev"])
        name = unquote(ask.part["name"])
        if name not in repo.commits[commit]:
            raise Refused(404, "Entry not found", "EntryNotFound")
        content = repo.commits[commit][name]
        if name not in repo.large:
            return {"X-Repo-Commit": commit, "ETag": f'"{git_id(content)}"'}, content, ""
        oid = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        if oid in self.chunked:
            token = f"{self.token_at}/api/{ask.part['kind']}/{ask.part['repo']}/xet-read-token/{commit}"
            headers |= {"X-Xet-Hash": self.chunked[oid], "Link": f'<{token}>; rel="xet-auth"'}
        return headers, content, f"{self.cdn}/cdn/{oid}/{quote(name)}"

    def renaming(self, path: str) -> str:
        """The path under the repo's new name, or ""."""
        for old, new in self.renamed.items():
            if re.search(rf"/{re.escape(old)}(/|$)", path):
                return path.replace(old, new, 1)
        return ""
