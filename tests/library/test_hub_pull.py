"""A pull from the local Hub with the unmodified client survives faults of networks, mirrors and caches."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..support.bundles import contents
from ..support.hub_people import REPO

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("answer", ["{}", "[]", "null", "3"])
def test_json_that_no_hub_sends_is_an_error_that_says_so(server, stranger, answer):
    server.fault(f"says {answer}", "GET", "/api/models/", times=99)
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubUnreachable"
    assert "check HF_ENDPOINT" in said["message"]


@pytest.mark.parametrize(
    "variable",
    [{"HF_ENDPOINT": "http://[bad"}, {"HF_ENDPOINT": "http://localhost:99999"}, {"ALL_PROXY": "socks5://127.0.0.1:1"}],
)
def test_an_impossible_endpoint_or_proxy_is_an_error_that_names_it(server, stranger, variable):
    stranger.environment.update(variable)
    said = stranger.does("pull", REPO)
    assert said["error"] in ("HubUnreachable", "SettingsError", "HubError")
    assert any(
        word in said["message"]
        for word in (
            "check HF_ENDPOINT and the proxy",
            "the present values of HF_ENDPOINT",
            "Port out of range",
            "socksio",
        )
    )


def test_a_private_repo_is_pulled_with_a_token_alone(server, person, bundle, stranger):
    person.does("push", bundle, REPO, private=True)
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubDenied"
    assert "HF_TOKEN" in said["message"]
    assert contents(stranger.pulls(REPO, token="r")) == contents(bundle)


def test_an_error_names_what_the_hub_does_not_have(server, published, person):
    said = person.does("pull", "lab/nothing")
    assert said["error"] == "HubNotFound"
    assert "lab/nothing" in said["message"]
    said = person.does("pull", f"{REPO}@v1.1")
    assert said["error"] == "HubNotFound"
    assert "Did you mean 'v1.0'? It has main, v1.0." in said["message"]


def test_a_renamed_repo_is_found_under_both_names_and_not_pushed_twice(server, published, person, stranger):
    server.repos["models", "lab/renamed"] = server.repos.pop(("models", REPO))
    server.renamed[REPO] = "lab/renamed"
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(published)
    assert contents(stranger.pulls("lab/renamed@v1.0")) == contents(published)


def test_a_repo_of_something_else_is_not_a_bundle(server, stranger):
    server.add_repo(REPO)
    said = stranger.does("pull", REPO)
    assert said["error"] == "BundleIncomplete"
    assert "manifest.json" in said["message"]


@pytest.mark.parametrize("answer", ["another", ""])
def test_a_pull_of_a_commit_gives_exactly_that_commit_or_an_error(server, published, newer, person, stranger, answer):
    """A mirror that is behind answers with another commit, once."""
    (wanted,) = (commit for name, commit in server.refs(REPO).items() if name == "v1.0")
    person.does("push", newer, REPO, tag="v2.0")
    server.mistaken = server.refs(REPO)["v2.0"] if answer else "no commit"
    said = stranger.does("pull", f"{REPO}@{wanted}")
    assert said["error"] == "HubError"
    server.mistaken = ""
    assert stranger.pulls(f"{REPO}@{wanted}").name == wanted
    assert contents(stranger.pulls(f"{REPO}@{wanted}", local_files_only=True)) == contents(published)


def test_a_ref_of_the_cache_that_is_named_like_a_commit_is_not_followed(server, published, newer, person, stranger):
    wanted, other = server.refs(REPO)["v1.0"], stranger.pulls(REPO)
    (other.parent.parent / "refs" / ("0" * 40)).write_text(wanted)
    assert stranger.does("pull", f"{REPO}@{'0' * 40}", local_files_only=True)["error"] == "HubUnreachable"


@pytest.mark.parametrize("what", ["blobs", "refs/v1.0", "manifest"])
def test_a_cache_that_cannot_be_read_is_an_error_that_names_it(server, published, stranger, what):
    folder = stranger.pulls(f"{REPO}@v1.0")
    path = (folder / "manifest.json").resolve() if what == "manifest" else folder.parent.parent / what
    path.chmod(0)
    try:
        for offline in (True, False):
            said = stranger.does("pull", f"{REPO}@v1.0", guest=True, local_files_only=offline)
            if offline or "error" in said:  # with a network, an unreadable file may be fetched again
                assert said["error"] in ("BundleError", "BundleIncomplete", "OutputError"), said
                assert "can't be" in said["message"] or "missing" in said["message"]
    finally:
        path.chmod(0o755)


def test_nothing_but_the_bundle_and_its_card_is_fetched(server, published, stranger):
    server.commit(REPO, server.files(REPO) | {"huge.dat": bytes(9), "NOTICE": b"by hand"})
    assert contents(stranger.pulls(REPO)) == contents(published)


@pytest.mark.parametrize("name", ["setup.py", "figures/run.py", "pytorch_model.bin", "whole.h5"])
def test_a_repo_with_code_in_it_is_neither_pulled_nor_pushed_to(server, published, newer, stranger, person, name):
    server.commit(REPO, server.files(REPO) | {name: b"print()"})
    for said in (stranger.does("pull", REPO), person.does("push", newer, REPO, tag="v2.0")):
        assert said["error"] == "BundleChanged"
        assert f"{name} could run code" in said["message"]
    assert "v2.0" not in server.refs(REPO)
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(published)


def test_threads_of_one_process_pull_and_each_gets_its_model(server, published, stranger):
    code = """
