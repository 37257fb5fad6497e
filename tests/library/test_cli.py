"""The command line: what it prints, where, and its exit codes."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from benchmarks.film_kinds import dicom
from kneeoa_hub.cli import main
from kneeoa_hub.cli.options import FOLDER
from kneeoa_hub.imaging.formats import FILM_SUFFIXES
from kneeoa_hub.manifest import write_manifest
from kneeoa_hub.output.tables import CSV_COLUMNS

from ..support.bundles import EVIDENCE, make_bundle
from ..support.dicom_films import knee


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
    both, alone = (" | ".join(report.warnings) for report in reports)
    assert [row["warnings"] for row in rows] == [both, both, alone]
    assert "the header does not name the side" in both


def test_the_table_marks_a_grade_that_is_not_the_likeliest_and_distinguishes_films_of_one_name(
    films, grader, tmp_path, capsys
):
    (knee,) = grader.grade(films["doubtful"]).knees
    assert knee.likeliest != knee.grade
    for name in ("doubtful", "mild"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "IM1.png").write_bytes(films[name].read_bytes())
    assert main(["grade", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(rf"doubtful/IM1.png +- +1 Doubtful +{knee.likeliest} \* ", lines[1])
    assert re.match(r"mild/IM1.png +- +2 Mild +2  .* <\.01 0\.\d\d ", lines[2])  # no rounding to 0 or 1
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


@pytest.fixture
def folder(films, tmp_path):
    """Six films in folders, one of them damaged, and a file that is not a film."""
    for number, name in enumerate(("mild", "severe", "both-knees", "normal", "moderate")):
        path = tmp_path / "films" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(films[name].read_bytes())
    (tmp_path / "films" / "5.png").write_bytes(b"nothing of the kind")
    (tmp_path / "films" / "notes.txt").write_text("mine")
    return tmp_path / "films"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_folder_is_graded_into_a_file_as_the_films_are_one_by_one(folder, tmp_path, capsys, form):
    out = tmp_path / f"grades.{form}"
    assert main(["grade", str(folder), "--out", str(out), "--workers", "3"]) == 1
    errors = capsys.readouterr().err
    assert "6 films, 1 failed" in errors
    assert "5.png: " in errors
    one_by_one = sorted(str(path) for path in folder.rglob("*.png"))
    assert main(["grade", f"--{form.removesuffix('l')}", "--workers", "1", *one_by_one]) == 1
    assert out.read_text("utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("at", [0, 3, 0.3, 0.6, 0.95])
def test_a_run_stopped_at_any_point_resumes_and_leaves_the_same_file(folder, tmp_path, form, at):
    out = tmp_path / f"grades.{form}"
    main(["grade", str(folder), "--out", str(out)])
    whole = out.read_bytes()
    out.write_bytes(whole[: int(at * len(whole)) if isinstance(at, float) else at])
    assert main(["grade", str(folder), "--out", str(out)]) == 1
    assert out.read_bytes() == whole


def test_a_finished_file_has_its_last_film_graded_again_and_no_other(folder, tmp_path, capsys):
    out = tmp_path / "grades.csv"
    main(["grade", str(folder), "--out", str(out)])
    capsys.readouterr()
    main(["grade", str(folder), "--out", str(out)])
    assert "1 films, 5 were there before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("grades.txt", None, "must end in .csv or .jsonl"),
        ("thesis.csv", "a,b\n1,2\n", "it has other columns than answers (a,b); give another --out."),
        ("older.csv", ",".join(CSV_COLUMNS[:18]) + "\n", "it has the columns of an older version, without warnings, "),
        ("short.csv", ",".join(CSV_COLUMNS) + "\na,0\n", "a row of 2 columns"),
        ("blank.csv", ",".join(CSV_COLUMNS) + "\n\n", "a row of 0 columns"),
        *(
            ("thesis.jsonl", f"{line}\n", "it has a line that is not an answer; give another")
            for line in ("[1]", "{", '{"film": "a", "report": null}', '{"film": 1}')
        ),
    ],
)
def test_a_file_with_other_content_is_not_overwritten(films, tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content:
        path.write_text(content, "utf-8")
    assert main(["grade", str(films["mild"]), "--out", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert content is None or path.read_text("utf-8") == content


def test_rows_of_two_models_are_not_mixed(films, tmp_path, capsys):
    out = tmp_path / "grades.csv"
    main(["grade", str(films["mild"]), str(films["severe"]), "--out", str(out)])
    content = out.read_text("utf-8")
    revision = next(csv.DictReader(io.StringIO(content)))["revision"]
    out.write_text(content.replace(revision, "0" * 12), "utf-8")
    assert main(["grade", str(films["mild"]), "--out", str(out)]) == 2
    assert f"holds answers of revision {'0' * 12}, and this model is {revision}" in capsys.readouterr().err


def test_a_film_that_failed_is_tried_again_and_fails_the_command_again(films, tmp_path, capsys):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(b"\x89PNG\r\n")
    for name in ("mild", "severe"):
        (tmp_path / "films" / f"{name}.png").write_bytes(films[name].read_bytes())
    for form in ("csv", "jsonl"):
        command = ["grade", str(tmp_path / "films"), "--out", str(tmp_path / f"grades.{form}")]
        assert (main(command), main(command)) == (1, 1)
    (tmp_path / "films" / "a.png").write_bytes(films["normal"].read_bytes())
    for form in ("csv", "jsonl"):
        out = tmp_path / f"grades.{form}"
        assert main(["grade", str(tmp_path / "films"), "--out", str(out)]) == 0
        assert sorted({Path(name).name for name in re.findall(r"films/(\w+\.png)", out.read_text("utf-8"))}) == [
            "a.png",
            "mild.png",
            "severe.png",
        ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_at_two_levels_are_not_mixed(films, tmp_path, capsys, form):
    out = tmp_path / f"grades.{form}"
    assert main(["grade", str(films["mild"]), str(films["severe"]), "--out", str(out)]) == 0
    assert main(["grade", str(films["mild"]), str(films["severe"]), "--out", str(out), "--level", "0.95"]) == 2
    assert "holds prediction sets at the level 0.9, and --level is 0.95" in capsys.readouterr().err


def test_a_report_that_would_lack_films_is_not_written(films, tmp_path, capsys):
    command = ["grade", str(films["mild"]), str(films["severe"]), "--out", str(tmp_path / "grades.csv")]
    assert main(command) == 0
    whole = (tmp_path / "grades.csv").read_bytes()
    assert main([*command, "--report", str(tmp_path / "report.html")]) == 2
    assert "--report would lack the 1 films" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
    assert (tmp_path / "grades.csv").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode, and there is no /dev/full")
def test_a_name_that_is_not_utf8_is_unchanged_and_a_full_output_is_an_error(films, tmp_path):
    folder = os.fsencode(tmp_path) + b"/films"
    os.mkdir(folder)
    for name in (b"a\xff.png", b"b.png"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(films["mild"].read_bytes())

    def kneeoa(*arguments: object, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "kneeoa_hub.cli", *map(str, arguments)]
        return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, timeout=120, check=False)

    for form in ("csv", "jsonl"):
        command = ("grade", tmp_path / "films", "--out", tmp_path / f"grades.{form}")
        for done in (
            kneeoa(*command, "--report", tmp_path / f"{form}.html", "--overlays", tmp_path / "seen"),
            kneeoa(*command),
        ):
            assert done.returncode == 0, done.stderr
    assert b"a\xff.png," in (tmp_path / "grades.csv").read_bytes()
    assert b"a\xff.png" in kneeoa("grade", tmp_path / "films").stdout
    with open("/dev/full", "wb") as full:
        done = kneeoa("list", stdout=full)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"can't be written" in done.stderr


def test_the_least_evidence_is_enough_for_info_and_card_and_without_the_export_there_is_no_card(tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle")
    for command in ("info", "card"):
        assert main([command, str(bundle)]) == 0
        assert "0.801" in capsys.readouterr().out
    (bundle / "evidence.json").write_text(json.dumps(replace(EVIDENCE, export=None).to_dict()), "utf-8")
    write_manifest(bundle)
    assert main(["card", str(bundle)]) == 1
    assert "evidence.json has no `export`; write the bundle with `python -m tuning export`." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({}, "`metrics` is null; an object is needed"),
        ({"metrics": {}}, "`metrics` has a length of 0; 1 or more is needed"),
        ({"metrics": [1]}, "`metrics` is a list; an object is needed"),
        ({"metrics": {"oai_test": {}}}, "`metrics.oai_test.qwk` is missing"),
        ({"metrics": {"oai_test": {"qwk": None}}}, "`metrics.oai_test.qwk` is null; an object is needed"),
        ({"test_looks": {"value": "1"}}, "`test_looks.value` is '1'; a finite number is needed"),
    ],
)
def test_evidence_that_does_not_follow_its_schema_is_one_line_that_names_the_field(tmp_path, capsys, changed, field):
    bundle = make_bundle(tmp_path / "bundle")
    document = EVIDENCE.to_dict() | (changed or {"metrics": None})
    (bundle / "evidence.json").write_text(json.dumps(document), "utf-8")
    write_manifest(bundle)
    for command in ("info", "card"):
        assert main([command, str(bundle)]) == 1
        errors = capsys.readouterr().err
        assert f"evidence.json: {field}. Pull the bundle again, or export it again." in errors
        assert errors.count("\n") == 1


def test_a_folder_without_films_and_an_unwritable_place_are_errors(films, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["grade", str(tmp_path / "empty")]) == 1
    assert "is a folder without films" in capsys.readouterr().err
    assert main(["grade", str(films["mild"]), "--out", str(films["mild"] / "grades.csv")]) == 1
    assert "--out with room and access" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--report", "--overlays", "--dicom", "--out"])
def test_an_unwritable_place_is_an_error_before_any_film_is_graded(films, tmp_path, capsys, option):
    place = films["mild"] / ("grades.csv" if option == "--out" else "report.html")
    assert main(["grade", str(films["mild"]), option, str(place)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{place} can't be written" in captured.err
    assert option in captured.err


def test_a_folder_includes_dicom_without_a_suffix_and_counts_the_skipped_files(films, tmp_path, capsys):
    film = dicom(knee())
    folder = tmp_path / "films"
    (folder / "deeper").mkdir(parents=True)
    for name in ("a.dicom", "b.dic", "IM0001", "deeper/1.2.840.10008.7", "DICOMDIR", "c.bin"):
        (folder / name).write_bytes(film)
    Image.open(films["mild"]).save(folder / "d.JFIF", "JPEG")
    for name in ("README", "notes.txt", ".DS_Store"):
        (folder / name).write_text("mine", "utf-8")
    assert main(["grade", str(folder), "--csv"]) == 0
    captured = capsys.readouterr()
    graded = {Path(row["film"]).relative_to(folder).as_posix() for row in csv.DictReader(io.StringIO(captured.out))}
    assert graded == {"a.dicom", "b.dic", "c.bin", "IM0001", "deeper/1.2.840.10008.7", "d.JFIF"}
    assert captured.err == f"kneeoa: {folder}: skipped 4 other files (no film by suffix, and not DICOM).\n"


def test_the_help_names_every_suffix_of_a_folder_s_films():
    assert all(f" {suffix}" in FOLDER for suffix in FILM_SUFFIXES)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_is_graded_but_not_for_dicom_objects(tmp_path, capsys):
    os.mkfifo(tmp_path / "film")
    command = ["grade", str(tmp_path / "film")]
    assert main([*command, "--dicom", str(tmp_path / "out")]) == 2
    assert "can be read only once" in capsys.readouterr().err
    with ThreadPoolExecutor(1) as pool:
        pool.submit((tmp_path / "film").write_bytes, dicom(knee()))
        assert main(command) == 0


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


def test_a_changed_bundle_is_refused_and_the_file_is_named(grader, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(grader.bundle.folder, tmp_path / "bundle")
    assert main(["verify", str(copy)]) == 0
    content = bytearray((copy / "model.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "model.onnx").write_bytes(content)
    assert main(["verify", str(copy)]) == 1
    assert "model.onnx differs" in capsys.readouterr().err


def test_list_info_and_card_describe_the_shipped_bundle(grader, capsys):
    for command in (["list"], ["info"], ["card"]):
        assert main(command) == 0
        assert "kneeoa-cnn" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["grade", "pull", "push", "info", "verify", "card", "list"])
def test_help_of_every_command_shows_an_example_and_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert f"examples:\n  kneeoa {command}" in out
    assert "exit code:\n  0    all films were graded or refused" in out


def test_a_dry_run_lists_what_would_be_sent_and_then_that_nothing_would(grader, tmp_path, capsys):
    hub = str(tmp_path / "hub")
    command = ["push", str(grader.bundle.folder), hub, "--tag", "v1.0"]
    assert main([*command, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {
        path.relative_to(grader.bundle.folder).as_posix() for path in grader.bundle.folder.rglob("*") if path.is_file()
    }
    assert {line.split()[2] for line in lines[:-1]} == names
    assert lines[-1] == f"would be {hub}@v1.0"
    assert not (tmp_path / "hub").exists()
    main(command)
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "would send nothing: it is there already"


def test_evidence_that_is_not_json_is_an_error_in_one_line(tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "evidence.json").write_text("none", "utf-8")
    write_manifest(bundle)
    assert main(["info", str(bundle)]) == 1
    assert "evidence.json is not JSON" in capsys.readouterr().err


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
        while not (out.exists() and out.read_text("utf-8").count("\n") >= 5):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == 130
    done = out.read_text("utf-8").count("\n")
    assert done < FILMS
    assert main(["grade", str(tmp_path / "films"), "--out", str(out)]) == 0
    assert out.read_text("utf-8").count("\n") == FILMS
