"""The versioned folder: a pushed bundle comes back byte by byte, for good, and a failed push leaves nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kneeoa_hub import from_pretrained, pull, push
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import AddressError, BundleChanged, BundleError, BundleIncomplete, HubConflict, OutputError
from kneeoa_hub.hub.pull_push import revision_of
from kneeoa_hub.hub.versioned import read_ref
from kneeoa_hub.manifest import write_manifest

from ..support.bundles import contents, make_bundle, tiny_graph


def listing(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_address_that_push_returns_pulls_the_same_bundle(bundle, tmp_path):
    address = push(bundle, tmp_path / "hub", tag="v1.0")
    assert address == f"{(tmp_path / 'hub').as_posix()}@v1.0"
    assert contents(pull(address)) == contents(bundle)


def test_a_relative_folder_gives_a_relative_address(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert push(bundle, "./hub/kneeoa", tag="v1.0") == "./hub/kneeoa@v1.0"
    assert push(bundle, Path("other")).startswith("./other@")
    assert contents(pull("./hub/kneeoa@v1.0")) == contents(bundle)


def test_the_revision_is_the_manifests_hash_and_selects_as_tag_and_newest_do(bundle, newer, tmp_path):
    hub = tmp_path / "hub"
    untagged = push(bundle, hub)
    push(newer, hub, tag="v2.0")
    digest = read_bundle(bundle).digest
    assert untagged.endswith(f"@{digest}")
    assert revision_of(pull(hub, revision=digest)) == revision_of(bundle) == digest
    assert pull(hub) == pull(hub, revision="main") == pull(f"{hub}@v2.0")
    assert contents(pull(hub)) == contents(newer)
    assert contents(pull(untagged)) == contents(bundle)


def test_the_same_bundle_twice_changes_nothing(bundle, newer, tmp_path):
    hub = tmp_path / "hub"
    push(bundle, hub, tag="v1.0")
    push(newer, hub, tag="v2.0")
    before = listing(hub)
    assert push(bundle, hub, tag="v1.0") == f"{hub}@v1.0"
    push(newer, hub, tag="v2.0")
    assert listing(hub) == before


def test_a_tag_never_moves_to_another_bundle(bundle, newer, tmp_path):
    hub = tmp_path / "hub"
    push(bundle, hub, tag="v1.0")
    before = listing(hub)
    with pytest.raises(HubConflict, match="use a new tag"):
        push(newer, hub, tag="v1.0")
    assert listing(hub) == before


def test_a_second_tag_for_the_same_bundle_keeps_one_copy(bundle, tmp_path):
    hub = tmp_path / "hub"
    push(bundle, hub, tag="v1.0")
    push(bundle, hub, tag="stable")
    assert pull(hub, revision="stable") == pull(hub, revision="v1.0")
    assert len(list((hub / "snapshots").iterdir())) == 1


def test_a_kept_copy_does_not_follow_the_bundle_it_came_from(bundle, tmp_path):
    address = push(bundle, tmp_path / "hub", tag="v1.0")
    before = contents(bundle)
    (bundle / "model.onnx").write_bytes(b"another")
    write_manifest(bundle)
    assert contents(pull(address)) == before
    assert not any(path.stat().st_mode & 0o222 for path in pull(address).rglob("*") if path.is_file())


def test_only_the_bundle_and_its_card_are_published(bundle, tmp_path):
    before = contents(bundle)
    (bundle / "notes.txt").write_text("private")
    (bundle / "figures" / "draft.txt").write_text("private")
    assert contents(pull(push(bundle, tmp_path / "hub"))) == before


@pytest.mark.parametrize("number", ["Infinity", "1e400", "1" * 400])
def test_a_number_that_no_machine_holds_is_a_bundle_error(bundle, number):
    text = (bundle / "bundle.json").read_text("utf-8").replace('"temperature": 1.0', f'"temperature": {number}')
    assert number in text
    (bundle / "bundle.json").write_text(text, "utf-8")
    write_manifest(bundle)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "name",
    [
        "run.py",
        "figures/run.py",
        "PICKLE.PKL",
        "pytorch_model.bin",
        "lib.so.1",
        "whole.h5",
        "sub/model.weights.h5",
        ".cache/x.py",
    ],
)
def test_a_file_that_could_run_code_is_refused_by_name_at_every_load_and_push(bundle, tmp_path, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"print()")
    for call in (lambda: pull(bundle), lambda: push(bundle, tmp_path / "hub"), lambda: read_bundle(bundle)):
        with pytest.raises(BundleChanged, match=f"{re.escape(name)} could run code"):
            call()
    write_manifest(bundle)
    with pytest.raises(BundleChanged, match="could run code"):
        pull(bundle)


@pytest.mark.parametrize("start", [b"#!/bin/sh\n", b"MZ\x90", b"\x7fELF"])
@pytest.mark.parametrize("name", ["run", "figures/chart.png", "LICENSE"])
def test_a_file_that_begins_like_a_program_is_refused_whatever_its_name(bundle, name, start):
    (bundle / name).write_bytes(start)
    for _ in range(2):  # unlisted, then listed
        with pytest.raises(BundleChanged, match=f"{name} begins like a program"):
            pull(bundle)
        write_manifest(bundle)


def test_a_graph_whose_weights_lie_in_another_file_is_refused(tmp_path, monkeypatch):
    """A change of that file would change the grades, and no manifest lists it."""
    import onnx

    model = onnx.load_from_string(tiny_graph())
    (tmp_path / "graph").mkdir()
    onnx.save(model, tmp_path / "graph" / "model.onnx", save_as_external_data=True, location="w.png", size_threshold=0)
    bundle = make_bundle(tmp_path / "bundle", model=(tmp_path / "graph" / "model.onnx").read_bytes())
    for place in (bundle, bundle / "figures"):
        shutil.copy(tmp_path / "graph" / "w.png", place)
    monkeypatch.chdir(bundle)
    with pytest.raises(BundleError, match="can't be opened"):
        from_pretrained(bundle)
    with pytest.raises(BundleError, match="can't be opened"):
        push(bundle, tmp_path / "hub")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "../x", "/etc/x", "a//b", "a\\b", "C:x", "é", ""])
def test_a_manifest_with_a_name_that_is_not_plain_is_refused(bundle, name):
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["files"][name] = {"sha256": "0" * 64, "size": 1}
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleChanged, match="not a plain relative name"):
        pull(bundle)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        *((None, "temperature", value) for value in (float("nan"), 0, -1, None)),
        *(("conformal", "threshold", value) for value in ("x", None)),
        *(("conformal", "calibration_films", value) for value in (0, 1.5, True)),
        *(("conformal", "level", value) for value in (1.1, float("inf"))),
        *(("input", "height", value) for value in (256.0, 0, 10**9, "256")),
        *(("input", "low", value) for value in ("x", 99.5, -1)),
        ("input", "high", 200),
        *(("refusal", "max_distance", value) for value in (float("nan"), "1", -1)),
        ("refusal", "mean", [0.0] * 7 + [float("nan")]),
        ("refusal", "components", [[1.0], [1.0, 2.0]]),
        ("refusal", "components", []),
        *((None, "name", value) for value in ("a\x1b[2Jb", "", 5, "x" * 5000)),
        *((None, "protocol", value) for value in ("a\x1b[2Jb", "x" * 5000)),
        *((None, "schema_version", value) for value in (1.0, "1")),
        (None, "schema_version", True),
        (None, "members", 5),
        (None, "surplus", 1),
        ("input", "surplus", 1),
    ],
)
def test_an_impossible_value_of_bundle_json_is_a_bundle_error_at_the_load(bundle, part, name, value):
    document = json.loads((bundle / "bundle.json").read_text("utf-8"))
    (document[part] if part else document)[name] = value
    (bundle / "bundle.json").write_text(json.dumps(document), "utf-8")
    write_manifest(bundle)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        read_bundle(bundle)


def test_of_two_pushes_of_one_new_tag_at_once_one_wins_and_the_other_is_refused(tmp_path):
    hub = tmp_path / "hub"
    push(make_bundle(tmp_path / "first", version="0"), hub)
    bundles = [make_bundle(tmp_path / str(number), version=str(number)) for number in range(1, 5)]

    def pushed(bundle: Path) -> str:
        try:
            return push(bundle, hub, tag="v1.0")
        except HubConflict:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(pushed, bundles))
    assert sorted(said) == sorted([f"{hub}@v1.0", "refused", "refused", "refused"])
    assert contents(pull(hub, revision="v1.0")) == contents(bundles[said.index(f"{hub}@v1.0")])
    assert list((hub / "refs").glob(".*")) == []
    assert read_ref(hub, "main") == read_ref(hub, "v1.0")
    assert len(list((hub / "snapshots").iterdir())) == 2  # nothing of a refused push stays


def test_a_changed_copy_is_refused_by_pull_and_by_push(bundle, tmp_path):
    address = push(bundle, tmp_path / "hub", tag="v1.0")
    model = pull(address) / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(model.read_bytes()[::-1])
    with pytest.raises(BundleChanged, match=r"model\.onnx"):
        pull(address)
    with pytest.raises(BundleChanged, match=r"Remove .* and push again"):
        push(bundle, tmp_path / "hub", tag="v1.0")


def test_a_push_that_was_cut_off_before_its_tag_is_finished_by_the_next(bundle, tmp_path):
    hub = tmp_path / "hub"
    push(bundle, hub)
    (hub / "refs" / "main").unlink()
    assert contents(pull(push(bundle, hub, tag="v1.0"))) == contents(pull(hub)) == contents(bundle)


def test_a_push_that_was_killed_between_its_tag_and_main_is_finished_by_the_next(bundle, tmp_path):
    hub = tmp_path / "hub"
    push(make_bundle(tmp_path / "old", version="0"), hub, tag="v0")
    before = read_ref(hub, "main")
    push(bundle, hub, tag="v1.0")
    (hub / "refs" / ".next").write_text((hub / "refs" / "v1.0").read_text())
    (hub / "refs" / "main").write_text(f"{before}\n")
    push(bundle, hub, tag="v1.0")
    assert read_ref(hub, "main") == read_ref(hub, "v1.0")
    assert list((hub / "refs").glob(".*")) == []


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_bundle_is_refused_before_anything_is_written(bundle, tmp_path, damage):
    if damage == "changed":
        (bundle / "model.onnx").write_bytes(b"another")
    else:
        (bundle / "model.onnx").unlink()
    with pytest.raises((BundleChanged, BundleIncomplete), match=r"model\.onnx"):
        push(bundle, tmp_path / "hub", tag="v1.0")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("v1.O", "Did you mean 'v1.0'?"), ("zzz", "It has main, v1.0."), ("0123456789ab", "has no revision")],
)
def test_an_unknown_revision_names_those_that_are_there(bundle, tmp_path, wanted, message):
    push(bundle, tmp_path / "hub", tag="v1.0")
    with pytest.raises(AddressError) as caught:
        pull(tmp_path / "hub", revision=wanted)
    assert message in caught.value.message


def test_a_tag_cannot_point_out_of_the_folder(bundle, tmp_path):
    push(bundle, tmp_path / "hub", tag="v1.0")
    (tmp_path / "hub" / "refs" / "v1.0").write_text("../../bundle\n")
    with pytest.raises(AddressError, match="no such snapshot"):
        pull(tmp_path / "hub", revision="v1.0")


@pytest.mark.parametrize("tag", ["main", "", "v 1", "../v1", ".v1", "a/b", "0123456789ab"])
def test_a_tag_that_could_be_taken_for_something_else_is_refused(bundle, tmp_path, tag):
    with pytest.raises(AddressError, match=r"v1\.0"):
        push(bundle, tmp_path / "hub", tag=tag)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(("address", "message"), [("kneeoa-cnn", "'./kneeoa-cnn'"), ("./hub@v1", "leave out @v1")])
def test_a_push_needs_a_folder_or_a_repo_without_a_revision(bundle, address, message):
    with pytest.raises(AddressError) as caught:
        push(bundle, address)
    assert message in caught.value.message


def test_a_push_into_a_bundle_or_a_folder_of_other_things_is_refused(bundle, newer, tmp_path):
    with pytest.raises(AddressError, match="is itself a bundle"):
        push(newer, bundle)
    with pytest.raises(AddressError, match="holds other things"):
        push(newer, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "newer"]


def test_a_dry_run_finds_a_conflict_and_writes_nothing(bundle, newer, tmp_path):
    hub = tmp_path / "hub"
    assert push(bundle, hub, tag="v1.0", dry_run=True) == f"{hub}@v1.0"
    assert not hub.exists()
    push(bundle, hub, tag="v1.0")
    before = listing(hub)
    with pytest.raises(HubConflict):
        push(newer, hub, tag="v1.0", dry_run=True)
    push(newer, hub, tag="v2.0", dry_run=True)
    assert listing(hub) == before


def test_a_place_where_no_folder_can_be_made_is_an_output_error_and_stays_as_it_was(bundle, tmp_path):
    (tmp_path / "file").write_text("mine")
    for hub in (tmp_path / "file", tmp_path / "file" / "hub"):
        with pytest.raises(OutputError, match="can't be written"):
            push(bundle, hub, tag="v1.0")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_tag_that_cannot_be_written_is_an_output_error(bundle, tmp_path):
    hub = tmp_path / "hub"
    (hub / "refs" / "v1.0").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"v1\.0"):
        push(bundle, hub, tag="v1.0")
    assert list(hub.rglob(".*")) == []


FULL = """
import resource, sys
from kneeoa_hub import KneeOAError, push
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    push(sys.argv[1], sys.argv[2], tag="v1.0")
except KneeOAError as error:
    print(type(error).__name__, error.message)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size to stand for a full disk")