from concurrent.futures import ThreadPoolExecutor
from huggingface_hub.utils import get_session
from kneeoa_hub import pull
hooks = get_session().event_hooks
with ThreadPoolExecutor(4) as pool:
    print(len(set(pool.map(pull, ["lab/kneeoa@v1.0"] * 4))))
assert get_session().event_hooks == hooks
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=stranger.environment, timeout=120
    )
    assert done.stdout == "1\n", done.stderr


def test_bytes_that_changed_on_the_way_are_fetched_once_more(server, published, stranger):
    server.fault("flip", "GET", "model.onnx")
    assert contents(stranger.pulls(REPO)) == contents(published)


def test_bytes_that_change_every_time_are_refused(server, published, stranger):
    server.fault("flip", "GET", "model.onnx", times=9)
    said = stranger.does("pull", REPO)
    assert said["error"] == "BundleChanged"
    assert "model.onnx" in said["message"]


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json", "manifest.json"])
def test_a_file_that_changed_in_the_cache_is_fetched_again_and_refused_without_a_network(
    server, published, stranger, name
):
    folder = stranger.pulls(f"{REPO}@v1.0")
    blob = (folder / name).resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    assert stranger.does("pull", f"{REPO}@v1.0", local_files_only=True)["error"] in ("BundleChanged", "BundleError")
    assert contents(stranger.pulls(f"{REPO}@{folder.name}")) == contents(published)


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        *(("fail", "GET", "model.onnx"), ("fail", "GET", "/revision/"), ("fail", "HEAD", "bundle.json")),
        *(("reset", "GET", "model.onnx"), ("cut", "GET", "model.onnx"), ("slow", "GET", "model.onnx")),
    ],
)
def test_a_pull_survives_failures_that_pass(server, published, stranger, kind, method, path):
    server.fault(kind, method, path)
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(published)


def test_a_hub_that_keeps_failing_is_an_error_after_a_few_tries(server, published, stranger, person, newer):
    server.fault("fail", "GET", "model.onnx", times=99)
    assert stranger.does("pull", REPO)["error"] == "HubUnreachable"
    assert len([path for method, path in server.requests if method == "GET" and "model.onnx" in path]) == 3
    server.fault("fail", "POST", "/commit/", times=99)
    assert person.does("push", newer, REPO)["error"] == "HubUnreachable"


def test_a_gated_repo_says_where_to_accept_its_terms(server, stranger):
    server.add_repo(REPO, gated=True)
    server.commit(REPO, {"manifest.json": b"{}"})
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubDenied"
    assert "terms" in said["message"]


def test_without_the_hub_the_cached_copy_is_used_and_the_log_says_so(server, published, stranger, person):
    folder = stranger.pulls(REPO)
    server.stop()
    said = stranger.does("pull", REPO)
    assert Path(said["answer"]) == folder
    assert "pulled before" in said["log"]
    said = person.does("pull", REPO)
    assert said["error"] == "HubUnreachable"
    assert server.url in said["message"]


def test_without_the_hub_a_partial_copy_is_not_taken_for_a_bundle(server, published, stranger):
    (stranger.pulls(REPO) / "evidence.json").unlink()
    server.stop()
    assert stranger.does("pull", REPO)["error"] == "HubUnreachable"


def test_a_pulled_bundle_needs_no_network(server, published, stranger):
    folder = stranger.pulls(f"{REPO}@v1.0")
    server.requests.clear()
    assert stranger.pulls(f"{REPO}@{folder.name}") == folder
    assert stranger.pulls(f"{REPO}@v1.0", local_files_only=True) == folder
    stranger.environment["HF_HUB_OFFLINE"] = "1"
    assert stranger.pulls(f"{REPO}@v1.0") == folder
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubUnreachable"
    assert "was not pulled before" in said["message"]
    assert stranger.does("push", published, REPO)["error"] == "HubUnreachable"
    assert server.requests == []


def test_a_cache_that_cannot_be_written_is_an_output_error(server, published, stranger, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = stranger.does("pull", REPO, cache_dir=tmp_path / "file" / "cache")
    assert said["error"] == "OutputError"


def test_a_cache_of_ones_own_is_used_and_no_other(server, published, stranger, tmp_path):
    folder = stranger.pulls(REPO, cache_dir=tmp_path / "mine")
    assert folder.is_relative_to(tmp_path / "mine")
    assert not stranger.cache.exists()
