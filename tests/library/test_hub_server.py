"""The local Hub is strict: each of its checks refuses something here, so a push that passes it proves something."""

import base64
import hashlib
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..support.bundles import CARD
from ..support.hub_server import HubServer

REPO = "lab/kneeoa"
BIG = b"\0" * 2000
OID = hashlib.sha256(BIG).hexdigest()


@pytest.fixture
def server():
    with HubServer() as server:
        server.add_repo(REPO)
        yield server


def ask(
    server: HubServer, method: str, path: str, body: Any = None, token: str | None = "w"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of one request; a body that is not bytes goes as JSON."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, {"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def announce(server: HubServer, path: str, content: bytes) -> None:
    sample = base64.b64encode(content[:512]).decode()
    status, _, _ = ask(
        server,
        "POST",
        f"/api/models/{REPO}/preupload/main",
        {"files": [{"path": path, "sample": sample, "size": len(content)}]},
    )
    assert status == 200


def commit(
    server: HubServer, *operations: dict[str, Any], head: dict[str, Any] | None = None, token: str | None = "w"
) -> tuple[int, str]:
    lines = [{"key": "header", "value": {"summary": "more"} if head is None else head}, *operations]
    status, _, content = ask(
        server, "POST", f"/api/models/{REPO}/commit/main", "\n".join(map(json.dumps, lines)).encode(), token
    )
    return status, content.decode()


def small(path: str, content: bytes) -> dict[str, Any]:
    return {"key": "file", "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}}


def large(path: str, **other: Any) -> dict[str, Any]:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": OID, "size": len(BIG)} | other}


def upload(server: HubServer, content: bytes = BIG) -> int:
    batch = {
        "operation": "upload",
        "hash_algo": "sha256",
        "transfers": ["basic"],
        "objects": [{"oid": OID, "size": len(BIG)}],
    }
    status, _, answer = ask(server, "POST", f"/{REPO}.git/info/lfs/objects/batch", batch)
    assert status == 200
    href = json.loads(answer)["objects"][0]["actions"]["upload"]["href"]
    return ask(server, "PUT", urlsplit(href).path, content, token=None)[0]


def test_a_correct_request_is_accepted(server):
    announce(server, "model.onnx", BIG)
    announce(server, "README.md", CARD.encode())
    assert upload(server) == 200
    assert ask(server, "POST", f"/lfs-verify/{REPO}", {"oid": OID, "size": len(BIG)})[0] == 200
    assert commit(server, large("model.onnx"), small("README.md", CARD.encode()))[0] == 200
    assert ask(server, "POST", f"/api/models/{REPO}/tag/main", {"tag": "v1.0"})[0] == 200
    assert server.files(REPO)["model.onnx"] == BIG
    assert server.refs(REPO)["v1.0"] == server.commits(REPO)[-1]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("expired", 401), ("unknown", 401), ("r", 403)])
def test_a_token_that_may_not_write_writes_nothing(server, token, status):
    announce(server, "a.txt", b"a")
    assert commit(server, small("a.txt", b"a"), token=token)[0] == status
    for method, path, body in [
        ("POST", "/api/repos/create", {"name": "other", "organization": "lab"}),
        ("POST", f"/api/models/{REPO}/preupload/main", {"files": []}),
        ("POST", f"/{REPO}.git/info/lfs/objects/batch", {}),
        ("POST", f"/lfs-verify/{REPO}", {"oid": OID, "size": 1}),
        ("POST", f"/api/models/{REPO}/tag/main", {"tag": "v1.0"}),
        ("POST", f"/api/models/{REPO}/branch/next", {}),
    ]:
        assert ask(server, method, path, body, token)[0] == status, path
    assert len(server.commits(REPO)) == 1


def test_another_s_repo_takes_suggestions_alone(server):
    server.add_repo("others/knees")
    head = json.dumps({"key": "header", "value": {"summary": "more"}}).encode()
    for place, status in (
        ("commit/main", 403),
        ("commit/main?create_pr=1", 200),
        ("branch/next", 403),
        ("tag/main", 403),
    ):
        assert (
            ask(server, "POST", f"/api/models/others/knees/{place}", head if "commit" in place else {"tag": "v1.0"})[0]
            == status
        ), place


