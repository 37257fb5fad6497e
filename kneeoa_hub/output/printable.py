"""A report to print or pass on: films with their grades as one HTML file or one PDF (extra `report`)."""

import base64
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from ..errors import KneeOAError, MissingExtra, SettingsError
from ..grades import GRADES
from ..overlay import film_picture
from ..report import DISCLAIMER, Answer, FilmReport, percent
from .knee_html import GRADE_COLOURS, STYLE, Html, fill, join, knee_html, problem_html, warnings_html
from .knee_view import Bar, FilmView, KneeView

FORMS = (".html", ".pdf")
PICTURE_SIDE = 900
"""The longest side of a picture in pixels; a larger film is shrunk."""
FILM, EVIDENCE = "The film with stretched contrast.", "The evidence for the grade, strongest where it is yellow."
HEADING = "Knee osteoarthritis: Kellgren-Lawrence grades"
SCALE = tuple(f"{grade.value} {grade.label}: {grade.criterion}" for grade in GRADES)
PAGE_STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  color: var(--ink); max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h2 { overflow-wrap: anywhere; }
.notice { background: var(--note-back); color: var(--note-ink); padding: .4rem .8rem; font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 29rem)); gap: .6rem; }
figure { margin: 0; } figcaption { font-size: .85rem; color: var(--soft); }
figure img { width: 100%; background: #0b1116; }
.knee { margin: 1rem 0; break-inside: avoid; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; font-size: .85rem; color: var(--soft); }
@media print { h2 { break-before: page; } h2:first-of-type { break-before: auto; } * { print-color-adjust: exact; } }
"""
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$heading</title><style>$style</style></head>
<body><h1>$heading</h1><p class="notice">$disclaimer</p>
$films<footer><p>$foot</p></footer></body></html>
""")
_FILM = Template("<h2>$title</h2>\n$problem$pictures$knees$warnings")
_PICTURES = Template('<div class="pictures">$figures</div>\n')
_FIGURE = Template("""<figure><img alt="$caption" src="data:image/png;base64,$content">\
<figcaption>$caption</figcaption></figure>""")
_LINE = Template("$text<br>")


class Document:
    """A report that takes films one by one and keeps only what it shows of them."""

    def add(self, title: str, answer: Answer) -> None:
        """Add a film's report, or the reason why there is none."""
        raise NotImplementedError

    def content(self) -> bytes:
        """Return the whole document."""
        raise NotImplementedError


def new_document(path: Path) -> Document:
    """Return an empty document of the form that the name's ending says.

    Raises SettingsError for an ending outside FORMS, MissingExtra for a PDF without fpdf2.
    """
    form = path.suffix.lower()
    if form not in FORMS:
        raise SettingsError(f"{path}: the name of a report must end in {' or '.join(FORMS)}.")
    return HtmlDocument() if form == ".html" else PdfDocument()


class HtmlDocument(Document):
    """One HTML page that holds everything and needs no network."""

    def __init__(self) -> None:
        self._films: list[Html] = []
        self._models: set[str] = set()

    def add(self, title: str, answer: Answer) -> None:
        """Add a film's section, as Document does."""
        film = FilmView.of(title, answer)
        self._models |= {film.model} - {""}
        self._films.append(
            fill(
                _FILM,
                title=film.title,
                problem=problem_html(film),
                pictures=Html() if isinstance(answer, KneeOAError) else _figures(answer),
                knees=join(map(knee_html, film.knees)),
                warnings=warnings_html(film),
            )
        )

    def content(self) -> bytes:
        """Return the page as UTF-8."""
        page = fill(
            _PAGE,
            heading=HEADING,
            style=Html(STYLE + PAGE_STYLE),
            disclaimer=DISCLAIMER,
            films=join(self._films),
            foot=join(fill(_LINE, text=text) for text in (*sorted(self._models), *SCALE)),
        )
        return page.encode("utf-8", "replace")  # a message may hold a film's name that is no UTF-8


