"""These routes of the local Hub change something. What a Hub would refuse is refused here too."""

import base64
import hashlib
import json
import re
from typing import Any

from .hub_state import HubState
from .hub_store import (
    NAMESPACE,
    OID,
    PLAIN_PATH,
    REPO_ID,
    Ask,
    Refused,
    card_errors,
)


class HubWrites(HubState):
    """Each route takes an `Ask`, which holds method, path parts, query, body and token."""

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

    def branch(self, ask: Ask) -> Any:
        repo = self.repo(ask, "write")
        name = ask.part["rev"]
        if not re.fullmatch(r"[\w][\w.-]*", name):
            raise Refused(400, f"Invalid branch name: {name}")
        if name in repo.branches:
            raise Refused(409, "Branch reference exists already")
        repo.branches[name] = repo.at(ask.json.get("startingPoint") or "main")
        return {}

    def tag(self, ask: Ask) -> Any:
        repo = self.repo(ask, "write")
        name, commit = ask.json["tag"], repo.at(ask.part["rev"])
        if not re.fullmatch(r"[\w][\w.-]*", name):
            raise Refused(400, f"Invalid tag name: {name}")
        if name in repo.tags:
            raise Refused(409, "Tag reference exists already")
        repo.tags[name] = commit
        return {}
