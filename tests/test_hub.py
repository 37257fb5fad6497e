"""Push to and pull from a Hub, with the unmodified client against the local server, through the faults that happen."""

import subprocess
import sys
from pathlib import Path

import pytest

from kneeoa_hub import push
from kneeoa_hub.errors import AddressError

from .bundles import CARD, contents, make_bundle
from .hub_people import REPO, Person
from .hub_server import HubServer


@pytest.fixture
def server():
    with HubServer() as server:
        yield server
        assert server.strays == set(), "a token has left for another host"


@pytest.fixture
def person(server, tmp_path):
    """May write to the Hub."""
    return Person(tmp_path / "home", server.url, "w")


@pytest.fixture
def stranger(server, tmp_path):
    """Has no token, and pulled nothing so far."""
    return Person(tmp_path / "elsewhere", server.url)


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def newer(tmp_path):
    return make_bundle(tmp_path / "newer", version="2.0")


@pytest.fixture
def published(server, person, bundle):
    """The bundle on the Hub as lab/kneeoa@v1.0; what was asked so far is forgotten."""
    assert person.does("push", bundle, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
    server.requests.clear()
    return bundle


def changing(server) -> list[str]:
    """The requests that change something."""
    return [path for method, path in server.requests if method not in ("GET", "HEAD") and path != "/api/validate-yaml"]


def test_a_bundle_is_one_tagged_commit_and_comes_back_byte_by_byte(server, published, stranger):
    _, commit = server.commits(REPO)
    assert server.refs(REPO) == {"main": commit, "v1.0": commit}
    assert {name: content for name, content in server.files(REPO).items() if name != ".gitattributes"} == contents(published)
    said = stranger.does("pull", f"hf://{REPO}@v1.0")
    assert contents(Path(said["answer"])) == contents(published)
    assert said["revision"] == commit


def test_without_a_tag_the_address_pins_the_commit(server, person, bundle, stranger):
    address = person.does("push", bundle, REPO)["answer"]
    assert address == f"{REPO}@{server.commits(REPO)[-1]}"
    assert contents(stranger.pulls(address)) == contents(bundle)


def test_the_same_bundle_twice_makes_no_second_commit(server, published, person):
    commits = server.commits(REPO)
    assert person.does("push", published, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
    assert person.does("push", published, REPO, tag="stable")["answer"] == f"{REPO}@stable"
    assert server.commits(REPO) == commits
    assert server.refs(REPO)["stable"] == commits[-1]


def test_a_tag_never_moves_to_another_bundle(server, published, newer, person):
    commits = server.commits(REPO)
    said = person.does("push", newer, REPO, tag="v1.0")
    assert said["error"] == "HubConflict"
    assert "use a new tag" in said["message"]
    assert server.commits(REPO) == commits


def test_a_newer_bundle_takes_away_what_the_older_left_and_nothing_that_others_added(server, bundle, newer, person, stranger):
    (bundle / "figures" / "old.png").write_bytes((bundle / "figures" / "confusion.png").read_bytes())
    person.does("push", bundle, REPO, tag="v1.0")
    assert "figures/old.png" in server.files(REPO)
    by_hand = {"NOTICE": b"by hand", "figures/ours.png": b"by hand"}
    server.commit(REPO, server.files(REPO) | by_hand)
    person.does("push", newer, REPO, tag="v2.0")
    assert set(server.files(REPO)) == {".gitattributes", *by_hand, *contents(newer)}
    assert contents(stranger.pulls(REPO)) == contents(newer) | {"figures/ours.png": b"by hand"}
    assert contents(stranger.pulls(REPO, revision="v1.0")) == contents(bundle)


def test_a_picture_of_the_card_that_a_person_changed_is_not_lost(server, published, newer, person):
    server.commit(REPO, server.files(REPO) | {"figures/confusion.png": b"theirs"})
    said = person.does("push", newer, REPO, tag="v2.0")
    assert said["error"] == "HubConflict"
    assert "figures/confusion.png was changed" in said["message"]
    person.does("push", newer, REPO, tag="v2.0", edited_card="keep")
    assert server.files(REPO)["figures/confusion.png"] == b"theirs"
    assert server.files(REPO)["bundle.json"] == (newer / "bundle.json").read_bytes()
    person.does("push", published, REPO, edited_card="replace")
    assert server.files(REPO)["figures/confusion.png"] == (published / "figures" / "confusion.png").read_bytes()


def test_a_dry_run_asks_and_sends_nothing(server, bundle, newer, person):
    assert person.does("push", bundle, REPO, tag="v1.0", dry_run=True)["answer"] == f"{REPO}@v1.0"
    assert changing(server) == []
    person.does("push", bundle, REPO, tag="v1.0")
    server.requests.clear()
    assert person.does("push", newer, REPO, tag="v1.0", dry_run=True)["error"] == "HubConflict"
    assert changing(server) == []


def test_a_damaged_bundle_is_refused_before_anything_is_asked(server, bundle, person):
    (bundle / "model.onnx").write_bytes(b"another")
    assert person.does("push", bundle, REPO)["error"] == "BundleChanged"
    assert server.requests == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_card_that_the_hub_does_not_accept_makes_no_repo(server, person, tmp_path, dry_run):
    bundle = make_bundle(tmp_path / "bundle", card=CARD.replace("cc-by-4.0", "my-own"))
    said = person.does("push", bundle, REPO, dry_run=dry_run)
    assert said["error"] == "HubError"
    assert "license" in said["message"]
    assert ("models", REPO) not in server.repos


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("token", [None, "r", "unknown", "expired"])
def test_a_push_needs_a_token_that_may_write(server, bundle, tmp_path, token, dry_run):
    said = Person(tmp_path / "home", server.url, token).does("push", bundle, REPO, dry_run=dry_run)
    assert said["error"] == "HubDenied"
    assert "may read only" in said["message"] if token == "r" else "HF_TOKEN" in said["message"]
    assert ("models", REPO) not in server.repos


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_push_to_another_s_account_is_denied(server, bundle, person, dry_run):
    said = person.does("push", bundle, "stranger/kneeoa", dry_run=dry_run)
    assert said["error"] == "HubDenied"
    assert "no account or organisation stranger; push to one of lab" in said["message"]


def test_a_client_that_cannot_be_loaded_is_told_by_the_command_too(bundle, person):
    environment = person.environment | {"HF_HUB_DOWNLOAD_TIMEOUT": "soon"}
    command = [sys.executable, "-m", "kneeoa_hub.cli", "push", str(bundle), REPO]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "huggingface_hub can't be loaded" in done.stderr


def test_a_token_that_is_none_is_refused_and_not_quoted(server, published, person):
    for name, arguments in (("pull", [REPO]), ("push", [published, REPO])):
        said = person.does(name, *arguments, token="hf_SECRET\nX")
        assert said["error"] == "HubDenied"
        assert "SECRET" not in said["message"]
    assert server.requests == []
    assert person.does("pull", REPO, token=" w\n")["answer"]


@pytest.mark.parametrize("options", [{"private": True}, {"branch": "next"}, {"edited_card": "keep"}, {"message": "x"}, {"pull_request": True}])
def test_what_only_a_hub_can_do_is_not_asked_of_a_folder(bundle, tmp_path, options):
    with pytest.raises(AddressError, match="which has no"):
        push(bundle, tmp_path / "hub", **options)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("answer", ["{}", "[]", "null", "3"])
def test_json_that_is_no_hub_s_is_told_as_such(server, stranger, answer):
    server.fault(f"says {answer}", "GET", "/api/models/", times=99)
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubUnreachable"
    assert "check HF_ENDPOINT" in said["message"]


@pytest.mark.parametrize("variable", [{"HF_ENDPOINT": "http://[bad"}, {"HF_ENDPOINT": "http://localhost:99999"}, {"ALL_PROXY": "socks5://127.0.0.1:1"}])
def test_an_endpoint_or_a_proxy_that_can_t_be_is_told(server, stranger, variable):
    stranger.environment.update(variable)
    said = stranger.does("pull", REPO)
    assert said["error"] in ("HubUnreachable", "SettingsError", "HubError")
    assert any(word in said["message"] for word in ("check HF_ENDPOINT and the proxy", "can't be loaded with HF_ENDPOINT", "Port out of range"))


def test_a_private_repo_is_pulled_with_a_token_alone(server, person, bundle, stranger):
    person.does("push", bundle, REPO, private=True)
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubDenied"
    assert "HF_TOKEN" in said["message"]
    assert contents(stranger.pulls(REPO, token="r")) == contents(bundle)


def test_what_the_hub_does_not_have_is_named(server, published, person):
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


def test_a_card_that_a_person_edited_is_not_lost(server, published, newer, person, stranger):
    edited = server.files(REPO)["README.md"] + b"Our hospital uses it.\n"
    server.commit(REPO, server.files(REPO) | {"README.md": edited})
    commits = server.commits(REPO)
    for options in ({}, {"dry_run": True}):
        said = person.does("push", newer, REPO, tag="v2.0", **options)
        assert said["error"] == "HubConflict"
        assert "--edited-card keep" in said["message"]
    assert server.commits(REPO) == commits
    assert "v2.0" not in server.refs(REPO)
    person.does("push", newer, REPO, tag="v2.0", edited_card="keep")
    assert server.files(REPO)["README.md"] == edited
    assert server.files(REPO)["bundle.json"] == (newer / "bundle.json").read_bytes()


def test_an_edited_card_is_replaced_when_that_is_asked_for_and_known_again_afterwards(server, published, newer, person, tmp_path):
    server.commit(REPO, server.files(REPO) | {"README.md": b"mine"})
    assert person.does("push", newer, REPO, edited_card="replace")["answer"]
    assert server.files(REPO)["README.md"] == (newer / "README.md").read_bytes()
    third = make_bundle(tmp_path / "third", version="3.0", card=CARD + "New words.\n")
    assert person.does("push", third, REPO, tag="v3.0")["answer"] == f"{REPO}@v3.0"


def test_a_branch_is_made_and_main_stays_as_it_was(server, published, newer, person, stranger):
    main = server.refs(REPO)["main"]
    address = person.does("push", newer, REPO, branch="next")["answer"]
    assert server.refs(REPO)["main"] == main
    assert address == f"{REPO}@{server.refs(REPO)['next']}"
    assert contents(stranger.pulls(f"{REPO}@next")) == contents(newer)
    assert contents(stranger.pulls(REPO)) == contents(published)


def test_a_pull_request_changes_nothing_until_it_is_merged(server, published, newer, person, stranger):
    before = server.refs(REPO)
    address = person.does("push", newer, REPO, pull_request=True)["answer"]
    assert {name: commit for name, commit in server.refs(REPO).items() if name != "refs/pr/1"} == before
    assert contents(stranger.pulls(address)) == contents(newer)
    assert person.does("push", newer, REPO, pull_request=True, tag="v2.0")["error"] == "AddressError"


def test_the_same_pull_request_twice_or_cut_in_the_middle_is_one(server, published, newer, person, stranger):
    server.fault("cut", "POST", "/commit/")
    address = person.does("push", newer, REPO, pull_request=True)["answer"]
    assert person.does("push", newer, REPO, pull_request=True)["answer"] == address
    assert [name for name in server.refs(REPO) if name.startswith("refs/pr/")] == ["refs/pr/1"]
    assert contents(stranger.pulls(address)) == contents(newer)


def test_a_branch_is_not_called_as_a_tag_is(server, published, newer, person):
    said = person.does("push", newer, REPO, branch="v1.0")
    assert said["error"] == "HubConflict"
    assert "v1.0" not in server.repos["models", REPO].branches


@pytest.mark.parametrize("answer", ["another", ""])
def test_a_commit_that_was_asked_for_is_the_one_that_comes_or_none(server, published, newer, person, stranger, answer):
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
def test_a_cache_that_cannot_be_read_is_told(server, published, stranger, what):
    folder = stranger.pulls(f"{REPO}@v1.0")
    path = (folder / "manifest.json").resolve() if what == "manifest" else folder.parent.parent / what
    path.chmod(0)
    try:
        for offline in (True, False):
            said = stranger.does("pull", f"{REPO}@v1.0", guest=True, local_files_only=offline)
            if offline or "error" in said:  # with the network what can't be read may be fetched anew
                assert said["error"] in ("BundleError", "BundleIncomplete", "OutputError"), said
                assert "can't be" in said["message"] or "missing" in said["message"]
    finally:
        path.chmod(0o755)


def test_a_pull_request_may_go_to_another_s_repo_and_nothing_else_may(server, bundle, person):
    server.add_repo("others/knees")
    before = server.commits("others/knees")
    told = person.does("push", bundle, "others/knees")
    assert told["error"] == "HubDenied"
    assert "lab" in told["message"]
    assert "answer" in person.does("push", bundle, "others/knees", pull_request=True)
    assert "model.onnx" not in server.files("others/knees")
    added = [commit for commit in server.commits("others/knees") if commit not in before]
    assert list(server.refs("others/knees")) == ["main", "refs/pr/1"]
    assert added == [server.refs("others/knees")["refs/pr/1"]]


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


def test_what_should_be_private_does_not_go_to_a_public_repo(server, published, newer, person):
    commits = server.commits(REPO)
    for options in ({}, {"dry_run": True}, {"tag": "v1.0"}):
        said = person.does("push", published if "tag" in options else newer, REPO, private=True, **options)
        assert said["error"] == "HubConflict"
        assert "everybody can read it" in said["message"]
    assert server.commits(REPO) == commits


def test_a_card_with_new_words_is_one_more_commit_of_the_same_bundle(server, published, person):
    card = published / "README.md"
    card.write_text(CARD + "New words.\n", "utf-8")
    person.does("push", published, REPO)
    assert server.files(REPO)["README.md"] == card.read_bytes()
    commits = server.commits(REPO)
    person.does("push", published, REPO)
    assert server.commits(REPO) == commits


def test_the_same_bundle_again_leaves_a_card_that_a_person_edited(server, published, person):
    edited = server.files(REPO)["README.md"] + b"Our hospital uses it.\n"
    commit = server.commit(REPO, server.files(REPO) | {"README.md": edited})
    assert person.does("push", published, REPO, tag="stable")["answer"] == f"{REPO}@stable"
    assert server.refs(REPO)["stable"] == commit
    assert server.files(REPO)["README.md"] == edited


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=stranger.environment, timeout=120)
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
def test_a_file_that_changed_in_the_cache_is_fetched_again_and_refused_without_a_network(server, published, stranger, name):
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
def test_a_pull_survives_what_passes(server, published, stranger, kind, method, path):
    server.fault(kind, method, path)
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(published)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(("fail", path) for path in ("/api/repos/create", "/api/validate-yaml", "/preupload/", "/commit/", "/tag/")),
        *(("cut", path) for path in ("/commit/", "/tag/")),
    ],
)
def test_a_push_survives_what_passes_and_still_makes_one_commit(server, bundle, person, stranger, kind, path):
    server.fault(kind, "POST", path)
    assert person.does("push", bundle, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
    assert len(server.commits(REPO)) == 2
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(bundle)


def test_a_hub_that_stays_out_of_order_is_an_error_after_a_few_tries(server, published, stranger, person, newer):
    server.fault("fail", "GET", "model.onnx", times=99)
    assert stranger.does("pull", REPO)["error"] == "HubUnreachable"
    assert len([path for method, path in server.requests if method == "GET" and "model.onnx" in path]) == 3
    server.fault("fail", "POST", "/commit/", times=99)
    assert person.does("push", newer, REPO)["error"] == "HubUnreachable"


def test_a_hub_that_never_answers_is_given_up(server, bundle, person):
    server.fault("hang", "POST", "/api/repos/create")
    assert person.does("push", bundle, REPO)["error"] == "HubUnreachable"


def test_a_gated_repo_says_where_to_accept_its_terms(server, stranger):
    server.add_repo(REPO, gated=True)
    server.commit(REPO, {"manifest.json": b"{}"})
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubDenied"
    assert "terms" in said["message"]


def test_without_the_hub_the_copy_of_before_is_used_and_the_log_says_so(server, published, stranger, person):
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


def test_what_was_pulled_once_needs_no_network(server, published, stranger):
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
