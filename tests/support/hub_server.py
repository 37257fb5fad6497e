"""A strict Hub for the unmodified client runs on this machine: repos, commits, tags, large files, and faults.

What a Hub would refuse is refused here too, and test_hub_server.py shows each refusal once. Tokens: "w" may write to
the namespace `lab`, "r" may read it, "expired" was valid once.
"""

import hashlib
import re
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

from .hub_http import handler
from .hub_store import (
    NAMESPACE,
    XET_EXPIRES,
    Ask,
    Refused,
    git_id,
)
from .hub_writes import HubWrites


class HubServer(HubWrites):
    """`with HubServer() as server:` listens on a free port of the loopback.

    Attributes:
        requests: Method and path of each request.
        objects: The large files by their sha256.
        cdn: The host that serves the large files.
        strays: Tokens that were sent to that host.
        renamed: New names of repos by the old ones, as a redirect to `moved_to`.
        mistaken: The commit that a repo's metadata names in place of the right one.
        token_at: The host that Xet's tokens are said to come from.
        store: The host that is said to hold Xet's chunks.
        cas: A folder for Xet's chunks; large files then go through it, and `announce` says which may come.
    """

    def __init__(self, cas: Path | None = None) -> None:
        super().__init__(cas)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.cdn = f"http://localhost:{self._http.server_port}"  # another host to the client, as the real one is
        self.token_at = self.url
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

    def xet_token(self, ask: Ask) -> Any:
        self.repo(ask, "write" if ask.part["may"] == "write" else "read")
        if not self.store:
            raise Refused(404, "This Hub has no Xet")
        return {"accessToken": "x", "exp": XET_EXPIRES, "casUrl": self.store}

    def whoami(self, ask: Ask) -> Any:
        self.allowed(ask, "read")
        return {
            "type": "user",
            "name": NAMESPACE,
            "orgs": [],
            "auth": {"accessToken": {"role": "write" if ask.token == "w" else "read"}},
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
        """Return the path under the repo's new name, or ""."""
        for old, new in self.renamed.items():
            if re.search(rf"/{re.escape(old)}(/|$)", path):
                return path.replace(old, new, 1)
        return ""
