"""A Hub, its users and their bundles, for the tests of the library."""

import pytest

from ..support.bundles import make_bundle
from ..support.hub_people import Person
from ..support.hub_scene import first_push
from ..support.hub_server import HubServer


@pytest.fixture
def server():
    with HubServer() as server:
        yield server
        assert server.strays == set(), "a token has left for another host"


@pytest.fixture
def person(server, tmp_path):
    """A user with a token that may write to the Hub."""
    return Person(tmp_path / "home", server.url, "w")


@pytest.fixture
def stranger(server, tmp_path):
    """A user without a token and with an empty cache."""
    return Person(tmp_path / "elsewhere", server.url)


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def newer(tmp_path):
    return make_bundle(tmp_path / "newer", version="2.0")


@pytest.fixture
def published(server, bundle):
    """The bundle on the Hub as lab/kneeoa@v1.0."""
    server.hold(first_push())
    return bundle
