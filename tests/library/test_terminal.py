"""Progress bars on a terminal, and silence in a pipe."""

import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ..support.hub_people import Person
from ..support.hub_server import HubServer

REPO = "lab/kneeoa-cnn"


def on_a_terminal(environment: dict[str, str], *command: object) -> tuple[int, str, str]:
    """Exit code, what the terminal showed on standard error, and standard output, which goes into a pipe."""
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 100))
    running = subprocess.Popen(
        [sys.executable, "-m", "kneeoa_hub.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
        env=environment,
    )
    os.close(end)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux signals with it that no writer is left
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    answer, _ = running.communicate(timeout=60)
    return running.returncode, shown.decode(), answer


def in_a_pipe(environment: dict[str, str], *command: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kneeoa_hub.cli", *map(str, command)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    return done.returncode, done.stderr, done.stdout


def person(home: Path, *login: str) -> dict[str, str]:
    """The environment of a user who did not switch the bars off."""
    return {
        name: value
        for name, value in Person(home, *login).environment.items()
        if name != "HF_HUB_DISABLE_PROGRESS_BARS"
    }


@pytest.mark.slow
def test_a_push_and_a_pull_show_bars_on_a_terminal_and_are_silent_in_a_pipe(grader, tmp_path):
    with HubServer() as server:
        for name, started in (("seen", on_a_terminal), ("piped", in_a_pipe)):
            owner, stranger = (
                person(tmp_path / f"{name}-owner", server.url, "w"),
                person(tmp_path / f"{name}-stranger", server.url),
            )
            code, bars, answer = started(owner, "push", grader.bundle.folder, f"{REPO}-{name}", "--tag", "v1.0")
            assert (code, answer) == (0, f"published: {REPO}-{name}@v1.0\n"), bars
            assert ("100%" in bars, bool(bars)) == (name == "seen",) * 2
            code, bars, answer = started(stranger, "pull", f"{REPO}-{name}@v1.0")
            assert (code, answer.count("\n")) == (0, 1), bars
            assert ("100%" in bars, bool(bars)) == (name == "seen",) * 2
            assert name != "seen" or "model.onnx" in bars


@pytest.mark.slow
def test_grading_several_films_shows_a_bar_on_a_terminal_and_is_silent_in_a_pipe(films):
    command = ("grade", *list(films.values())[:3])
    environment = dict(os.environ)
    for seen, started in ((True, on_a_terminal), (False, in_a_pipe)):
        code, bars, answer = started(environment, *command)
        assert code == 0
        assert len(answer.splitlines()) >= 3
        assert ("3/3" in bars, bool(bars)) == (seen, seen)