class PdfDocument(Document):
    """A PDF on A4 with one page or more for every film."""

    def __init__(self) -> None:
        try:
            from fpdf import FPDF
        except ImportError:
            raise MissingExtra(
                "A PDF needs fpdf2; install it with: pip install 'kneeoa-hub[report]', or write .html"
            ) from None
        self._pdf: Any = FPDF(format="A4")
        self._pdf.set_title(HEADING)
        self._pdf.set_auto_page_break(True, margin=15)
        self._pdf.c_margin = 0  # text then begins where pictures do

    def add(self, title: str, answer: Answer) -> None:
        """Add a film's page, as Document does."""
        film = FilmView.of(title, answer)
        self._pdf.add_page()
        for text, size, style in ((HEADING, 14, "B"), (DISCLAIMER, 10, "B"), (film.title, 11, "")):
            self._line(text, size, style)
        self._pdf.ln(2)
        if film.failure:
            self._line(f"This film could not be graded. {film.failure}", 11)
        if not isinstance(answer, KneeOAError):
            self._draw(_pictures(answer))
        if film.refusal:
            self._line(f"{film.refusal_title}: {film.refusal}", 11, "B")
        for knee in film.knees:
            self._knee(knee)
        for warning in film.warnings:
            self._line(f"Note: {warning}")
        self._pdf.ln(2)
        for text in ([film.model] if film.model else []) + [*SCALE]:
            self._line(text, 8)

    def content(self) -> bytes:
        """Return the PDF."""
        return bytes(self._pdf.output())

    def _line(self, text: str, size: int = 10, style: str = "") -> None:
        self._pdf.set_font("Helvetica", style, size)
        # The PDF's own fonts know Latin letters only.
        self._pdf.multi_cell(
            0, size * 0.5, text.encode("latin-1", "replace").decode("latin-1"), new_x="LMARGIN", new_y="NEXT"
        )

    def _draw(self, pictures: Iterable[tuple[Image.Image, str]]) -> None:
        """Draw the pictures side by side, at a height that leaves room for two knees below."""
        top, tallest = self._pdf.get_y(), 0.0
        self._pdf.set_font("Helvetica", "", 8)
        for place, (picture, caption) in enumerate(pictures):
            width = min(92.0, 100.0 * picture.width / picture.height)
            height, left = width * picture.height / picture.width, self._pdf.l_margin + 95 * place
            self._pdf.image(_small(picture), x=left, y=top, w=width)
            self._pdf.set_xy(left, top + height + 1)
            self._pdf.cell(92, 4, caption)
            tallest = max(tallest, height)
        self._pdf.set_xy(self._pdf.l_margin, top + tallest + 7)

    def _knee(self, knee: KneeView) -> None:
        self._line(f"{knee.name}: grade {knee.grade.value}, {knee.grade.label}", 12, "B")
        for sentence in knee.sentences:
            self._line(sentence)
        for bar in knee.bars:
            self._bar(bar)
        self._pdf.ln(2)

    def _bar(self, bar: Bar) -> None:
        pdf = self._pdf
        pdf.set_font("Helvetica", "B" if bar.reported else "", 10)
        pdf.cell(38, 5, f"{bar.grade.value} {bar.grade.label}")
        pdf.set_fill_color(GRADE_COLOURS[bar.grade.value])
        pdf.rect(pdf.get_x(), pdf.get_y() + 1, max(0.3, 80 * bar.probability), 3, "F")
        pdf.set_x(pdf.get_x() + 83)
        pdf.cell(20, 5, percent(bar.probability), new_x="LMARGIN", new_y="NEXT")


def _pictures(answer: FilmReport) -> Iterator[tuple[Image.Image, str]]:
    """Yield each picture when the one before is done with, since those of a large film take much memory."""
    yield film_picture(answer.film), FILM
    if answer.knees:
        yield answer.overlay(), EVIDENCE


def _figures(answer: FilmReport) -> Html:
    figures = (
        fill(_FIGURE, caption=caption, content=base64.b64encode(_small(picture).getvalue()).decode())
        for picture, caption in _pictures(answer)
    )
    return fill(_PICTURES, figures=join(figures))


def _small(picture: Image.Image) -> io.BytesIO:
    """Return the picture as PNG. It is shrunk in place, since a copy would be as large."""
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG")
    content.seek(0)
    return content
