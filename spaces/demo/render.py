"""Renders graded films as the page shows them: pictures, knees, warnings and findings."""

from collections.abc import Callable, Iterable, Sequence
from string import Template

from kneeoa_hub import FilmReport, KneeOAError
from kneeoa_hub.errors import FilmNotFound
from kneeoa_hub.output.knee_html import (
    Html,
    badge,
    fill,
    films_table,
    join,
    knee_html,
    problem_html,
    warnings_html,
)
from kneeoa_hub.output.knee_view import FilmView, KneeView
from kneeoa_hub.report import Answer

from .pictures import film_address, heatmap_address, place

GONE = "The server has deleted the film, as it deletes every film after ten minutes. Send it again."
LABEL_ROOM = 0.13
"""The labels stand above the frames if each frame leaves 13% of the film's height free, and otherwise within them."""

_NOTE = Template('<p class="message">$text</p>\n')
_FILM = Template("""<article class="film" aria-labelledby="$anchor"><h2 id="$anchor">$title</h2>
$problem$pictures$knees$warnings$more</article>
""")
_FINDINGS = Template("""<section class="findings" aria-label="Findings"><div><h3>Findings</h3>
<button type="button" class="copy">Copy text</button></div><pre tabindex="0">$text</pre></section>
""")
_PLAIN = Template("""<figure><div class="stack" style="$shape"><img src="$address" alt="The film, in gray"></div>
<figcaption>Film</figcaption></figure>
""")
_OVERLAY = Template("""<figure><div class="stack" style="$shape">
<img src="$address" alt="The film with the box, grade and evidence of each knee">$layers</div>
<figcaption><label class="strength">Evidence for the grade: yellow where it is strongest. No colour means that it
is spread over the whole knee. <span class="opacity">Opacity
<input type="range" min="0" max="100" value="50" aria-label="Opacity of the evidence, in per cent"></span></label>
</figcaption>
</figure>
""")
_LAYER = Template("""<img class="heatmap" style="$place" src="$heatmap" alt="">
<span class="frame$above" style="$place"><b>${side}KL $grade</b></span>
""")
_PICTURES = Template('<div class="pictures">$figures</div>\n')
_KNEES = Template('<div class="knees">$panels</div>\n')
_TABBED = Template("""<div class="knees tabbed" role="group" aria-label="Knees of this film">$tabs$panels</div>
""")
_TAB = Template("""<input type="radio" name="$anchor-knee" id="$anchor-knee-$number"$checked>\
<label for="$anchor-knee-$number">$name $badge$likeliest</label>
""")


def films(answers: Iterable[tuple[str, Answer]], note: str = "", *, several: bool = False) -> Html:
    """Return every film with its knees, below a table if there are several films.

    Args:
        answers: The name and the answer of each film. No answer is kept when the next one is taken.
        note: A sentence that stands above them.
        several: Whether there are several films.
    """
    views: list[tuple[str, FilmView]] = []
    shown: list[Html] = []
    for name, answer in answers:
        number = len(shown) + 1
        title, anchor = f"{number}. {name}" if several else name, f"film-{number}"
        views.append((anchor, _view(title, answer)))
        shown.append(film(title, answer, anchor, findings))
        del answer
    return join([message(note), films_table(views) if several else Html(), *shown])


def film(title: str, answer: Answer, anchor: str, more: Callable[[FilmReport], Html] = lambda _: Html()) -> Html:
    """Return one film with its pictures and knees, or the reason why there are none.

    Args:
        title: The heading.
        answer: The answer for the film.
        anchor: The id of the heading in the page.
        more: HTML that is added at the end of a film that has a report.
    """
    view = _view(title, answer)
    report = None if isinstance(answer, KneeOAError) else answer
    return fill(
        _FILM,
        anchor=anchor,
        title=title,
        problem=problem_html(view),
        pictures=pictures(report) if report else Html(),
        knees=knees(view.knees, anchor),
        warnings=warnings_html(view),
        more=more(report) if report else Html(),
    )


def message(text: str) -> Html:
    """Return a note to the visitor, or nothing for an empty text."""
    return fill(_NOTE, text=text) if text else Html()


def findings(report: FilmReport) -> Html:
    """Return the findings with a button that copies them."""
    return fill(_FINDINGS, text=report.findings())


def pictures(report: FilmReport) -> Html:
    """Return the film, and beside it the film with its evidence, whose opacity the visitor sets."""
    height, width = report.film.shape
    shared = {
        "address": film_address(report.film),
        "shape": f"aspect-ratio:{width}/{height};max-width:calc(32rem*{width / height:.4f})",
    }
    figures = [fill(_PLAIN, **shared)]
    if report.knees:
        above = " above" if min(knee.box[1] for knee in report.knees) > LABEL_ROOM * height else ""
        layers = join(
            fill(
                _LAYER,
                place=place(report, knee),
                above=above,
                heatmap=heatmap_address(knee),
                side=f"{knee.side.capitalize()}: " if knee.side else "",
                grade=f"{knee.grade} (likeliest {knee.likeliest})" if knee.likeliest != knee.grade else knee.grade,
            )
            for knee in report.knees
        )
        figures.append(fill(_OVERLAY, **shared, layers=layers))
    return fill(_PICTURES, figures=join(figures))


def knees(views: Sequence[KneeView], anchor: str) -> Html:
    """Return the knees of a film. Of several, the page shows one at a time."""
    panels = join(map(knee_html, views))
    if len(views) < 2:
        return fill(_KNEES, panels=panels) if views else Html()
    tabs = join(
        fill(
            _TAB,
            anchor=anchor,
            number=number,
            name=view.name,
            badge=badge(view.grade.value),
            likeliest=f" likeliest {view.likeliest.value}" if view.note else "",
            checked=Html("" if number > 1 else " checked"),
        )
        for number, view in enumerate(views, 1)
    )
    return fill(_TABBED, tabs=tabs, panels=panels)


def _view(title: str, answer: Answer) -> FilmView:
    """Return the words for an answer. An upload that the server has deleted gets GONE, since its error names a path."""
    return FilmView(title, failure=GONE) if isinstance(answer, FilmNotFound) else FilmView.of(title, answer)
