"""The command line: what it prints, where, and its exit codes."""

import csv
import io
import json

import pytest
from PIL import Image

from kneeoa_hub.cli import main


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


def test_csv_has_a_row_a_knee(films, capsys):
    assert main(["grade", "--csv", str(films["both-knees"]), "missing.png"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["knee"] for row in rows] == ["0", "1", ""]
    assert "missing.png" in rows[2]["error"]


def test_overlays_are_written_one_a_graded_film_at_full_size(films, tmp_path, capsys):
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


@pytest.mark.parametrize("arguments", [[], ["grade"], ["grade", "a.png", "--json", "--csv"], ["polish"]])
def test_a_wrong_command_line_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_no_such_model_is_usage_and_suggests_the_nearest(capsys):
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


def test_list_info_and_card_speak_of_the_shipped_bundle(grader, capsys):
    for command in (["list"], ["info"], ["card"]):
        assert main(command) == 0
        assert "kneeoa-cnn" in capsys.readouterr().out
