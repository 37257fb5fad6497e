"""The command line: what it prints, where, and its exit codes."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kneeoa_hub.cli import main
from kneeoa_hub.output.tables import CSV_COLUMNS, rows

from ..support.waiting import until


def test_grade_prints_a_table_and_says_what_it_is_not(films, capsys):
    assert main(["grade", str(films["severe"]), str(films["both-knees"])]) == 0
    out = capsys.readouterr().out
    assert "severe.png" in out
    assert "Not a medical device" in out
    assert out.count("both-knees.png") == 2


def test_json_is_one_report_a_line_and_a_failed_film_exits_1(films, tmp_path, grader, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing of the kind")
    assert main(["grade", "--json", str(films["mild"]), str(bad), str(films["normal"])]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["report"] == grader.grade(films["mild"]).to_dict()
    assert lines[1]["error"]["code"] == "film-unsupported"
    assert "report" in lines[2]


@pytest.mark.slow
def test_a_closed_pipe_ends_the_command_silently(films):
    command = [sys.executable, "-m", "kneeoa_hub.cli", "grade", "--json", "--workers", "1", *[str(films["mild"])] * 200]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(b'{"film"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 130


def test_csv_has_one_row_for_each_knee(films, capsys):
    assert main(["grade", "--csv", str(films["both-knees"]), "missing.png"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["knee"] for row in rows] == ["0", "1", ""]
    assert "missing.png" in rows[2]["error"]


def test_csv_has_the_rest_of_the_report_in_its_last_columns(films, grader, capsys):
    assert CSV_COLUMNS[:18] == (
        *("film", "knee", "side", "grade", "label", "severity", "oa_probability", "p0", "p1", "p2", "p3", "p4"),
        *("grade_set", "level", "refused", "error", "model", "revision"),
    )  # programs that read the columns by number go on
    assert main(["grade", "--csv", str(films["both-knees"]), str(films["doubtful"])]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    reports = [grader.grade(films[name]) for name in ("both-knees", "doubtful")]
    knees = [knee for report in reports for knee in report.knees]
    assert [[int(row[edge]) for edge in ("left", "top", "right", "bottom")] for row in rows] == [
        list(knee.box) for knee in knees
    ]
    assert [int(row["likeliest"]) for row in rows] == [knee.likeliest for knee in knees]
    assert {row["protocol"] for row in rows} == {reports[0].protocol}
    both, alone = (" | ".join(report.warnings) for report in reports)
    assert [row["warnings"] for row in rows] == [both, both, alone]
    assert "no header names the side" in both


def test_the_row_of_a_knee_lacks_the_warnings_about_another_knee(films, grader):
    report = grader.grade(films["both-knees"])
    right, left = report.names
    texts = ("The film was turned.", f"{right}: It is unlike.", f"{left}: It is dark.", f"Film 2: {left}: It is cut.")
    found = list(rows("a.png", replace(report, warnings=texts, quality=19.933091720100357)))
    assert [row["warnings"].split(" | ") for row in found] == [list(texts[:2]), [texts[0], *texts[2:]]]
    assert [row["quality"] for row in found] == [20, 20]
    alone = replace(report, knees=report.knees[:1], warnings=texts[1:2])
    assert [row["warnings"] for row in rows("a.png", alone)] == [texts[1]]
    nowhere = replace(report, knees=(), warnings=texts)
    assert [row["warnings"] for row in rows("a.png", nowhere)] == [" | ".join(texts)]


def test_the_table_marks_a_grade_that_is_not_the_likeliest_and_distinguishes_films_of_one_name(
    films, grader, tmp_path, capsys
):
    films_folder = tmp_path / "films"
    (knee,) = grader.grade(films["doubtful"]).knees
    assert knee.likeliest != knee.grade
    for name in ("doubtful", "moderate"):
        (films_folder / name).mkdir(parents=True)
        (films_folder / name / "IM1.png").write_bytes(films[name].read_bytes())
    assert main(["grade", str(films_folder)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "Note: " not in line]
    assert re.match(rf"doubtful/IM1.png +- +1 Doubtful +{knee.likeliest} \* ", lines[1])
    assert re.match(r"moderate/IM1.png +- +3 Moderate +3  .* <\.01", lines[2])  # no rounding to 0 or 1
    assert "not the likeliest one" in lines[3]


def test_films_of_one_name_in_several_folders_and_two_paths_of_one_film_are_distinguished(
    films, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("doubtful", "mild"):
        Path(name).mkdir()
        (Path(name) / "IM1.png").write_bytes(films[name].read_bytes())
    assert main(["grade", "doubtful", "mild", "--report", "all.html"]) == 0
    table, report = capsys.readouterr().out, Path("all.html").read_text("utf-8")
    for path in ("doubtful/IM1.png", "mild/IM1.png"):
        assert re.search(rf"^{path} ", table, re.MULTILINE)
        assert f". {path}" in report
    assert main(["grade", "mild/IM1.png", "./mild/IM1.png"]) == 0
    assert re.findall(r"^\S*IM1.png", capsys.readouterr().out, re.MULTILINE) == ["mild/IM1.png", "./mild/IM1.png"]


def test_a_film_comes_from_standard_input_and_a_box_from_the_command_line(films, grader, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(films["mild"].read_bytes())))
    assert main(["grade", "-", "--json", "--box", "20,30,430,440"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["film"] == "stdin"
    assert answer["report"] == grader.grade(films["mild"], [(20, 30, 430, 440)]).to_dict()


def test_a_closed_standard_input_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["grade", "-"]) == 2
    assert capsys.readouterr().err.startswith("kneeoa: standard input is closed; give the film as a file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--box", "1,2,3"], "'1,2,3' is not LEFT,TOP,RIGHT,BOTTOM"),
        (["--box", "0,0,a,4"], "is not LEFT,TOP,RIGHT,BOTTOM"),
        (["other.png", "--box", "0,0,200,200"], "--box is about one film, and 2 were given"),
    ],
)
def test_an_invalid_box_and_a_box_for_several_films_are_usage_errors(films, capsys, options, message):
    code: object
    try:
        code = main(["grade", str(films["mild"]), *options])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_force_grades_a_refused_film_and_says_so(tmp_path, capsys):
    Image.new("L", (300, 300), 90).save(tmp_path / "blank.png")
    assert main(["grade", str(tmp_path / "blank.png"), "--force", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["refused"]["reason"] == "no-detail"
    assert len(report["knees"]) == 1
    assert any("graded by force" in warning for warning in report["warnings"])


def test_one_overlay_is_written_for_each_graded_film_at_full_size(films, tmp_path, capsys):
    again = tmp_path / "again" / films["mild"].name
    again.parent.mkdir()
    again.write_bytes(films["mild"].read_bytes())
    assert main(["grade", str(films["mild"]), str(again), "missing.png", "--overlays", str(tmp_path / "seen")]) == 1
    written = sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in written] == ["mild-1.graded.png", "mild.graded.png"]
    with Image.open(written[0]) as overlay, Image.open(films["mild"]) as film:
        assert overlay.size == film.size
        assert overlay.mode == "RGB"
    assert main(["grade", str(films["mild"]), "--overlays", str(films["mild"] / "below")]) == 1
    assert "--overlays" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["grade"], ["grade", "a.png", "--workers", "0"], ["grade", "a.png", "--json", "--csv"], ["polish"]],
)
def test_a_wrong_command_line_exits_2(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as stopped:  # argparse ends the process, the command returns
        code = stopped.code
    assert code == 2


def test_an_unknown_model_is_a_usage_error_and_suggests_the_nearest(capsys):
    assert main(["info", "kneeoa-cmn"]) == 2
    assert "kneeoa-cnn" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_bars_are_drawn_on_a_terminal_and_nothing_in_a_pipe(films, tmp_path):
    import pty
    import termios

    command = [sys.executable, "-m", "kneeoa_hub.cli", "grade", "--csv", str(films["mild"]), str(films["severe"])]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    assert b"2/2" in os.read(ours, 100_000)
    os.close(ours)
    os.close(theirs)


FILMS = 200
"""Films of a run that is interrupted: more than a busy machine grades before the interrupt arrives."""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_an_interrupt_ends_the_command_quietly_and_the_next_one_goes_on(films, tmp_path):
    out = tmp_path / "grades.jsonl"
    (tmp_path / "films").mkdir()
    for number in range(FILMS):
        (tmp_path / "films" / f"{number:03}.png").write_bytes(films["both-knees"].read_bytes())
    command = [
        sys.executable,
        "-m",
        "kneeoa_hub.cli",
        "grade",
        str(tmp_path / "films"),
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # which a shell's background job ignores, and its children
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeding) as process:
        until(lambda: process.poll() is not None or (out.exists() and out.read_text("utf-8").count("\n") >= 5))
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == 130
    done = out.read_text("utf-8").count("\n")
    assert done < FILMS
    for path in sorted((tmp_path / "films").iterdir())[done + 5 :]:
        path.unlink()
    assert main(["grade", str(tmp_path / "films"), "--out", str(out)]) == 0
    assert out.read_text("utf-8").count("\n") == min(done + 5, FILMS)
