"""Reports to print hold what a reader needs, and no more."""

import csv
import io
import re
import zlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.cli import main
from kneeoa_hub.errors import SettingsError, UnsupportedFilm
from kneeoa_hub.grades import GRADES
from kneeoa_hub.output import fonts
from kneeoa_hub.output.printable import HtmlDocument, PdfDocument, new_document, study_line
from kneeoa_hub.output.tables import write_csv, write_table
from kneeoa_hub.report import DISCLAIMER

from ..support.dicom_films import study


def pdf_text(content: bytes) -> str:
    """The strings that a PDF of the package shows, in their order."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", content, re.DOTALL)
    plain = [zlib.decompress(stream) for stream in streams if stream[:1] == b"x"]
    shown = b"".join(stream for stream in plain if b") Tj" in stream)  # a font has no such operator
    return " ".join(text.decode("latin-1") for text in re.findall(rb"\((.*?)\) Tj", shown))


@pytest.fixture
def answers(grader, films):
    return [
        ("1. both.png", grader.grade(films["both-knees"])),
        ("2. blank.png", grader.grade(np.full((300, 300), 90, np.uint8))),
        ("3. <b>.png", UnsupportedFilm("<b>.png is not an image that can be read.")),
    ]


def test_an_html_report_says_everything_and_needs_no_network(answers):
    document = HtmlDocument()
    for title, answer in answers:
        document.add(title, answer)
    page = document.content().decode()
    both = answers[0][1]
    for knee in both.knees:
        assert f"<h3>{knee.side.capitalize()} knee</h3>" in page
        assert f"Grade {knee.grade} · {knee.label}" in page
        assert GRADES[knee.grade].criterion in page
    assert page.count("data:image/png;base64,") == 3
    assert DISCLAIMER in page
    assert page.count(f"Model {both.model}, revision {both.revision}. Its grades follow the readers of OAI.") == 1
    assert f"<strong>Not graded.</strong> {answers[1][1].refused.message}" in page
    assert "<strong>3. &lt;b&gt;.png</strong> is not an image" in page
    assert '1. both.png</a> <span class="tag">1 note</span>' in page
    assert page.index('<a href="#film-1">') < page.index('<h2 id="film-1">') < page.index('<h2 id="film-2">')
    assert 'id="film-3"' not in page
    assert "<b>" not in page
    assert not re.search(r"https?://|<script|<link", page)


def test_a_pdf_report_has_a_summary_a_page_for_every_film_and_one_list_of_what_was_not_read(answers):
    document = PdfDocument(date(2026, 1, 31))
    for title, answer in answers:
        document.add(title, answer)
    content = document.content()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 3
    text = pdf_text(content)
    for knee in answers[0][1].knees:
        assert f"{knee.side.capitalize()} knee: grade {knee.grade}, {knee.label}" in text
    assert text.count(DISCLAIMER) == 3
    first, *_ = text.split("Page 1 of")
    assert "Summary of 3 films" in first
    for knee in answers[0][1].knees:
        assert f"{knee.side.capitalize()} knee: grade {knee.grade}, {knee.label}; KL 2 or more" in first
    assert "1 note: see the page of this film" in first
    assert first.index("Films that could not be graded") < first.index("3. <b>.png is not an image")
    assert "Report of 2026-01-31" in text
    assert text.count("Its grades follow the readers of OAI.") == 2
    assert re.findall(r"Page (\d) of", text) == ["1", "2", "3"]


def test_a_report_names_study_and_accession_of_a_dicom_film_and_no_patient(grader, tmp_path):
    film = study(StudyDate="20240131", AccessionNumber="A7")
    assert study_line(film) == "Study of 2024-01-31, accession number A7"
    assert study_line(b"a picture") == ""
    (tmp_path / "knee.dcm").write_bytes(film)
    for form in ("html", "pdf"):
        assert main(["grade", str(tmp_path / "knee.dcm"), "--report", str(tmp_path / f"knee.{form}")]) == 0
        content = (tmp_path / f"knee.{form}").read_bytes()
        text = content.decode() if form == "html" else pdf_text(content)
        assert "Study of 2024-01-31, accession number A7" in text
        assert "12345" not in text


def letters_of(content: bytes) -> set[str]:
    """The letters of a PDF's embedded fonts, as its viewer gets them to copy and to search."""
    return {chr(int(code, 16)) for code in re.findall(rb"<[0-9A-F]{4}> <([0-9A-F]{4})>\n", content)}


