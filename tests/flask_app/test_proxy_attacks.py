"""Forged forwarding headers, hosts and prefixes, and bodies that are not HTTP."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from flask_app import create_app
from kneeoa_hub import KneeGrader
from kneeoa_hub.settings import Settings

from ..support.flask_requests import post
from ..support.flask_serving import connected, ready, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app as its own process, and the file of its log."""
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(log=log) as (address, _):
        ready(address)
        yield address, log


def said(address: str, request: bytes) -> bytes:
    """Send bytes, and return the response until the server closes the connection."""
    with connected(address) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize("path", ["/about//figures/x.png", "/about///figures/x.png?a=//b", "/samples//mild.png"])
def test_a_redirect_does_not_lead_to_a_forged_host(grader: KneeGrader, path: str):
    answer = create_app(Settings(), grader).test_client().get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 308
    assert re.match(r"/(?!/)", answer.headers["Location"])
    assert "evil.example" not in answer.headers["Location"]


def test_a_key_named_like_an_address_has_a_budget_of_its_own(grader: KneeGrader, tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text(f"127.0.0.1:{hashlib.sha256(b'secret').hexdigest()}\n")
    client: FlaskClient = create_app(Settings(api_keys=str(keys), rate_limit="1 per hour"), grader).test_client()
    bearer = {"Authorization": "Bearer secret"}
    assert client.post("/api/v1/grade", data=b"x", headers=bearer, content_type="image/png").status_code == 415
    assert client.post("/api/v1/grade", data=b"x", headers=bearer, content_type="image/png").status_code == 429
    assert post(client, "/", b"x").status_code != 429


def test_a_script_name_from_this_machine_changes_no_path(served: tuple[str, Path]):
    address, _ = served
    for name in (b"SCRIPT_NAME", b"Script_Name", b"PATH_INFO"):
        head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + name + b": /health\r\nConnection: close\r\n\r\n"
        answer = said(address, head)
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), answer
        if answer.startswith(b"HTTP/1.1 200"):
            assert answer.endswith(said(address, head.replace(name, b"X-Other")).partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nx\r\n0\r\n\r\n",
        b"-1\r\nx\r\n0\r\n\r\n",
        b"5\r\nab",
        b"2\r\nabXX0\r\n\r\n",
        b"1;\0\r\na\r\n0\r\n\r\n",
        b"f" * 40,
    ],
)
@pytest.mark.parametrize("kind", [b"image/png", b"multipart/form-data; boundary=b"])
def test_a_chunked_body_that_is_not_http_is_a_bad_request(served: tuple[str, Path], body: bytes, kind: bytes):
    address, log = served
    head = b"POST /api/v1/grade HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    with connected(address) as connection:
        connection.sendall(head + b"Content-Type: " + kind + b"\r\n\r\n" + body)
        connection.shutdown(1)
        answer = connection.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert "Traceback" not in log.read_text()
