"""A malicious Hub, and links that lead out of a bundle: no file outside the bundle is written, read or removed."""

import json
import sys
from pathlib import Path

import httpx2
import pytest
from filelock import FileLock

from kneeoa_hub import KneeOAError, pull, push
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import BundleChanged, HubError
from kneeoa_hub.hub.responses import MOST_RESPONSE, check_headers
from kneeoa_hub.manifest import MOST_CARD, MOST_FIGURE, MOST_JSON, MOST_UNLISTED, read_manifest

from ..support.bundles import contents, make_bundle
from ..support.hub_people import REPO

pytestmark = pytest.mark.slow


def around(folder: Path) -> dict[str, bytes]:
    """Every file near the cache that is no part of it."""
    return {name: content for name, content in contents(folder).items() if "elsewhere/" not in name}


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit", "X-Xet-Hash"])
@pytest.mark.parametrize("value", ["/srv/x", "../../x", "..", "a/b", "é" * 64, "A" * 40, "0" * 39, "0" * 40 + "\\x"])
def test_a_header_that_names_a_file_is_a_hash_or_the_answer_is_refused(header, value):
    names = {"X-Repo-Commit": "0" * 40, "ETag": f'"{"0" * 64}"'}
    asked = httpx2.Request("HEAD", "http://hub/lab/kneeoa/resolve/main/README.md")
    check_headers(httpx2.Response(200, headers=names, request=asked), None)
    with pytest.raises(HubError, match=header):
        check_headers(
            httpx2.Response(200, headers={**names, header: value.encode()}, request=asked),
            None,
        )


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
def test_a_hub_with_false_headers_writes_reads_and_removes_nothing(server, published, stranger, tmp_path, header):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    before = around(tmp_path)
    server.fault(f"header {header}: {victim}", "HEAD", "/resolve/", times=99)
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubError", said
    assert header in said["message"]
    assert around(tmp_path) == before
    server.faults.clear()
    assert contents(stranger.pulls(REPO)) == contents(published)


def test_a_commit_named_for_a_file_that_is_missing_makes_no_folder(server, published, stranger, tmp_path):
    server.commit(REPO, {name: content for name, content in server.files(REPO).items() if name != "manifest.json"})
    server.fault("header X-Repo-Commit: ../../../../../planted", "HEAD", "/resolve/", times=99)
    assert "error" in stranger.does("pull", REPO)
    assert not list(tmp_path.rglob("planted"))


@pytest.mark.parametrize("name", ["README.md", "model.onnx", "manifest.json", "figures/confusion.png"])
def test_a_link_planted_in_the_cache_is_replaced_and_what_it_leads_to_stays(
    server, published, stranger, tmp_path, name
):
    folder = stranger.pulls(f"{REPO}@v1.0")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (folder / name).unlink()
    (folder / name).symlink_to(victim)
    offline = stranger.does("pull", f"{REPO}@v1.0", local_files_only=True)
    assert offline["error"] == "BundleChanged"
    assert "leads out of" in offline["message"]
    again = stranger.pulls(f"{REPO}@v1.0")
    assert victim.read_text() == "mine"
    assert contents(again) == contents(published)
    assert not any(path.resolve() == victim for path in again.rglob("*"))


@pytest.mark.parametrize("name", ["README.md", "model.onnx", "evidence.json", "figures"])
def test_a_bundle_with_a_link_that_leaves_it_is_not_loaded_pushed_or_pulled(tmp_path, name):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / name).rename(tmp_path / "outside")
    (bundle / name).symlink_to(tmp_path / "outside")
    for use in (
        lambda: read_bundle(bundle),
        lambda: pull(bundle),
        lambda: push(bundle, tmp_path / "hub", tag="v1.0"),
    ):
        with pytest.raises(BundleChanged, match="leads out of the bundle"):
            use()
    assert not (tmp_path / "hub").exists()


def test_a_link_within_the_bundle_and_a_link_to_the_bundle_are_followed(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "figures" / "again.png").symlink_to("confusion.png")
    (tmp_path / "link").symlink_to(bundle)
    assert read_bundle(tmp_path / "link").config.version == "1.0"


@pytest.mark.parametrize(
    ("name", "size"),
    [("README.md", MOST_CARD + 1), ("figures/a.png", MOST_FIGURE + 1), ("manifest.json", MOST_CARD + 1)],
)
def test_a_file_that_no_manifest_lists_has_a_limit(tmp_path, name, size):
    bundle = make_bundle(tmp_path / "bundle")
    with (bundle / name).open("r+b" if (bundle / name).exists() else "wb") as file:
        file.truncate(size)
    with pytest.raises(BundleChanged, match=f"{size} bytes"):
        read_bundle(bundle)


@pytest.mark.parametrize(("name", "size"), [("model.onnx", 2**31), ("evidence.json", 2**26), ("model.onnx", -(2**40))])
def test_a_manifest_that_lists_gigabytes_is_refused_before_anything_is_pulled(tmp_path, name, size):
    bundle = make_bundle(tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["files"][name]["size"] = size
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleChanged, match=r"at most|fewer than none"):
        read_manifest(bundle)


def test_json_of_the_largest_size_takes_less_than_half_a_gigabyte():
    empty, place = "[],", 8  # no other value takes so much memory for its bytes
    assert (sys.getsizeof([]) + place) / len(empty) * max(MOST_RESPONSE, MOST_JSON) < 256 * 2**20


def test_a_bundle_with_a_flood_of_figures_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    for number in range(MOST_UNLISTED):
        (bundle / "figures" / f"{number}.png").touch()
    with pytest.raises(KneeOAError, match="does not list"):
        read_bundle(bundle)


def test_a_flood_of_figures_on_a_hub_is_not_pulled(server, published, stranger):
    flood = {f"figures/{number}.png": b"picture" for number in range(MOST_UNLISTED)}
    server.commit(REPO, server.files(REPO) | flood)
    assert stranger.does("pull", REPO)["error"] == "BundleChanged"
    assert b"picture" not in [path.read_bytes() for path in stranger.cache.rglob("blobs/*")]


def test_a_card_of_300_mb_is_not_pulled(server, published, stranger):
    server.commit(REPO, server.files(REPO) | {"README.md": b"x" * 3_000_000})
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubError"
    assert "README.md" in said["message"]
    assert sum(path.stat().st_size for path in stranger.cache.rglob("*") if path.is_file()) < 1_000_000


def test_a_listed_file_that_goes_on_and_on_is_cut_at_its_size(server, published, stranger):
    longer = server.files(REPO)["bundle.json"] + b" " * 500_000
    server.commit(REPO, server.files(REPO) | {"bundle.json": longer})
    said = stranger.does("pull", REPO)
    assert said["error"] == "HubError"
    assert "bundle.json" in said["message"]


def test_parts_of_a_killed_download_are_removed_by_the_next_pull_and_those_in_use_stay(server, published, stranger):
    folder = stranger.pulls(REPO)
    blobs = folder.parents[1] / "blobs"
    left, used = blobs / f"{'0' * 64}.01234567.incomplete", blobs / f"{'1' * 64}.01234567.incomplete"
    left.write_bytes(b"part")
    used.write_bytes(b"part")
    with FileLock(stranger.cache / ".locks" / folder.parents[1].name / f"{'1' * 64}.lock"):
        stranger.pulls(REPO)
    assert not left.exists()
    assert used.exists()
