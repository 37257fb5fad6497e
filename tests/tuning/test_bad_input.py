"""A step answers wrong input with one helpful line and the right exit code, and leaves nothing half done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kneeoa_hub.imaging.phantom import write_films
from tuning.__main__ import main
from tuning.quickstart import main as quickstart
from tuning.run import steps

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "films"
    write_films(folder, 30)
    return folder


@pytest.fixture(scope="module")
def audited(films) -> Path:
    out = films.parent / "audit"
    assert main(["audit", "--data", str(films), "--out", str(out)]) == 0
    return out


def said(capsys) -> str:
    """The one line on standard error."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("   ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["audit", "--data", "no-such-folder"], 1, "no-such-folder: there is no such file or folder"),
        (["audit", "--data", __file__], 1, "is not a set of films"),
        (["search", "--data", "no-such-folder"], 1, "There is no folder no-such-folder"),
        (["search", "--data", str(ROOT / "docs")], 1, "does not come from the step 'audit'"),
        (["search", "--data", "AUDIT", "--tuner", "grid"], 2, "--tuner grid: choose among hyperband, bayesian, random"),
        (["search", "--data", "AUDIT", "--only", "depth=3"], 2, "--only depth: there is no such choice"),
        (["search", "--data", "AUDIT", "--only", "size=100"], 2, "--only size=100: choose among 96"),
        (["search", "--data", "AUDIT", "--only", "backbone"], 2, "--only backbone: give the values after ="),
        (["search", "--data", "AUDIT", "--only", "size=96", "--only", "size=128"], 2, "size is given twice"),
        (["train", "--data", "AUDIT"], 1, "does not come from the step 'search'"),
        (
            ["train", "--data", "AUDIT", "--architecture", "vgg"],
            2,
            (
                "--architecture vgg: choose winner, chosen, a trial's number, or one of residual, folded, folded-fine,"
                " folded-joint-line, joint-line, baseline-2023"
            ),
        ),
        (
            ["train", "--data", "AUDIT", "--architecture", "residual", "--seeds", "a"],
            2,
            "--seeds a: 'a' is not a whole number from 0 to 4294967295; give",
        ),
        (
            ["train", "--data", "AUDIT", "--architecture", "residual", "--seeds", "²"],
            2,
            "--seeds ²: '²' is not a whole number",
        ),
        (
            ["train", "--data", "AUDIT", "--architecture", "residual", "--seeds", "0,4294967296"],
            2,
            "'4294967296' is not a whole number from 0 to 4294967295",
        ),
        (
            ["train", "--data", "AUDIT", "--architecture", "residual", "--seeds", "9" * 5000],
            2,
            "is not a whole number from 0 to 4294967295",
        ),
        (
            ["train", "--data", "AUDIT", "--architecture", "residual", "--seeds", "0,1,00"],
            2,
            "0 occurs twice and would make the same member again",
        ),
        (["evaluate", "--data", "AUDIT"], 1, "does not come from the step 'train'"),
        (["export", "--data", "AUDIT"], 1, "does not come from the step 'train'"),
        (["publish", "--data", "AUDIT"], 1, "bundle"),
    ],
)
def test_a_wrong_input_or_choice_is_one_line_and_leaves_nothing(audited, tmp_path, capsys, arguments, code, text):
    out = tmp_path / "out"
    capsys.readouterr()
    assert (
        main([str(audited) if argument == "AUDIT" else argument for argument in arguments] + ["--out", str(out)])
        == code
    )
    assert text in said(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("unfinished", "lacks", "arguments"),
    [
        *(("audit", "audit.json", [step]) for step in ("search", "gate", "locator")),
        ("audit", "audit.json", ["train", "--architecture", "residual"]),
        ("search", "best.json", ["train"]),
        ("train", "train.json", ["evaluate"]),
        ("train", "train.json", ["export"]),
    ],
)
def test_a_step_that_has_not_finished_is_named_before_the_next_begins(
    audited, tmp_path, capsys, unfinished, lacks, arguments
):
    folder = steps.begin(tmp_path / "before", unfinished, "" if unfinished == "audit" else str(audited), {})
    (folder / "films.csv").write_bytes((audited / "films.csv").read_bytes())
    capsys.readouterr()
    assert main([*arguments, "--data", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert (
        f"{folder} has no {lacks}: its step {unfinished!r} has not finished. Give `python -m tuning {unfinished}` once"
        " more" in said(capsys)
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["polish"], ["audit"], ["train", "--data", "x", "--out", "y", "--epochs", "0"]]
)
def test_a_wrong_command_line_exits_2(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize("step", ["audit", "search", "adapt", "locator"])
@pytest.mark.parametrize("seed", ["-1", "4294967296", "²", "1.5", "", pytest.param("9" * 5000, id="long")])
def test_the_command_line_refuses_a_seed_that_no_generator_accepts(tmp_path, capsys, step, seed):
    with pytest.raises(SystemExit) as stopped:
        main([step, "--data", str(tmp_path), "--out", str(tmp_path / "out"), f"--seed={seed}"])
    assert stopped.value.code == 2
    assert f"argument --seed: {seed!r} is not a whole number from 0 to 4294967295" in capsys.readouterr().err


def test_seeds_from_0_to_the_largest_are_accepted():
    from tuning.training.plan import parse_seeds

    assert parse_seeds("0, 4294967295,7") == (0, 4294967295, 7)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--patience", "-1", 0), ("--patience", "²", 0), ("--epochs", "-1", 1), ("--epochs", "0", 1)],
)
def test_an_error_names_the_least_count(capsys, option, value, least):
    with pytest.raises(SystemExit):
        main(["train", "--data", "x", "--out", "y", f"{option}={value}"])
    assert f"argument {option}: {value!r} is not a whole number of {least} or more" in capsys.readouterr().err


def damaged(films: Path, to: Path) -> Path:
    """The films, one of them cut off, one empty, one a text."""
    for path in films.rglob("*.png"):
        copy = to / path.relative_to(films)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    cut, empty, text = sorted(to.rglob("*.png"))[::10][:3]
    cut.write_bytes(cut.read_bytes()[:500])
    empty.write_bytes(b"")
    text.write_text("not an image", "utf-8")
    return to


def test_unreadable_films_are_reported_and_the_rest_go_on(films, tmp_path, capsys):
    copies = damaged(films, tmp_path / "films")
    assert main(["audit", "--data", str(copies), "--out", str(tmp_path / "audit")]) == 0
    summary = json.loads((tmp_path / "audit" / "audit.json").read_text("utf-8"))
    assert summary["films"] == 27
    assert len(summary["unreadable"]) == 3
    assert all(item["file"] in (tmp_path / "audit" / "report.md").read_text("utf-8") for item in summary["unreadable"])


def test_films_none_of_which_can_be_read_are_an_error_and_the_folder_stays_free(films, tmp_path, capsys):
    for grade in range(5):
        (tmp_path / "films" / str(grade)).mkdir(parents=True)
        (tmp_path / "films" / str(grade) / "a.png").write_bytes(b"")
    command = ["audit", "--out", str(tmp_path / "audit"), "--data"]
    assert main([*command, str(tmp_path / "films")]) == 1
    assert "None of 5 films could be read" in said(capsys)
    assert main([*command, str(films)]) == 0


def test_a_folder_of_other_things_is_not_written_into(films, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    assert main(["audit", "--data", str(films), "--out", str(tmp_path)]) == 1
    assert "is not empty and no step of this loop made it" in said(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("step", [["audit", "--data"], ["train", "--architecture", "residual", "--data"]])
def test_a_place_that_cannot_be_written_to_is_named(films, audited, tmp_path, capsys, step):
    (tmp_path / "file").write_text("x", "utf-8")
    out = tmp_path / "file" / "out"
    capsys.readouterr()
    assert main([*step, str(films if step[0] == "audit" else audited), "--out", str(out)]) == 1
    assert f"{out} can't be written" in said(capsys)


def test_the_quickstart_fails_with_the_same_line(tmp_path, capsys):
    (tmp_path / "file").write_text("x", "utf-8")
    assert quickstart(["--out", str(tmp_path / "file" / "out")]) == 1
    assert "can't be written" in said(capsys)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from tuning.run import steps
from tuning.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size to stand for a full disk")
def test_a_full_disk_is_one_line_and_the_same_command_works_when_there_is_room(films, tmp_path):
    """The system refuses to write over 2 kB to a file, as a full disk does in the middle of films.csv."""
    command = ["audit", "--data", str(films), "--out", str(tmp_path / "audit")]
    done = subprocess.run([sys.executable, "-c", FULL, *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "room and permission" in done.stderr
    assert not (tmp_path / "audit" / "audit.json").exists()
    assert main(command) == 0
