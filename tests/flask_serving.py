"""The Flask app as its own process, and a browser to look at it with."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
WITHOUT_FORK = "import os, runpy; del os.fork; runpy.run_module('flask_app', run_name='__main__')"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def command(*options: str, fork: bool = True) -> list[str]:
    """What starts the app; without fork, as on a system that has none."""
    return [sys.executable, *(["-m", "flask_app"] if fork else ["-c", WITHOUT_FORK]), *options]


@contextmanager
def serving(*options: str, fork: bool = True, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The app on a free port: the address that it prints, and its process. variables: of its environment."""
    process = subprocess.Popen(
        command("--port", "0", *options, fork=fork),
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://[^ /]+", line)
        assert found, process.communicate(timeout=30)
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def chromium_path() -> str | None:
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=QUIET)
        yield browser
        browser.close()
