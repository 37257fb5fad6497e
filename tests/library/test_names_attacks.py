"""Names of films that a spreadsheet would compute, that move a terminal's cursor, or that break a line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kneeoa_hub.cli import main
from kneeoa_hub.escaping import escape_cell, escape_for_terminal, unescape_cell

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\r=1",
    "\n=1",
    "\t=1",
    "\ufeff=1",
    "\xa0=1",
    " \u200b\r\n-1",
    "＝1",
    "'=1",
    "''+1",
]
PLAIN = ["", "knee.png", "a=1", "'", "'a", "\r", "1-2", "_=1", "ünïcode", "..-"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(text: str):
    assert escape_cell(text) == f"'{text}"
    assert unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_cells_stay_as_they_are(text: str):
    assert escape_cell(text) == text == unescape_cell(text)


@pytest.mark.parametrize("code", ["\x1b[2J", "\x9b2J", "\r", "\n", "\x08", "\u202e", "\u2066", "\x7f"])
def test_control_characters_for_a_terminal_are_written_as_their_codes(code: str):
    shown = escape_for_terminal(f"a{code}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


NAMES = ["=1+1.png", "\r=cmd.png", "a\rb.png", "a\nb.png", 'a",b.png', "\x1b[2Jknee.png", "'=x.png", "a\r\nb.png"]


@pytest.fixture
def films(tmp_path: Path, sample: bytes) -> list[Path]:
    paths = [tmp_path / name for name in NAMES]
    for path in paths:
        path.write_bytes(sample)
    return paths


@pytest.fixture(scope="module")
def sample() -> bytes:
    """A file that is not a film; only its name matters here."""
    return b"no film"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_answer_file_with_names_of_every_kind_is_taken_up_again(films, tmp_path, monkeypatch, suffix, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / f"answers.{suffix}"
    for _ in range(2):
        assert main(["grade", *NAMES, "--out", str(out)]) == 1
        if suffix == "csv":
            rows = list(csv.reader(out.open(newline="", encoding="utf-8")))
            assert [unescape_cell(row[0]) for row in rows[1:]] == NAMES
            assert not any(row[0].lstrip().startswith(("=", "+", "-", "@")) for row in rows)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert list(tmp_path.glob(".*.lock")) == []


def test_the_table_and_the_errors_show_no_escape_of_a_name(films, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["grade", *NAMES]) == 1
    assert main(["grade", "\x1b]0;title\x07/", "--out", "\x1b[2J.txt"]) == 2
    for taken_for_an_option in ("--x\x1b[31m", "--out=\x1b[31m"):
        with pytest.raises(SystemExit):
            main(["grade", taken_for_an_option, "--\x1b[31m"])
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err


@pytest.mark.slow
def test_two_processes_on_one_answer_file_lose_no_row(films, tmp_path):
    out = tmp_path / "answers.csv"
    pipe = tmp_path / "slow.png"
    os.mkfifo(pipe)  # the first process waits here, with the file taken
    command = [sys.executable, "-m", "kneeoa_hub.cli", "grade", "--out", str(out)]
    first = subprocess.Popen([*command, "--workers", "1", str(films[0]), str(pipe)], stderr=subprocess.PIPE, text=True)
    with pipe.open("wb") as end:
        second = subprocess.run([*command, str(films[2])], capture_output=True, text=True, check=False)
        end.write(b"no film")
    assert second.returncode == 2
    assert "another process writes to it" in second.stderr
    _, output = first.communicate(timeout=60)
    assert first.returncode == 1, output
    rows = list(csv.reader(out.open(newline="", encoding="utf-8")))
    assert [unescape_cell(row[0]) for row in rows[1:]] == [str(films[0]), str(pipe)]
