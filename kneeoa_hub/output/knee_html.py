"""Renders a `FilmView` as HTML, for Flask's pages, the Space and the printable report.

`fill` escapes each value as it enters its template, so a film's name or an error's text is never markup. The bars are
SVG without inline style, since Flask's Content-Security-Policy forbids that. `knee.css` beside this file is the style.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from ..knee import percent
from .knee_view import Bar, FilmView, KneeView

STYLE: str = files("kneeoa_hub.output").joinpath("knee.css").read_text("utf-8")
"""This style sheet of the markup has a light palette."""
GRADE_COLOURS: tuple[str, ...] = tuple(re.findall(r"--g[0-4]: (#[0-9a-f]{6})", STYLE))
"""The five grades have these colours in that palette, for outputs that are not HTML."""

_KNEE = Template("""<section class="knee" aria-label="$name">
<div>
<header><span class="grade g$value" aria-hidden="true">$value</span>
<div><h3>$name$side</h3><p class="verdict">Grade $value · $label$likeliest</p></div></header>
<p class="criterion">$criterion</p>
<dl class="facts">
<div><dt>Osteoarthritis</dt><dd>$likely <small>KL 2 or more: $probability</small></dd></div>
<div><dt>Not ruled out</dt><dd>$grade_set <small>$level</small></dd></div>
<div><dt>Severity</dt><dd>$severity of 4 <small>Mean grade</small></dd></div>
</dl>
</div>
<div>
<table class="bars"><caption>Probability of each grade</caption><tbody>$bars</tbody></table>
<p class="legend">The line at the left marks the grades that are not ruled out.$held $note</p>
</div>
</section>
""")
_BAR = Template("""<tr class="$marks"><th scope="row">$value $label</th>\
<td class="track"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">\
<rect class="back" width="100" height="8"/><rect class="fore g$value" width="$width" height="8"/></svg></td>\
<td class="share">$probability</td></tr>
""")
_LIKELIEST = Template(' <span class="tag">Likeliest: $value $label</span>')
_BADGE = Template('<span class="badge g$grade">$grade</span>')
_MESSAGE = Template('<p class="message $kind" role="alert"><strong>$title.</strong> $text</p>\n')
_WARNINGS = Template('<div class="message warning"><strong>Please note</strong><ul>$items</ul></div>\n')
_ITEM = Template("<li>$text</li>")
_TABLE = Template("""<div class="scroll" tabindex="0" role="region" aria-label="All films"><table class="films">
<thead><tr><th scope="col">Film</th><th scope="col">Side</th><th scope="col">Grade</th>\
<th scope="col">KL 2 or more</th><th scope="col">Not ruled out</th></tr></thead>
$films</table></div>
""")
_ROWS = Template("<tbody>$rows</tbody>\n")
_NO_KNEE = Template("""<tr><th scope="row"><a href="#$anchor">$title</a></th>\
<td colspan="4"><span class="tag $kind">$word</span> $text</td></tr>""")
_FILM = Template('<th scope="rowgroup" rowspan="$count"><a href="#$anchor">$title</a>$notes</th>')
_NOTES = Template(' <span class="tag">$count</span>')
_ROW = Template("""<tr>$film<td>$side</td><td>$badge <span class="word">$label</span>$likeliest</td>\
<td>$likely ($probability)</td><td>$grade_set</td></tr>""")


class Html(str):
    """Marks a text as safe to put into a page. Jinja and `fill` take it as it is and escape any other text."""

    __slots__ = ()

    def __html__(self) -> "Html":
        return self


def fill(template: Template, **values: object) -> Html:
    """Return a template with its values, each escaped unless it is Html already."""
    return Html(
        template.substitute(
            {name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
        )
    )


def join(parts: Iterable[Html]) -> Html:
    """Return the parts one after the other."""
    return Html("".join(parts))


def badge(grade: int) -> Html:
    """Return a grade's number on its colour."""
    return fill(_BADGE, grade=grade)


def knee_html(knee: KneeView) -> Html:
    """Return the section of one knee: grade, criterion, facts and probabilities."""
    return fill(
        _KNEE,
        name=knee.name,
        side="" if knee.side_known else ", side not known",
        value=knee.grade.value,
        label=knee.grade.label,
        likeliest=_likeliest(knee),
        criterion=knee.grade.criterion,
        likely=knee.osteoarthritis,
        probability=knee.oa_probability,
        level=f"At {knee.level} confidence" if knee.level else "Prediction set",
        grade_set=knee.grade_set,
        held=f" Such a set should hold the reader's grade for {knee.level} of all knees." if knee.level else "",
        severity=knee.severity,
        bars=join(map(_bar, knee.bars)),
        note=knee.note,
    )


def problem_html(film: FilmView) -> Html:
    """Return why a film has no grades, or was graded in spite of a refusal. Any other film gives nothing."""
    if film.failure:
        return fill(_MESSAGE, kind="error", title="This film could not be graded", text=film.failure)
    if film.refusal:
        return fill(_MESSAGE, kind="refusal", title=film.refusal_title, text=film.refusal)
    return Html()


def warnings_html(film: FilmView) -> Html:
    """Return the film's warnings as a list, or nothing if it has none."""
    items = join(fill(_ITEM, text=warning) for warning in film.warnings)
    return fill(_WARNINGS, items=items) if items else Html()


def films_table(films: Sequence[tuple[str, FilmView]]) -> Html:
    """Return a table with a row for each knee.

    `films` are pairs of the anchor of a film on the page, and the film.
    """
    return fill(_TABLE, films=join(fill(_ROWS, rows=_rows(anchor, film)) for anchor, film in films))


def _notes(film: FilmView) -> Html:
    """Return how many warnings a film has, so that nobody who reads the table alone misses them."""
    return fill(_NOTES, count=film.notes) if film.notes else Html()


def _likeliest(knee: KneeView) -> Html:
    """Return the mark of a knee whose likeliest grade is not the reported one."""
    if not knee.note:
        return Html()
    return fill(_LIKELIEST, value=knee.likeliest.value, label=knee.likeliest.label)


def _bar(bar: Bar) -> Html:
    marks = " ".join(name for name, marked in (("reported", bar.reported), ("within", bar.in_set)) if marked)
    return fill(
        _BAR,
        marks=marks,
        value=bar.grade.value,
        label=bar.grade.label,
        width=f"{100 * bar.probability:.2f}",
        probability=percent(bar.probability),
    )


def _rows(anchor: str, film: FilmView) -> Html:
    link = {"anchor": anchor, "title": film.title}
    if film.failure:
        return fill(_NO_KNEE, **link, kind="error", word="Failed", text=film.failure)
    if not film.knees:
        return fill(_NO_KNEE, **link, kind="refusal", word="Not graded", text=film.refusal)
    return join(
        fill(
            _ROW,
            film=Html() if number else fill(_FILM, **link, count=len(film.knees), notes=_notes(film)),
            side=knee.side,
            badge=badge(knee.grade.value),
            label=knee.grade.label,
            likeliest=_likeliest(knee),
            likely=knee.osteoarthritis,
            probability=knee.oa_probability,
            grade_set=knee.grade_set,
        )
        for number, knee in enumerate(film.knees)
    )