def test_a_disk_that_takes_no_more_bytes_is_an_output_error_and_nothing_half_written_is_left(bundle, tmp_path):
    """The system refuses to write over 8 kB to a file, as a full disk does in the middle of model.onnx."""
    (tmp_path / "hubs").mkdir()
    hub = tmp_path / "hubs" / "new" / "hub"
    done = subprocess.run([sys.executable, "-c", FULL, bundle, hub], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("OutputError")
    assert list((tmp_path / "hubs").iterdir()) == []
    push(bundle, hub, tag="v1.0")
    before = listing(hub)
    larger = make_bundle(tmp_path / "larger", version="2.0")
    done = subprocess.run([sys.executable, "-c", FULL, larger, hub], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HubConflict")
    done = subprocess.run(
        [sys.executable, "-c", FULL.replace("v1.0", "v2.0"), larger, hub], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("OutputError")
    after = listing(hub)
    folders = ("snapshots", "refs")  # of the push that failed, each held a file for a while
    assert {name: time for name, time in after.items() if name not in folders} == {
        k: v for k, v in before.items() if k not in folders
    }


def test_the_package_and_its_hub_load_no_client_until_a_repo_is_asked_for():
    check = (
        "import sys, kneeoa_hub.hub.pull_push; assert not {'huggingface_hub', 'httpx2', 'onnxruntime'} &"
        " set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
