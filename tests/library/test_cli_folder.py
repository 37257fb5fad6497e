"""The command line grades a folder into a file, resumes it, and counts what it skips."""

import csv
import io
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from benchmarks.film_kinds import dicom
from kneeoa_hub.cli import main, processes
from kneeoa_hub.cli.options import FOLDER
from kneeoa_hub.errors import KneeOAError
from kneeoa_hub.imaging.formats import FILM_SUFFIXES
from kneeoa_hub.output.tables import CSV_COLUMNS
from kneeoa_hub.report import FilmReport

from ..support.dicom_films import knee


@pytest.fixture(scope="module")
def folder(films, tmp_path_factory):
    """Six films in folders, one of them damaged, and a file that is not a film. No test may change them."""
    folder = tmp_path_factory.mktemp("folder") / "films"
    for number, name in enumerate(("mild", "severe", "both-knees", "normal", "moderate")):
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(films[name].read_bytes())
    (folder / "5.png").write_bytes(b"nothing of the kind")
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> dict[str, bytes]:
    """What a run that was not stopped writes, by the form of the file."""
    answers = {form: tmp_path_factory.mktemp("whole") / f"grades.{form}" for form in ("csv", "jsonl")}
    for out in answers.values():
        assert main(["grade", str(folder), "--out", str(out)]) == 1
    return {form: out.read_bytes() for form, out in answers.items()}


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


@pytest.mark.slow
def test_a_large_folder_is_graded_by_processes_with_the_same_answers(folder, whole, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "WORTH_IT", 2)
    capsys.readouterr()
    assert main(["grade", str(folder), "--out", str(tmp_path / "grades.csv"), "--workers", "2"]) == 1
    assert (tmp_path / "grades.csv").read_bytes() == whole["csv"]
    assert "6 films, 1 failed" in capsys.readouterr().err


def test_the_end_of_a_process_is_an_error_that_says_what_to_do(folder, grader):
    opening = processes.Opening(grader.bundle, grader.revision, grader.level, pictures=True)
    answers = processes.grade_in_processes(opening, [str(folder / "0" / "0.png")] * 9, 2, force=False)
    assert isinstance(next(answers), FilmReport)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(KneeOAError, match=r"fewer --workers.*KNEEOA_DECODE_PROCESS=1"):
        list(answers)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("at", [0, 3, 0.3, 0.6, 0.95])
def test_a_run_stopped_at_any_point_resumes_and_leaves_the_same_file(folder, whole, tmp_path, form, at):
    out, written = tmp_path / f"grades.{form}", whole[form]
    out.write_bytes(written[: int(at * len(written)) if isinstance(at, float) else at])
    assert main(["grade", str(folder), "--out", str(out)]) == 1
    assert out.read_bytes() == written


def test_a_finished_file_has_its_last_film_graded_again_and_no_other(folder, whole, tmp_path, capsys):
    out = tmp_path / "grades.csv"
    out.write_bytes(whole["csv"])
    main(["grade", str(folder), "--out", str(out)])
    assert "1 film, 5 were there before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("grades.txt", None, "must end in .csv or .jsonl"),
        ("thesis.csv", "a,b\n1,2\n", "it has other columns than answers (a,b); give another --out."),
        ("older.csv", ",".join(CSV_COLUMNS[:18]) + "\n", "it has the columns of an older version, without warnings, "),
        ("short.csv", ",".join(CSV_COLUMNS) + "\na,0\n", "a row of 2 columns"),
        ("blank.csv", ",".join(CSV_COLUMNS) + "\n\n", "a row of 0 columns"),
        ("diary.csv", "one line without an end", "no line of answers"),
        ("zeros.jsonl", "\0" * 9000, "no line of answers"),
        *(
            ("thesis.jsonl", f"{line}\n", "it has a line that is not an answer; give another")
            for line in ("[1]", "{", '{"film": "a", "report": null}', '{"film": 1}', "[" * 100_000)
        ),
        (
            "a.jsonl",
            '{"film": "a", "report": {"revision": "b", "level": []}}\n' * 2,
            "a revision or a level that no answer",
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


@pytest.mark.slow
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
    assert "--report would lack 1 of the films" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
    assert (tmp_path / "grades.csv").read_bytes() == whole
    assert main(["grade", *[str(films["mild"])] * 1001, "--report", str(tmp_path / "report.html")]) == 2
    assert "--report shows at most 1,000 films, and 1,001 were given" in capsys.readouterr().err


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


def test_a_folder_without_films_and_an_unwritable_place_are_errors(films, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["grade", str(tmp_path / "empty")]) == 1
    assert "is a folder without films" in capsys.readouterr().err
    assert main(["grade", str(films["mild"]), "--out", str(films["mild"] / "grades.csv")]) == 1
    assert "--out with room and access" in capsys.readouterr().err
    assert main(["grade", str(films["mild"]), "--out", "/proc/grades.csv"]) == 1
    assert "/proc/grades.csv can't be written (No such file or directory)" in capsys.readouterr().err


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
    assert captured.err == (
        f"kneeoa: {folder}: skipped 4 other files (hidden, or no film by suffix and not DICOM): .DS_Store, DICOMDIR,"
        " README and 1 more.\n"
    )


def test_what_is_written_beside_films_lies_in_folders_like_theirs_and_is_no_film(films, tmp_path, capsys):
    folder = tmp_path / "films"
    for patient in ("first", "second/2025"):
        (folder / patient).mkdir(parents=True)
        shutil.copy(films["mild"], folder / patient / "knee.png")
    assert main(["grade", str(folder), "--overlays", str(folder / "seen")]) == 0
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.graded.png")}
    assert written == {"seen/first/knee.graded.png", "seen/second/2025/knee.graded.png"}
    out = tmp_path / "grades.csv"
    assert main(["grade", str(folder), "--out", str(out)]) == 0
    assert len(list(csv.DictReader(out.open(encoding="utf-8", newline="")))) == 2
    capsys.readouterr()
    assert main(["grade", str(folder), "--out", str(out), "--overlays", str(tmp_path / "later")]) == 0
    said = f"kneeoa: {out} already holds 1 of the films; this run writes no --overlays for them.\n"
    assert said in capsys.readouterr().err


def test_a_run_that_goes_on_replaces_no_file_of_another_film(films, tmp_path):
    for site, film in (("a", "mild"), ("b", "severe")):
        (tmp_path / site).mkdir()
        shutil.copy(films[film], tmp_path / site / "knee.png")
    seen, given = tmp_path / "seen", [str(tmp_path / "a"), str(tmp_path / "b")]
    command = ["grade", *given, "--out", str(tmp_path / "grades.csv"), "--overlays", str(seen)]
    assert main(command) == 0
    written = {path.name: path.read_bytes() for path in seen.iterdir()}
    assert written.keys() == {"knee.graded.png", "knee-1.graded.png"}
    assert main(command) == 0  # grades the last film again
    assert {path.name: path.read_bytes() for path in seen.iterdir()} == written


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
