"""The Flask app runs as its own process, and a browser looks at it."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests
from playwright.sync_api import Browser, Locator, expect, sync_playwright

from kneeoa_hub.grades import NUM_GRADES

from .forks import ROOT, Forked
from .waiting import until

ACCEPT_JSON = {"Accept": "application/json"}
START = "import runpy; runpy.run_module('flask_app', run_name='__main__')"
WITHOUT_FORK = f"import os; del os.fork; {START}"
Process = subprocess.Popen[str] | Forked
PATIENCE_MS = 120_000
"""A browser's test waits at most this many milliseconds; a busy machine takes a minute for what otherwise takes a
second."""
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def command(*options: str, fork: bool = True, code: str = "") -> list[str]:
    """Return the command that starts the app: unchanged, without fork as on Windows, or after code that changes it."""
    code = code or ("" if fork else WITHOUT_FORK)
    return [sys.executable, *(["-c", code] if code else ["-m", "flask_app"]), *options]


def started(
    *options: str,
    errors: IO[str],
    variables: Mapping[str, str],
    fork: bool = True,
    code: str = "",
    room: int | None = None,
    anew: bool = False,
) -> Process:
    """Return the process of the app; `errors` gets what it says on stderr, and `serving` explains the rest."""
    environment = {**os.environ, **variables}
    if anew:
        whole = command(*options, fork=fork, code=code)
        return subprocess.Popen(whole, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    program = code or (START if fork else WITHOUT_FORK)
    return Forked(program, *options, environment=environment, errors=errors.fileno(), room=room)


def ended(*options: str, log: Path, **variables: str) -> tuple[int | None, str, str]:
    """Return how the app ends that serves nothing: its exit status, and what it says on stdout and on stderr.

    log: file for the latter. variables: of its environment.
    """
    with log.open("w") as errors:
        process = started(*options, errors=errors, variables=variables)
    said, _ = process.communicate(timeout=60)
    return process.poll(), said, log.read_text("utf-8")


@contextmanager
def serving(
    *options: str,
    fork: bool = True,
    code: str = "",
    log: Path | None = None,
    room: int | None = None,
    anew: bool = False,
    **variables: str,
) -> Iterator[tuple[str, Process]]:
    """Yield the app on a free port: the address that it prints, and its process.

    log: file for what it says. room: most bytes that a fork writes to a file. anew: by its command, not as a fork of a
    process that has imported it. variables: of its environment.
    """
    # Never a pipe that nobody reads: a server that can't log stops answering.
    with (log or Path(os.devnull)).open("a") as errors:
        process = started(
            "--port", "0", *options, errors=errors, fork=fork, code=code, room=room, anew=anew, variables=variables
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


def workers(process: Process) -> list[int]:
    """Return the numbers of the processes that a server's parent has forked."""
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill_worker(process: Process) -> None:
    for number in workers(process):
        os.kill(number, signal.SIGKILL)


def ready(address: str) -> None:
    """Wait until films can be sent."""

    def answered() -> bool:
        try:
            return requests.get(f"{address}/health/ready", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    until(answered)


def graded(address: str, film: bytes) -> dict | None:
    """Return the film's report, or None when the connection broke."""
    try:
        answer = requests.post(f"{address}/api/v1/grade", files={"film": film}, timeout=60)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):  # before the answer, or amid it
        return None
    return answer.json()["films"][0] if answer.status_code == 200 else {"status": answer.status_code}


def metric(address: str, name: str) -> float:
    """Return the sum of a metric of the server, whose name may go on with the beginning of its labels."""
    lines = requests.get(f"{address}/metrics", timeout=60).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def cut(connections: list[socket.socket]) -> int:
    """Return how many connections the server has reset."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, 0)  # errors alone
    return len(poll.poll(0))


def faults(log: Path) -> list[dict]:
    """Return the lines of a server's log that report a fault of its own."""
    return [line for line in map(json.loads, log.read_text("utf-8").splitlines()) if "trace" in line]


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def slowest(address: str) -> float:
    """Return the seconds of the slowest of five answers of the health route."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
        taken.append(time.monotonic() - began)
    return max(taken)


def chromium_path() -> str | None:
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def check_bars(rows: Sequence[Locator]) -> None:
    """Check that there is a bar for each grade, and that each is as long as the percentage beside it says."""
    assert len(rows) == NUM_GRADES
    for row in rows:
        track, bar = row.locator(".back").bounding_box(), row.locator(".fore").bounding_box()
        percentage = row.locator(".share").inner_text().strip("<>%")
        assert track
        assert bar
        assert abs(100 * bar["width"] / track["width"] - float(percentage)) <= 1


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the system's Chromium, without a window."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=QUIET)
        yield browser
        browser.close()
