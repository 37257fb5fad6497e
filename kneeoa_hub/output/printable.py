"""Makes a report to print or pass on: films with their grades as one HTML file or one PDF (extra `report`)."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from ..errors import KneeOAError, MissingExtra, SettingsError
from ..grades import GRADES
from ..knee import percent
from ..overlay import film_picture
from ..report import DISCLAIMER, Answer, FilmReport
from .fonts import TextWriter
from .knee_html import GRADE_COLOURS, STYLE, Html, fill, films_table, join, knee_html, problem_html, warnings_html
from .knee_view import Bar, FilmView, KneeView

FORMS = (".html", ".pdf")
MOST_FILMS = 1_000
"""A report of the command line shows at most 1,000 films. It is made in memory, and a large film takes a megabyte."""
PICTURE_SIDE = 900
"""The longest side of a picture has 900 pixels. A larger film is shrunk."""
FILM = "The film with stretched contrast."
EVIDENCE = "Evidence: yellow where it is strongest. No colour: it is spread evenly."
HEADING = "Knee osteoarthritis: Kellgren-Lawrence grades"
SCALE = tuple(f"{grade.value} {grade.label}: {grade.criterion}" for grade in GRADES)
PAGE_STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  color: var(--ink); max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h2 { overflow-wrap: anywhere; }
.notice { background: var(--note-back); color: var(--note-ink); padding: .4rem .8rem; font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: .6rem; }
figure { margin: 0; max-width: 29rem; break-inside: avoid; } figcaption { font-size: .85rem; color: var(--soft); }
figure img { width: 100%; background: #0b1116; }
.knee { margin: 1rem 0; break-inside: avoid; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; font-size: .85rem; color: var(--soft); }
.again { display: none; }
@media print {
  h2 { break-before: page; } h2:first-of-type { break-before: auto; }
  h2:not(:first-of-type) + .again { display: block; }
  * { print-color-adjust: exact; }
}
"""
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$heading</title><style>$style</style></head>
<body><main><h1>$heading</h1><p class="notice">$disclaimer</p>
<p>$made</p>
$summary$films</main><footer><p>$foot</p></footer></body></html>
""")
_FILM = Template(
    '<h2 id="$anchor">$title</h2>\n<p class="notice again">$disclaimer</p>\n$study$problem$pictures$knees$warnings'
)
_STUDY = Template("<p>$text</p>\n")
UNREAD = "Films that could not be graded"
_UNREAD = Template(f"<h2>{UNREAD}</h2>\n<ul>$items</ul>\n")
_UNREAD_ITEM = Template("<li><strong>$title</strong>$text</li>\n")
_PICTURES = Template('<div class="pictures">$figures</div>\n')
_FIGURE = Template("""<figure><img alt="$caption" src="data:image/png;base64,$content">\
<figcaption>$caption</figcaption></figure>""")
_LINE = Template("$text<br>")


@dataclass(frozen=True, eq=False)
class _Film:
    """Holds what a document keeps of a film: number from 1, words, study, and pictures as PNG files with captions."""

    number: int
    view: FilmView
    study: str
    pictures: tuple[tuple[bytes, str], ...]


class Document:
    """Collects films one by one, and keeps only what it shows of them.

    With several films, the document begins with a table of all of them, and only lists the films that could not be
    read.
    """

    def __init__(self, made_on: date | None = None) -> None:
        self._made_on = made_on or datetime.now(UTC).astimezone().date()
        self._films: list[_Film] = []

    def add(self, title: str, answer: Answer, study: str = "") -> None:
        """Add a film.

        Args:
            title: The film's name as the reader knows it.
            answer: The film's report, or the error that says why there is none.
            study: A line about its study, see `study_line`, or "".
        """
        pictures = () if isinstance(answer, KneeOAError) else tuple(_pictures(answer))
        self._films.append(_Film(len(self._films) + 1, FilmView.of(title, answer), study, pictures))

    def content(self) -> bytes:
        """Return the whole document."""
        raise NotImplementedError

    @property
    def _made(self) -> str:
        return f"Report of {self._made_on.isoformat()}"

    @property
    def _shown(self) -> list[_Film]:
        """The films with a section of their own: all except those of several that could not be read."""
        return [film for film in self._films if len(self._films) == 1 or not film.view.failure]

    @property
    def _unread(self) -> list[_Film]:
        return [film for film in self._films if len(self._films) > 1 and film.view.failure]


def _after_title(view: FilmView) -> str:
    """Return what follows the title of a film that could not be read, "3. a.png"; most errors begin with its name."""
    number, _, name = view.title.partition(". ")
    rest = view.failure.removeprefix(name if number.isdigit() else view.title)
    return rest if rest.startswith((" ", ":")) else f": {view.failure}"


def new_document(path: Path) -> Document:
    """Return an empty document of the form that the name's ending says.

    Raises SettingsError for an ending outside FORMS, MissingExtra for a PDF without fpdf2.
    """
    form = path.suffix.lower()
    if form not in FORMS:
        raise SettingsError(f"{path}: the name of a report must end in {' or '.join(FORMS)}.")
    return HtmlDocument() if form == ".html" else PdfDocument()


def study_line(film: bytes) -> str:
    """Return the date and the accession number in a film's header as one line, or "" if it names neither."""
    from ..imaging.identity import read_identity

    try:
        identity = read_identity(film)
    except KneeOAError:  # a picture has no header, and the report itself says what is wrong with a film
        return ""
    facts = [f"study of {identity.date}"] if identity.date else []
    facts += [f"accession number {identity.accession}"] if identity.accession else []
    line = ", ".join(facts)
    return line[:1].upper() + line[1:]


