"""The same push and pull with Xet, the chunk store of the Hub, in place of plain large files."""

from pathlib import Path

import pytest

from ..support.bundles import contents, make_bundle
from ..support.hub_people import REPO, Person
from ..support.hub_server import HubServer

pytestmark = pytest.mark.slow

LARGE = ("model.onnx", "model.weights.h5", "figures/confusion.png")


def with_xet(home: Path, endpoint: str, token: str | None = None) -> Person:
    person = Person(home, endpoint, token)
    person.environment["HF_HUB_DISABLE_XET"] = "0"
    return person


@pytest.fixture
def server(tmp_path):
    with HubServer(tmp_path / "cas") as server:
        yield server


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def published(server, bundle, tmp_path):
    for name in LARGE:
        server.announce((bundle / name).read_bytes())
    assert (
        with_xet(tmp_path / "home", server.url, "w").does("push", bundle, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
    )
    return bundle


def asked(server: HubServer, part: str) -> bool:
    return any(part in path for _, path in server.requests)


def test_large_files_go_and_come_as_chunks(server, published, tmp_path):
    assert asked(server, "/xet-write-token/")
    assert not asked(server, "/lfs")
    assert len(server.commits(REPO)) == 2
    server.requests.clear()
    assert contents(with_xet(tmp_path / "elsewhere", server.url).pulls(f"{REPO}@v1.0")) == contents(published)
    assert asked(server, "/xet-read-token/")
    assert not asked(server, "/cdn/")


def test_someone_without_xet_gets_the_same_files(server, published, tmp_path):
    assert contents(Person(tmp_path / "elsewhere", server.url).pulls(f"{REPO}@v1.0")) == contents(published)
    assert asked(server, "/cdn/")


def test_changed_chunks_are_not_a_model(server, published, tmp_path):
    for path in (tmp_path / "cas").rglob("xorbs/xorbs/default.*"):
        if path.suffix != ".tagset":
            path.chmod(0o644)
            content = bytearray(path.read_bytes())
            # which file's chunk comes first is chance, and no manifest lists the picture
            for place in range(20, len(content), 40):
                content[place] ^= 1
            path.write_bytes(content)
    said = with_xet(tmp_path / "elsewhere", server.url).does("pull", f"{REPO}@v1.0")
    assert said["error"] in ("HubError", "HubUnreachable", "BundleChanged", "OutputError"), said


def test_a_file_without_its_chunks_makes_no_commit(server, bundle, tmp_path):
    """The Hub lists the file, but its chunks are in another store."""
    server.announce((bundle / "model.onnx").read_bytes())
    assert server.by_xet(next(iter(server.chunked))) is None