def test_a_private_repo_is_not_there_for_strangers(server):
    server.add_repo("lab/secret", private=True)
    status, headers, _ = ask(server, "GET", "/api/models/lab/secret", token=None)
    assert (status, headers["X-Error-Code"]) == (401, "RepoNotFound")
    assert ask(server, "GET", "/api/models/lab/secret", token="r")[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "kneeoa", "organization": "lab"}, 409),
        ({"name": "kneeoa", "organization": "elsewhere"}, 403),
        ({"name": "a name", "organization": "lab"}, 400),
        ({"name": "demo", "organization": "lab", "type": "space"}, 400),
    ],
)
def test_a_repo_is_made_once_under_ones_own_name(server, body, status):
    assert ask(server, "POST", "/api/repos/create", body)[0] == status


@pytest.mark.parametrize(
    "file",
    [
        {"path": "../a", "sample": "", "size": 1},
        {"path": "a", "sample": base64.b64encode(b"four").decode(), "size": 1},
        {"path": "a", "sample": base64.b64encode(bytes(600)).decode(), "size": 600},
        {"path": "a", "sample": "no base64!", "size": 9},
    ],
)
def test_a_preupload_lists_plain_paths_true_sizes_and_short_samples(server, file):
    assert ask(server, "POST", f"/api/models/{REPO}/preupload/main", {"files": [file]})[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "download"},
        {"hash_algo": "md5"},
        {"transfers": ["xet"]},
        {"objects": [{"oid": "short", "size": 1}]},
        {"objects": [{"oid": OID, "size": 0}]},
    ],
)
def test_a_batch_uploads_by_sha256(server, wrong):
    batch = {
        "operation": "upload",
        "hash_algo": "sha256",
        "transfers": ["basic"],
        "objects": [{"oid": OID, "size": len(BIG)}],
    }
    assert ask(server, "POST", f"/{REPO}.git/info/lfs/objects/batch", batch | wrong)[0] == 422


def test_large_files_have_their_size_and_hash_and_were_granted(server):
    assert ask(server, "PUT", f"/lfs/{OID}", BIG)[0] == 403
    assert upload(server, BIG[:-1]) == 400
    assert upload(server, BIG[:-1] + b"1") == 400
    assert OID not in server.objects
    assert ask(server, "POST", f"/lfs-verify/{REPO}", {"oid": OID, "size": len(BIG)})[0] == 404
    assert upload(server) == 200
    assert ask(server, "POST", f"/lfs-verify/{REPO}", {"oid": OID, "size": 1})[0] == 404


def test_a_commit_names_only_large_files_that_are_there(server):
    announce(server, "model.onnx", BIG)
    assert "no large file" in commit(server, large("model.onnx"))[1]
    upload(server)
    assert "no large file" in commit(server, large("model.onnx", size=1))[1]
    assert "no large file" in commit(server, large("model.onnx", algo="md5"))[1]
    assert commit(server, large("model.onnx"))[0] == 200


@pytest.mark.parametrize(
    ("operations", "head", "said"),
    [
        ([small("a.txt", b"a")], {}, "summary"),
        ([small("a.txt", b"a")], {"summary": "x", "parentCommit": "0" * 40}, "moved"),
        ([small("../a.txt", b"a")], None, "plain path"),
        ([small("a.txt", b"a"), small("a.txt", b"b")], None, "twice"),
        ([small("b.txt", b"b")], None, "not announced"),
        ([large("a.txt")], None, "not announced"),
        ([{"key": "file", "value": {"path": "a.txt", "content": "!", "encoding": "base64"}}], None, "not base64"),
        ([{"key": "file", "value": {"path": "a.txt", "content": "a", "encoding": "utf-8"}}], None, "base64"),
        ([{"key": "deletedFile", "value": {"path": "b.txt"}}], None, "not there"),
        ([{"key": "oddity", "value": {"path": "a.txt"}}], None, "not announced"),
    ],
)
def test_a_commit_that_is_wrong_changes_nothing(server, operations, head, said):
    announce(server, "a.txt", b"a")
    status, answer = commit(server, *operations, head=head)
    assert status in (400, 412)
    assert said in answer
    assert len(server.commits(REPO)) == 1


