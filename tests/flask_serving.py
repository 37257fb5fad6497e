"""The Flask app as its own process, and a browser to look at it with."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
WITHOUT_FORK = "import os, runpy; del os.fork; runpy.run_module('flask_app', run_name='__main__')"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def command(*options: str, fork: bool = True, code: str = "") -> list[str]:
    """What starts the app; without fork, as on a system that has none; or by some code that changes it first."""
    code = code or ("" if fork else WITHOUT_FORK)
    return [sys.executable, *(["-c", code] if code else ["-m", "flask_app"]), *options]


@contextmanager
def serving(
    *options: str, fork: bool = True, code: str = "", log: Path | None = None, before: Callable[[], None] | None = None, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The app on a free port: the address that it prints, and its process.

    log: file for what it says. before: called in the new process before it runs. variables: of its environment.
    """
    # Never a pipe that nobody reads: a server that can't log stops answering.
    with (log or Path(os.devnull)).open("a") as errors:
        process = subprocess.Popen(
            command("--port", "0", *options, fork=fork, code=code),
            cwd=ROOT,
            env=os.environ | variables,
            preexec_fn=before,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://[^ /]+", line)
        assert found, line
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
