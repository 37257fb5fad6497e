"""A push to the local Hub with the unmodified client makes one commit and one tag, and loses nothing of others."""

import subprocess
import sys
from pathlib import Path

import pytest

from kneeoa_hub import push
from kneeoa_hub.errors import AddressError

from ..support.bundles import CARD, contents, make_bundle
from ..support.hub_people import REPO, Person

pytestmark = pytest.mark.slow


def changing(server) -> list[str]:
    """The requests that change something."""
    return [path for method, path in server.requests if method not in ("GET", "HEAD") and path != "/api/validate-yaml"]


def test_a_bundle_is_one_tagged_commit_and_comes_back_byte_by_byte(server, published, stranger):
    _, commit = server.commits(REPO)
    assert server.refs(REPO) == {"main": commit, "v1.0": commit}
    assert {name: content for name, content in server.files(REPO).items() if name != ".gitattributes"} == contents(
        published
    )
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


def test_a_newer_bundle_takes_away_what_the_older_left_and_nothing_that_others_added(
    server, bundle, newer, person, stranger
):
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
    assert "may only read" in said["message"] if token == "r" else "HF_TOKEN" in said["message"]
    assert ("models", REPO) not in server.repos


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_push_to_another_s_account_is_denied(server, bundle, person, dry_run):
    said = person.does("push", bundle, "stranger/kneeoa", dry_run=dry_run)
    assert said["error"] == "HubDenied"
    assert "no account or organisation stranger; push to one of lab" in said["message"]


def test_the_command_explains_a_client_that_cannot_be_loaded(bundle, person):
    environment = person.environment | {"HF_HUB_DOWNLOAD_TIMEOUT": "soon"}
    command = [sys.executable, "-m", "kneeoa_hub.cli", "push", str(bundle), REPO]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "huggingface_hub can't be loaded" in done.stderr


def test_a_malformed_token_is_refused_and_not_quoted(server, published, person):
    for name, arguments in (("pull", [REPO]), ("push", [published, REPO])):
        said = person.does(name, *arguments, token="hf_SECRET\nX")
        assert said["error"] == "HubDenied"
        assert "SECRET" not in said["message"]
    assert server.requests == []
    assert person.does("pull", REPO, token=" w\n")["answer"]


@pytest.mark.parametrize(
    "options",
    [{"private": True}, {"branch": "next"}, {"edited_card": "keep"}, {"message": "x"}, {"pull_request": True}],
)
def test_options_of_a_repo_are_refused_for_a_folder(bundle, tmp_path, options):
    with pytest.raises(AddressError, match="which has no"):
        push(bundle, tmp_path / "hub", **options)
    assert not (tmp_path / "hub").exists()


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


def test_an_edited_card_is_replaced_when_that_is_asked_for_and_known_again_afterwards(
    server, published, newer, person, tmp_path
):
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


def test_a_branch_must_not_have_the_name_of_a_tag(server, published, newer, person):
    said = person.does("push", newer, REPO, branch="v1.0")
    assert said["error"] == "HubConflict"
    assert "v1.0" not in server.repos["models", REPO].branches


def test_a_pull_request_may_go_to_another_s_repo_and_nothing_else_may(server, bundle, person):
    server.add_repo("others/knees")
    before = server.commits("others/knees")
    result = person.does("push", bundle, "others/knees")
    assert result["error"] == "HubDenied"
    assert "lab" in result["message"]
    assert "answer" in person.does("push", bundle, "others/knees", pull_request=True)
    assert "model.onnx" not in server.files("others/knees")
    added = [commit for commit in server.commits("others/knees") if commit not in before]
    assert list(server.refs("others/knees")) == ["main", "refs/pr/1"]
    assert added == [server.refs("others/knees")["refs/pr/1"]]


def test_a_private_bundle_does_not_go_to_a_public_repo(server, published, newer, person):
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


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(("fail", path) for path in ("/api/repos/create", "/api/validate-yaml", "/preupload/", "/commit/", "/tag/")),
        *(("cut", path) for path in ("/commit/", "/tag/")),
    ],
)
def test_a_push_survives_failures_that_pass_and_still_makes_one_commit(server, bundle, person, stranger, kind, path):
    server.fault(kind, "POST", path)
    assert person.does("push", bundle, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
    assert len(server.commits(REPO)) == 2
    assert contents(stranger.pulls(f"{REPO}@v1.0")) == contents(bundle)


def test_a_hub_that_never_answers_is_given_up(server, bundle, person):
    server.fault("hang", "POST", "/api/repos/create")
    assert person.does("push", bundle, REPO)["error"] == "HubUnreachable"