RESULT = {
    "task": {"type": "image-classification"},
    "dataset": {"type": "oai", "name": "OAI"},
    "metrics": [{"type": "accuracy", "value": 1}],
}


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("license: [1", "not YAML"),
        ("- a list", "not a mapping"),
        ("license: my-own", "license"),
        ("pipeline_tag: fortune-telling", "pipeline_tag"),
        (json.dumps({"model-index": [{"name": "x", "results": [RESULT | {"task": {}}]}]}), "task.type"),
        (
            json.dumps({"model-index": [{"name": "x", "results": [RESULT | {"metrics": [{"type": "accuracy"}]}]}]}),
            "metric",
        ),
    ],
)
def test_a_card_has_valid_metadata(server, front, said):
    card = f"---\n{front}\n---\n# text\n"
    status, _, content = ask(server, "POST", "/api/validate-yaml", {"content": card, "repoType": "model"})
    assert (status, said in json.loads(content)["errors"][0]["message"]) == (400, True)
    announce(server, "README.md", card.encode())
    assert commit(server, small("README.md", card.encode()))[0] == 400


def test_a_space_says_how_it_is_started(server):
    card = "---\nlicense: apache-2.0\nsdk: gradio\n---\n"
    status, _, content = ask(server, "POST", "/api/validate-yaml", {"content": card, "repoType": "space"})
    assert status == 400
    assert "app_file is missing" in str(content)


@pytest.mark.parametrize(
    ("tag", "revision", "status"), [("v1.0", "main", 409), ("v 2", "main", 400), ("v2", "nowhere", 404)]
)
def test_a_tag_is_new_plain_and_names_what_exists(server, tag, revision, status):
    assert ask(server, "POST", f"/api/models/{REPO}/tag/main", {"tag": "v1.0"})[0] == 200
    assert ask(server, "POST", f"/api/models/{REPO}/tag/{revision}", {"tag": tag})[0] == status


@pytest.mark.parametrize(
    ("branch", "start", "status"), [("next", None, 409), ("v%202", None, 400), ("other", "nowhere", 404)]
)
def test_a_branch_is_new_plain_and_starts_at_what_exists(server, branch, start, status):
    assert ask(server, "POST", f"/api/models/{REPO}/branch/next", {})[0] == 200
    assert ask(server, "POST", f"/api/models/{REPO}/branch/{branch}", {"startingPoint": start})[0] == status


def test_an_unknown_route_is_not_found(server):
    assert ask(server, "GET", f"/{REPO}/resolve/main/no.txt")[1]["X-Error-Code"] == "EntryNotFound"
    assert ask(server, "GET", f"/{REPO}/resolve/v9/no.txt")[1]["X-Error-Code"] == "RevisionNotFound"
    assert ask(server, "GET", f"/cdn/{OID}/model.onnx")[0] == 404
    assert ask(server, "GET", "/api/everything")[0] == 404


def test_a_token_that_reaches_the_host_of_the_large_files_is_noticed(server):
    assert server.strays == set()
    ask(server, "GET", f"/cdn/{OID}/model.onnx", token="w")
    assert server.strays == {"w"}


def test_a_call_has_a_client_as_if_it_were_imported_in_its_environment(server, person):
    person.environment["HF_HUB_OFFLINE"] = "1"
    clients: Any = person.does("settings")
    imported, forked = clients["imported"], clients["forked"]
    assert imported["huggingface_hub.constants.ENDPOINT"] == server.url
    assert {name: forked.get(name) for name in imported} == imported