class HtmlDocument(Document):
    """Makes one HTML page that holds everything and needs no network."""

    def content(self) -> bytes:
        """Return the page as UTF-8."""
        models = sorted({film.view.model for film in self._films} - {""})
        page = fill(
            _PAGE,
            heading=HEADING,
            style=Html(STYLE + PAGE_STYLE),
            disclaimer=DISCLAIMER,
            made=self._made,
            summary=self._summary() if len(self._films) > 1 else Html(),
            films=join(map(self._section, self._shown)),
            foot=join(fill(_LINE, text=text) for text in (*models, *SCALE)),
        )
        return page.encode("utf-8", "replace")  # a message may hold a film's name that is no UTF-8

    def _summary(self) -> Html:
        shown = [(f"film-{film.number}", film.view) for film in self._shown]
        unread = join(fill(_UNREAD_ITEM, title=film.view.title, text=_after_title(film.view)) for film in self._unread)
        return join([films_table(shown), fill(_UNREAD, items=unread) if unread else Html()])

    def _section(self, film: _Film) -> Html:
        figures = join(
            fill(_FIGURE, caption=caption, content=base64.b64encode(content).decode())
            for content, caption in film.pictures
        )
        return fill(
            _FILM,
            anchor=f"film-{film.number}",
            title=film.view.title,
            disclaimer=DISCLAIMER,
            study=fill(_STUDY, text=film.study) if film.study else Html(),
            problem=problem_html(film.view),
            pictures=fill(_PICTURES, figures=figures) if figures else Html(),
            knees=join(map(knee_html, film.view.knees)),
            warnings=warnings_html(film.view),
        )


class PdfDocument(Document):
    """Makes a PDF on A4 with one page or more for every film."""

    def __init__(self, made_on: date | None = None) -> None:
        super().__init__(made_on)
        try:
            import uharfbuzz  # noqa: F401  # by which fpdf2 joins the letters of Arabic
            from fpdf import FPDF
        except ImportError as error:
            raise MissingExtra(
                f"A PDF needs fpdf2 and uharfbuzz ({error}); install them with: pip install 'kneeoa-hub[report]', or"
                " write .html"
            ) from None
        made = self._made

        class Pages(FPDF):
            """Numbers the pages of the document."""

            def footer(self) -> None:
                self.set_y(-11)
                self.set_font("Helvetica", "", 8)
                self.cell(95, 5, made)
                self.cell(0, 5, f"Page {self.page_no()} of {{nb}}", align="R")

        self._pdf: Any = Pages(format="A4")
        self._pdf.set_title(HEADING)
        self._pdf.set_auto_page_break(True, margin=15)
        self._pdf.c_margin = 0  # text then begins where pictures do
        self._writer = TextWriter(self._pdf)

    def content(self) -> bytes:
        """Return the PDF."""
        if len(self._films) > 1:
            self._summary()
        for film in self._shown:
            self._film(film)
        return bytes(self._pdf.output())

    def _begin(self, title: str) -> None:
        self._pdf.add_page()
        for text, size, style in ((HEADING, 14, "B"), (DISCLAIMER, 10, "B"), (title, 11, "")):
            self._line(text, size, style)

    def _summary(self) -> None:
        self._begin(f"Summary of {len(self._films)} films")
        self._pdf.ln(2)
        for film in self._shown:
            self._line(
                f"{film.view.title}{f' ({film.study[0].lower()}{film.study[1:]})' if film.study else ''}", 10, "B"
            )
            if film.view.refusal:
                self._line(f"{film.view.refusal_title}: {film.view.refusal}")
            for knee in film.view.knees:
                self._line(knee.summary)
            if film.view.knees and film.view.notes:
                self._line(f"{film.view.notes}: see the page of this film")
        if self._unread:
            self._pdf.ln(2)
            self._line(UNREAD, 11, "B")
            for film in self._unread:
                self._line(film.view.title + _after_title(film.view))

    def _film(self, film: _Film) -> None:
        self._begin(film.view.title)
        if film.study:
            self._line(film.study)
        self._pdf.ln(2)
        if film.view.failure:
            self._line(f"This film could not be graded. {film.view.failure}", 11)
        self._draw(film.pictures)
        if film.view.refusal:
            self._line(f"{film.view.refusal_title}: {film.view.refusal}", 11, "B")
        for knee in film.view.knees:
            self._knee(knee)
        for warning in film.view.warnings:
            self._line(f"Note: {warning}")
        self._pdf.ln(2)
        for text in ([film.view.model] if film.view.model else []) + [*SCALE]:
            self._line(text, 8)

    def _line(self, text: str, size: int = 10, style: str = "") -> None:
        self._writer.write(text, size, style)

    def _draw(self, pictures: Sequence[tuple[bytes, str]]) -> None:
        """Draw the pictures side by side, at a height that leaves room for two knees below."""
        if not pictures:
            return
        top, tallest = self._pdf.get_y(), 0.0
        self._pdf.set_font("Helvetica", "", 8)
        for place, (content, caption) in enumerate(pictures):
            with Image.open(io.BytesIO(content)) as picture:
                across, down = picture.size
            width = min(92.0, 100.0 * across / down)
            height, left = width * down / across, self._pdf.l_margin + 95 * place
            self._pdf.image(io.BytesIO(content), x=left, y=top, w=width)
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


def _pictures(answer: FilmReport) -> Iterator[tuple[bytes, str]]:
    """Yield each picture when the one before is done with, since those of a large film take much memory."""
    yield _small(film_picture(answer.film)), FILM
    if answer.knees:
        yield _small(answer.overlay()), EVIDENCE


def _small(picture: Image.Image) -> bytes:
    """Return the picture as PNG. It is shrunk in place, since a copy would be as large."""
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
