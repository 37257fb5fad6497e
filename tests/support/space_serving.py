"""The demo runs in this process, or as a Space runs it: app.py at the root of a folder, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from playwright.sync_api import Page

from kneeoa_hub import KneeGrader
from kneeoa_hub.settings import Settings

if TYPE_CHECKING:
    import gradio as gr
    from gradio_client import Client

ROOT = Path(__file__).parents[2]
SPACE = {"SPACE_ID": "lab/knees", "SYSTEM": "spaces", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(grader: KneeGrader) -> Iterator[str]:
    """Yield the address of the demo, started in this process as app.py starts it."""
    from spaces.demo.page import build_demo

    with served(build_demo(grader)) as url:
        yield url


@contextmanager
def served(demo: "gr.Blocks", settings: Settings | None = None) -> Iterator[str]:
    """Yield the address of any page, with the demo's own switches."""
    from spaces.demo.serve import serve

    try:
        _, url, _ = serve(demo, settings or Settings(), prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield url
    finally:
        demo.close(verbose=False)


@contextmanager
def space(folder: Path, python: str = sys.executable, **variables: str) -> Iterator[str]:
    """Yield the address of the Space whose files lie in `folder`. variables: the Space's own settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "KNEEOA_", "PYTHON"))}
    with launched([python, "app.py"], folder, environment | SPACE | variables) as url:
        yield url


@contextmanager
def launched(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Yield the address that a command prints when it serves."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout
        said = ""
        while not (found := re.search(r"http://[\d.]+:\d+", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a Space's files to their paths."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def upload(url: str, content: bytes) -> list[str]:
    """Upload a file as a browser does; return its path on the server."""
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="files"; filename="film.png"\r\n\r\n'
        + content
        + b"\r\n--edge--\r\n"
    )
    request = Request(f"{url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=edge"})
    return json.loads(urlopen(request).read())


def visitor(url: str) -> "Client":
    """Return a program that visits the demo. It would load all certificates of this machine for each request."""
    from gradio_client import Client

    return Client(url, verbose=False, ssl_verify=False)


def open_tab(page: Page, name: str) -> None:
    """On a narrow screen the tabs that have no room lie in a menu."""
    tab = page.get_by_role("tab", name=name)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()
