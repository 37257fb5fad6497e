"""The notebook of the docs as a researcher runs it, and how reports display themselves in a notebook."""

import ast
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kneeoa_hub
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.output.tables import CSV_COLUMNS

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def run(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell, and return what it shows: the value of its last line."""
    *lines, last = ast.parse(cell).body
    exec(compile(ast.Module(lines, []), str(NOTEBOOK), "exec"), names)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), str(NOTEBOOK), "exec"), names)
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_each_cell_shows_something(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if "outputs" in cell]
    names: dict[str, Any] = {}
    shown = [run(cell, names) for cell in cells]
    assert len(shown) >= 10
    assert all(value is not None for value in shown)
    assert len(names["both"]) == len(names["table"]) == 10
    assert any(re.match(r"10 knees: kappa -?\d", str(value)) for value in shown)
    assert (tmp_path / "grades.csv").read_text("utf-8").startswith(",".join(CSV_COLUMNS))


def test_a_report_and_a_knee_show_themselves(grader):
    report = grader.grade(sample_films()["both-knees"].pixels)
    page, knee = report._repr_html_(), report.knees[0]._repr_html_()
    assert page.count('<section class="knee"') == 2
    assert "no header names the side" in page
    assert kneeoa_hub.report.DISCLAIMER in page
    assert "Right knee" in knee
    for rules in (page, knee):  # the page of the notebook keeps its own style
        assert ":root" not in rules
        assert rules.index(".kneeoa {") < rules.index(".knee {")
    with Image.open(BytesIO(report._repr_png_())) as overlay, Image.open(BytesIO(report.knees[0]._repr_png_())) as heat:
        assert overlay.size == (640, 320)
        assert max(heat.size) == 256
        assert np.asarray(heat)[..., 0].max() > 200


def test_a_report_and_a_knee_are_short_in_a_prompt_and_findings_are_printed(grader):
    report = grader.grade(sample_films()["both-knees"].pixels)
    refused = grader.grade(np.full((300, 300), 90, np.uint8))
    assert repr(report).startswith("<FilmReport of 800x400 px: Right knee: KL 2 Mild; Left knee: KL ")
    assert "Not graded" in repr(refused)
    assert repr(grader) == f"<KneeGrader: kneeoa-cnn {grader.revision}, prediction sets of 90%>"
    assert repr(report.knees[0]).startswith("<KneeGrade: right knee, KL 2 Mild, probability ")
    assert not re.search(r"\d\.\d{3}", repr(report) + repr(report.knees))
    assert repr(report.findings()) == str(report) == str(report.findings())
    assert "\nIMPRESSION\n" in repr(report.findings())


def test_a_table_has_numbers_and_a_row_for_what_was_not_graded(grader, films):
    blank, mild = np.full((300, 300), 90, np.uint8), sample_films()["mild"].pixels
    table = grader.grade_frame({"both": films["both-knees"], "bad": b"no film", "blank": blank, "mild": mild})
    assert table["film"].tolist() == ["both", "both", "bad", "blank", "mild"]
    assert table["grade"].isna().tolist() == [False, False, True, True, False]
    assert table["refused"].tolist()[3] == "no-detail"
    assert table["error"].notna().tolist() == [False, False, True, False, False]
    (knee,) = grader.grade(mild).knees
    row = table.iloc[4]
    assert (row["grade"], row["likeliest"], row["grade_set"]) == (knee.grade, knee.likeliest, knee.grade_set)
    assert tuple(row[["left", "top", "right", "bottom"]]) == knee.box
    assert row["p2"] == knee.probabilities[2]
    assert {str(table[name].dtype) for name in ("grade", "likeliest", "left")} == {"Int64"}
    alone = grader.grade(mild).to_frame()
    assert alone.columns.tolist() == list(CSV_COLUMNS[1:])
    assert alone["p2"].tolist() == [row["p2"]]


def test_a_folder_a_list_and_arrays_become_a_table(grader, films, tmp_path):
    (tmp_path / "mild.png").write_bytes(films["mild"].read_bytes())
    given = {str(tmp_path / "mild.png"): tmp_path, str(films["mild"]): [films["mild"]], "0": [b"no film"]}
    assert {name: grader.grade_frame(one)["film"].tolist() for name, one in given.items()} == {
        name: [name] for name in given
    }
    (tmp_path / "letter.docx").write_bytes(b"PK")
    with pytest.warns(UserWarning, match=r"skipped 1 other file .*: letter\.docx"):
        grader.grade_frame(tmp_path)


def test_one_film_is_not_taken_for_a_list_of_films(grader, films):
    mild = sample_films()["mild"].pixels
    with Image.open(films["mild"]) as picture, films["mild"].open("rb") as file:
        one_film = [films["mild"].read_bytes(), mild, np.stack([mild] * 3, 2), picture, file]
        assert [len(grader.grade_frame(one)) for one in one_film] == [1] * 5
        for one in (*one_film, films["mild"], str(films["mild"])):
            with pytest.raises(FilmError, match="several films"):
                list(grader.grade_batch(one))
    assert grader.grade_frame(np.stack([mild, mild]))["grade"].notna().tolist() == [True, True]
    with pytest.raises(FilmError, match="column of paths"):
        grader.grade_frame(grader.grade(mild).to_frame())
