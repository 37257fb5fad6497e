"""A report to print or pass on: films with their grades as one HTML file or one PDF (extra `report`)."""

import base64
import html
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import KneeOAError, MissingExtra, SettingsError
from ..grades import GRADES, OSTEOARTHRITIS_FROM
from ..overlay import film_picture
from ..report import DISCLAIMER, FilmReport, KneeGrade, percent, span, weighed

FORMS = (".html", ".pdf")
PICTURE_SIDE = 900
"""Most pixels of a picture's longer side."""
COLOURS = ("#26707c", "#4a7a2d", "#8f6a00", "#b4540f", "#b3262e")
FILM, EVIDENCE = "The film, its contrast stretched.", "What the grade rests on: most where it is yellow."
HEADING = "Knee osteoarthritis: Kellgren-Lawrence grades"
SCALE = tuple(f"{grade.value} {grade.label}: {grade.criterion}" for grade in GRADES)
STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  color: #13232d; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; border-top: 1px solid #d5dee4; padding-top: 1rem; }
.notice { background: #fff4d6; color: #5b4300; padding: .4rem .8rem; font-weight: 600; }
.bad { background: #fdeaea; color: #8c1d1d; padding: .4rem .8rem; }
.films { display: flex; flex-wrap: wrap; gap: .6rem; } .films figure { margin: 0; flex: 1 1 18rem; max-width: 29rem; }
.films img { width: 100%; background: #0b1116; } figcaption { font-size: .85rem; color: #4d606c; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top; font-weight: 400; }
.bar { display: inline-block; height: .7rem; margin-right: .4rem; } .reported th, .reported td { font-weight: 700; }
footer { border-top: 1px solid #d5dee4; margin-top: 2rem; font-size: .85rem; color: #4d606c; }
@media print { h2 { break-before: page; } h2:first-of-type { break-before: auto; } }
"""


class Document:
    """Films are added one by one; only what is shown of them is kept."""

    def add(self, title: str, answer: FilmReport | KneeOAError) -> None:
        """A film's report, or why there is none."""
        raise NotImplementedError

    def content(self) -> bytes:
        """The whole document."""
        raise NotImplementedError


def new_document(path: Path) -> Document:
    """By the ending of a name.

    Raises SettingsError for another one than FORMS, MissingExtra for a PDF without fpdf2.
    """
    form = path.suffix.lower()
    if form not in FORMS:
        raise SettingsError(f"{path}: a report's name ends on {' or '.join(FORMS)}.")
    return HtmlDocument() if form == ".html" else PdfDocument()


class HtmlDocument(Document):
    """One page with everything inside, to be read without a network."""

    def __init__(self) -> None:
        self._parts: list[str] = [f"<h1>{HEADING}</h1><p class='notice'>{DISCLAIMER}</p>"]
        self._models: set[str] = set()

    def add(self, title: str, answer: FilmReport | KneeOAError) -> None:
        """As of Document."""
        self._parts.append(f"<h2>{html.escape(title)}</h2>")
        if isinstance(answer, KneeOAError):
            self._parts.append(f"<p class='bad'>Not read: {html.escape(answer.message)}</p>")
            return
        self._models.add(_model(answer))
        if answer.refused:
            self._parts.append(f"<p class='bad'>{html.escape(answer.refusal)}</p>")
        pictures = "".join(_figure(picture, caption) for picture, caption in _pictures(answer))
        self._parts.append(f"<div class='films'>{pictures}</div>")
        self._parts += [
            _knee_html(name, knee, answer.level) for name, knee in zip(answer.names, answer.knees, strict=True)
        ]
        self._parts += [f"<p>Note: {html.escape(warning)}</p>" for warning in answer.warnings]

    def content(self) -> bytes:
        """As of Document."""
        foot = "<br>".join(map(html.escape, (*sorted(self._models), *SCALE)))
        return (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport'"
            " content='width=device-width'>"
            f"<title>{HEADING}</title><style>{STYLE}</style></head><body>{''.join(self._parts)}<footer><p>{foot}</p></footer></body></html>\n"
        ).encode("utf-8", "replace")  # a message may hold a film's name that is no UTF-8


class PdfDocument(Document):
    """A page or more for every film, A4."""

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

    def add(self, title: str, answer: FilmReport | KneeOAError) -> None:
        """As of Document."""
        self._pdf.add_page()
        for text, size, style in ((HEADING, 14, "B"), (DISCLAIMER, 10, "B"), (title, 11, "")):
            self._line(text, size, style)
        self._pdf.ln(2)
        if isinstance(answer, KneeOAError):
            self._line(f"Not read: {answer.message}", 11)
            return
        self._draw(_pictures(answer))
        if answer.refused:
            self._line(answer.refusal, 11, "B")
        for name, knee in zip(answer.names, answer.knees, strict=True):
            self._line(_title(name, knee), 12, "B")
            for text in _facts(knee, answer.level):
                self._line(text)
            self._bars(knee)
        for warning in answer.warnings:
            self._line(f"Note: {warning}")
        self._pdf.ln(2)
        for text in (_model(answer), *SCALE):
            self._line(text, 8)

    def content(self) -> bytes:
        """As of Document."""
        return bytes(self._pdf.output())

    def _line(self, text: str, size: int = 10, style: str = "") -> None:
        self._pdf.set_font("Helvetica", style, size)
        # The PDF's own fonts know Latin letters only.
        self._pdf.multi_cell(
            0, size * 0.5, text.encode("latin-1", "replace").decode("latin-1"), new_x="LMARGIN", new_y="NEXT"
        )

    def _draw(self, pictures: Iterable[tuple[Image.Image, str]]) -> None:
        """Beside each other, so high that a page holds what is said of two knees below."""
        top, tallest = self._pdf.get_y(), 0.0
        self._pdf.set_font("Helvetica", "", 8)
        for place, (picture, caption) in enumerate(pictures):
            width = min(92.0, 100.0 * picture.width / picture.height)
            height, left = width * picture.height / picture.width, self._pdf.l_margin + 95 * place
            self._pdf.image(_small(picture), x=left, y=top, w=width)
            self._pdf.set_xy(left - self._pdf.c_margin, top + height + 1)
            self._pdf.cell(92, 4, caption)
            tallest = max(tallest, height)
        self._pdf.set_xy(self._pdf.l_margin, top + tallest + 7)

    def _bars(self, knee: KneeGrade) -> None:
        pdf = self._pdf
        for grade, probability in zip(GRADES, knee.probabilities, strict=True):
            pdf.set_font("Helvetica", "B" if grade.value == knee.grade else "", 10)
            pdf.cell(38, 5, f"{grade.value} {grade.label}")
            pdf.set_fill_color(COLOURS[grade.value])
            pdf.rect(pdf.get_x(), pdf.get_y() + 1, max(0.3, 80 * probability), 3, "F")
            pdf.set_x(pdf.get_x() + 83)
            pdf.cell(20, 5, percent(probability), new_x="LMARGIN", new_y="NEXT")
        pdf.ln(2)


def _pictures(answer: FilmReport) -> Iterator[tuple[Image.Image, str]]:
    """One after the other, as a large film's take much memory."""
    yield film_picture(answer.film), FILM
    if answer.knees:
        yield answer.overlay(), EVIDENCE


def _knee_html(name: str, knee: KneeGrade, level: float) -> str:
    rows = "".join(
        f"<tr{' class=reported' if grade.value == knee.grade else ''}><th scope='row'>{grade.value} {grade.label}</th>"
        "<td><span class='bar'"
        f" style='width:{12 * probability:.2f}rem;background:{COLOURS[grade.value]}'></span>"
        f"{html.escape(percent(probability))}</td></tr>"
        for grade, probability in zip(GRADES, knee.probabilities, strict=True)
    )
    facts = "<br>".join(map(html.escape, _facts(knee, level)))
    return f"<h3>{html.escape(_title(name, knee))}</h3><p>{facts}</p><table>{rows}</table>"


def _title(name: str, knee: KneeGrade) -> str:
    return f"{name}: grade {knee.grade}, {knee.label}"


def _facts(knee: KneeGrade, level: float) -> tuple[str, ...]:
    return (
        GRADES[knee.grade].criterion,
        *([weighed(knee).strip()] if weighed(knee) else []),
        (
            f"Radiographic osteoarthritis (KL {OSTEOARTHRITIS_FROM} or more) {knee.osteoarthritis}, probability"
            f" {percent(knee.oa_probability)}."
        ),
        f"Not ruled out, at {percent(level)} confidence: {span(knee.grade_set)}. Severity {knee.severity:.1f} of 4.",
        *([] if knee.side else ["The film does not say which side this is."]),
    )


def _figure(picture: Image.Image, caption: str) -> str:
    content = base64.b64encode(_small(picture).getvalue()).decode()
    return (
        f"<figure><img alt='{caption}'"
        f" src='data:image/png;base64,{content}'><figcaption>{caption}</figcaption></figure>"
    )


def _small(picture: Image.Image) -> io.BytesIO:
    """As PNG; the picture itself is made small, since its copy would be as large."""
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG")
    content.seek(0)
    return content


def _model(answer: FilmReport) -> str:
    return f"Model {answer.model}, revision {answer.revision}."
