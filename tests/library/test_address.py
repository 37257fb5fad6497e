"""The forms of an address, and the errors for a wrong one."""

from pathlib import Path

import pytest

from kneeoa_hub import pull
from kneeoa_hub.errors import AddressError, BundleIncomplete
from kneeoa_hub.hub import presets
from kneeoa_hub.hub.address import Folder, Repo, Shipped, parse_address

from ..support.bundles import make_bundle


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("kneeoa-cnn", Shipped("kneeoa-cnn")),
        ("./hub", Folder(Path("hub"))),
        (".", Folder(Path())),
        ("..", Folder(Path(".."))),
        ("../models/a", Folder(Path("../models/a"))),
        ("/srv/models/a", Folder(Path("/srv/models/a"))),
        ("./hub/kneeoa@v1.0", Folder(Path("hub/kneeoa"), "v1.0")),
        ("/home/user@host/kneeoa", Folder(Path("/home/user@host/kneeoa"))),
        (Path("hub/kneeoa"), Folder(Path("hub/kneeoa"))),
        (Path("hub/kneeoa@v1.0"), Folder(Path("hub/kneeoa"), "v1.0")),
        ("C:\\models", Folder(Path("C:\\models"))),
        ("C:/models/a", Folder(Path("C:/models/a"))),
        (".\\models", Folder(Path(".\\models"))),
        ("\\\\server\\share", Folder(Path("\\\\server\\share"))),
        ("org/name", Repo("org/name")),
        ("hf://org/name", Repo("org/name")),
        ("org/name@v1.0", Repo("org/name", "v1.0")),
        ("hf://org/na.me_x@refs/pr/1", Repo("org/na.me_x", "refs/pr/1")),
    ],
)
def test_an_address_means_a_shipped_name_a_folder_or_a_hub_repo(address, meaning):
    assert parse_address(address) == meaning


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_address("~/models@v1") == Folder(tmp_path / "models", "v1")


def test_a_revision_may_be_given_beside_the_address():
    assert parse_address("org/name", "v1.0") == Repo("org/name", "v1.0")
    assert parse_address(Path("hub"), "v1.0") == Folder(Path("hub"), "v1.0")


def test_a_folder_whose_own_name_holds_an_at_sign_is_found(tmp_path):
    (tmp_path / "model@home").mkdir()
    assert parse_address(tmp_path / "model@home") == Folder(tmp_path / "model@home")
    assert parse_address(f"{tmp_path}/model@home@v1") == Folder(tmp_path / "model@home", "v1")


@pytest.mark.parametrize(
    ("address", "revision", "message"),
    [
        ("org/name@v1", "v2", "leave one out"),
        ("./hub@v1", "v2", "leave one out"),
        ("org/name@", None, "is not a revision"),
        ("./hub@", None, "is not a revision"),
        ("org/name", "", "is not a revision"),
        ("org/name@../../secret", None, "is not a revision"),
        ("./hub@..", None, "is not a revision"),
        ("org/name@" + "a" * 300, None, "is not a revision"),
        ("kneeoa-cnn@v1", None, "shipped name, which has no revisions"),
        ("kneeoa-cnn", "v1", "shipped name, which has no revisions"),
        ("", None, "leave it out for the shipped model"),
        ("org/name/more", None, "('./org/name/more')"),
        ("hf://name", None, "A repo on the Hub is 'org/name'"),
        ("org/../name", None, "is not an address"),
        ("https://huggingface.co/org/name", None, "write 'org/name'"),
        ("~no-such-person-here/x", None, "no home folder"),
    ],
)
def test_a_wrong_address_is_an_error_that_says_how_to_write_it(address, revision, message):
    with pytest.raises(AddressError) as caught:
        parse_address(address, revision)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "guess"),
    [("kneeoa-cn", " Did you mean 'kneeoa-cnn'?"), ("KneeOA-CNN", " Did you mean 'kneeoa-cnn'?"), ("zzz", "")],
)
def test_a_misspelt_name_suggests_the_nearest_and_the_other_forms(name, guess):
    with pytest.raises(AddressError) as caught:
        pull(name)
    assert (
        caught.value.message
        == f"No shipped model is called {name!r}.{guess} Shipped: kneeoa-cnn. A folder is written './{name}', a repo"
        " on the Hub 'org/name'."
    )


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    preset = presets.Preset("kneeoa-cnn", "a test's bundle", "CC BY 4.0", make_bundle(tmp_path / "shipped"))
    monkeypatch.setitem(presets.PRESETS, preset.name, preset)
    return preset.folder


def test_without_an_address_the_shipped_bundle_is_pulled_and_its_name_does_the_same(shipped):
    assert pull() == pull("kneeoa-cnn") == shipped


def test_a_shipped_bundle_is_checked_on_every_pull(shipped):
    pull()
    (shipped / "model.onnx").unlink()
    with pytest.raises(BundleIncomplete, match=r"model\.onnx"):
        pull()


def test_the_list_of_shipped_models_reads_its_figures_from_the_evidence(shipped):
    (model,) = presets.list_pretrained()
    assert (model.name, model.version, model.licence) == ("kneeoa-cnn", "1.0", "CC BY 4.0")
    assert model.size == sum(path.stat().st_size for path in shipped.iterdir() if path.is_file())
    assert model.figures == (presets.Figure("oai_test", "qwk", 0.801, 0.778, 0.822, 828),)
    assert "QWK 0.801 (0.778 to 0.822; OAI, test half, 828 knees)" in str(model)


def test_a_folder_that_is_not_there_suggests_its_nearest_neighbour(tmp_path):
    make_bundle(tmp_path / "kneeoa")
    with pytest.raises(AddressError, match=r"Did you mean '.*kneeoa'\?"):
        pull(tmp_path / "kneeao")


def test_a_plain_bundle_has_no_revisions(tmp_path):
    with pytest.raises(AddressError, match="not a versioned folder"):
        pull(make_bundle(tmp_path / "bundle"), revision="v1")