def test_a_pdf_shows_names_of_other_scripts_in_fonts_of_the_machine(monkeypatch):
    import matplotlib

    monkeypatch.setattr(fonts, "font_folders", lambda: [Path(matplotlib.get_data_path()) / "fonts" / "ttf"])
    fonts._font_files.cache_clear()
    names = ("kolano_Łukasz – lewe.png", "Колено Иванов.png", "ركبة.png", "cafe\u0301.png")
    document = PdfDocument()
    for name in (*names, "膝 1.png", "\u202egnp.png"):
        document.add(name, UnsupportedFilm("It is not an image that can be read."))
    content = document.content()
    assert set("kolanoŁukaszКоленоИванов") <= letters_of(content)
    text = pdf_text(content)
    assert "café.png" in text
    assert text.count("Signs such as <U+819D>") == 1
    fonts._font_files.cache_clear()


@pytest.mark.parametrize(
    ("grade", "probability", "words"),
    [(2, 0.76, "likely"), (1, 0.2, "not likely"), (1, 0.6, "borderline"), (2, 0.4, "borderline")],
)
def test_every_output_says_osteoarthritis_in_the_same_careful_words(answers, grade, probability, words):
    report = answers[0][1]
    report = replace(
        report,
        knees=tuple(
            replace(knee, grade=grade, oa_probability=probability, grade_set=(0, 1, 2)) for knee in report.knees
        ),
    )
    page, printed = HtmlDocument(), PdfDocument()
    for document in (page, printed):
        document.add("film", report)
    said = f"adiographic osteoarthritis (KL 2 or more) {words}, probability {probability:.0%}."
    for text in (pdf_text(printed.content()).replace("\\", ""), report.findings()):
        assert text.count(said) == 2
    assert page.content().decode().count(f"{words.capitalize()} <small>KL 2 or more: {probability:.0%}") == 2


def test_a_film_graded_by_force_is_not_called_ungraded_anywhere(grader):
    forced = grader.grade(np.full((300, 300), 90, np.uint8), force=True)
    page, printed = HtmlDocument(), PdfDocument()
    for document in (page, printed):
        document.add("1. blank.png", forced)
    table, rows = io.StringIO(), io.StringIO()
    write_table([("blank.png", forced)], table)
    write_csv([("blank.png", forced)], rows)
    html = page.content().decode().replace(".</strong>", ":")
    for text in (html, pdf_text(printed.content()), table.getvalue(), forced.findings()):
        assert "Refused, but graded by force: The film shows no detail" in text
        assert "not graded" not in text.lower()
    (row,) = csv.DictReader(io.StringIO(rows.getvalue()))
    assert (row["refused"], row["grade"]) == ("no-detail", str(forced.knees[0].grade))


def test_a_grade_that_is_not_the_likeliest_is_explained(grader, films):
    reports = [grader.grade(film) for film in films.values()]
    knees = [knee for report in reports for knee in report.knees]
    document = HtmlDocument()
    for report in reports:
        document.add("film", report)
    differ = sum(int(np.argmax(knee.probabilities)) != knee.grade for knee in knees)
    assert differ == sum(knee.likeliest != knee.grade for knee in knees)
    explained = "The reported grade takes all five probabilities into account"
    assert document.content().decode().count(explained) == differ
    assert sum(report.findings().count(explained) for report in reports) == differ


def test_the_command_writes_a_report_beside_its_table(films, tmp_path, capsys):
    assert main(["grade", str(films["severe"]), "--report", str(tmp_path / "new" / "knee.html")]) == 0
    assert "Not a medical device" in capsys.readouterr().out
    assert "1. " in (tmp_path / "new" / "knee.html").read_text("utf-8")
    assert main(["grade", str(films["severe"]), "--report", str(tmp_path / "knee.doc")]) == 2
    assert "must end in .html or .pdf" in capsys.readouterr().err
    Image.new("L", (9, 9)).save(tmp_path / "file.png")
    assert main(["grade", str(films["severe"]), "--report", str(tmp_path / "file.png" / "x.html")]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_another_form_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"\.html or \.pdf"):
        new_document(tmp_path / "report.docx")


def test_a_message_with_a_name_that_is_not_utf8_is_written():
    for document in (HtmlDocument(), PdfDocument()):
        document.add("1. bad.png", UnsupportedFilm("bad\udcff.png is not an image that can be read."))
        content = document.content()
        text = content.decode() if isinstance(document, HtmlDocument) else pdf_text(content)
        assert "bad?.png is not an image" in text
