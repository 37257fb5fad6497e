"""Films that a visitor sent to the demo by any route are deleted after a while."""

import asyncio
import base64
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest

from spaces.demo.cleanup import sweep

from ..support.ports import free_port
from ..support.space_serving import ROOT, launched, upload
from ..support.waiting import until

QUICK = (
    "import runpy, spaces.demo.cleanup as cleanup; cleanup.DELETE_EVERY_S, cleanup.DELETE_AFTER_S = 0.2, 5;"
    " runpy.run_module('spaces.app', run_name='__main__')"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return tmp_path / "films"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The demo's address. The program keeps films in the folder for five seconds, and deletes them at its end."""
    environ = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "GRADIO_SERVER_PORT": str(free_port()),
        "GRADIO_TEMP_DIR": str(folder),
        # Hospitals and desktops set these; Gradio alone would fail at its start.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks://127.0.0.1:1080",
        "SSL_CERT_FILE": "/nowhere.pem",
    }
    with launched([sys.executable, "-c", QUICK], ROOT, environ) as url:
        yield f"{url}/"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_every_upload_is_deleted_and_lies_in_a_folder_of_the_program(folder: Path, films: dict[str, Path]):
    """Sent by a form, by an assistant as a data: address, by a form that was interrupted, and just before the end."""
    film = films["mild"].read_bytes()
    with running(folder) as url:
        (path,) = upload(url, film)
        assert Path(path).exists()
        assert Path(path).is_relative_to(folder)
        assert "kneeoa-films-" in path
        asyncio.run(sent_by_an_assistant(url, film))
        came = len(files(folder))
        assert came >= 2
        place = urlparse(url)
        with socket.create_connection((place.hostname, place.port)) as connection:
            head = (
                f"POST /gradio_api/upload HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: multipart/form-data;"
                " boundary=b\r\nContent-Length: 9000000\r\n\r\n"
            )
            part = '--b\r\nContent-Disposition: form-data; name="files"; filename="film.png"\r\n\r\n'
            connection.sendall(head.encode() + part.encode() + bytes(3_000_000))
        until(lambda: not files(folder))
        (path,) = upload(url, film)  # and it goes on
        assert Path(path).exists()
    assert files(folder) == []


async def sent_by_an_assistant(url: str, film: bytes) -> None:
    """Have a film graded that is sent as a data: address."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = (await session.list_tools()).tools
        data = "data:image/png;base64," + base64.b64encode(film).decode()
        name = next(tool.name for tool in tools if tool.name.endswith("grade"))
        assert not (await session.call_tool(name, {"film": data})).isError


def test_a_cleanup_deletes_old_files_and_leaves_new_ones(folder: Path):
    old, new = folder / "a" / "b" / "old.png", folder / "c" / "new.png"
    for path in (old, new):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"film")
    for path in (old, old.parent, old.parent.parent):
        os.utime(path, (1, 1))
    sweep(folder, 600)
    assert files(folder) == [new]
    for path in (folder / "a" / "b", folder / "a"):
        if path.exists():  # a folder counts as written when something in it is deleted
            os.utime(path, (1, 1))
    sweep(folder, 600)
    assert not (folder / "a" / "b").exists()
