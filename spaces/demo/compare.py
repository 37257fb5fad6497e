"""Compares two films of one patient, then and now: what changed, and whether the model can tell."""

from collections.abc import Iterator
from string import Template

from kneeoa_hub import FilmReport, KneeGrade, KneeOAError
from kneeoa_hub.output.knee_html import Html, badge, fill, join
from kneeoa_hub.report import Answer, span

from .render import film, message

CAUTION = (
    "The model grades each film by itself. Another pose, beam or exposure also changes a grade. Joint space that is"
    " lost hardly ever returns, so a lower grade now is more often due to a different film than to a better knee."
)
_BOTH = Template('<div class="both">$films</div>\n')
_NOTE = Template('<p class="message warning">$text</p>\n')
_HINT = Template('<p class="hint">$text</p>\n')
_CHANGE = Template("""<section class="change" aria-label="Change: $name"><p><b>$name</b> $before → $after</p>
<p>$verdict</p><dl class="facts"><div><dt>Severity, 0 to 4</dt><dd>$severity</dd></div>
<div><dt>Grades not ruled out</dt><dd>$sets</dd></div></dl></section>
""")


def half(title: str, answer: Answer) -> Html:
    """Return the one film that the visitor has sent, and a sentence that asks for the other."""
    other = "Now" if title == "Then" else "Then"
    only = film(title, answer, title.lower())
    return join([message(f'Send the other film in the box "{other}".'), fill(_BOTH, films=only)])


def comparison(then: Answer, now: Answer, note: str = "") -> Html:
    """Return the change of every knee that is in both films, above the films themselves."""
    both = join([film("Then", then, "then"), film("Now", now, "now")])
    changes = Html()
    if not isinstance(then, KneeOAError) and not isinstance(now, KneeOAError):
        changes = _changes(then, now)
    return join([message(note), changes, fill(_BOTH, films=both)])


def verdict(then: KneeGrade, now: KneeGrade) -> str:
    """Return what the two answers allow to say: only prediction sets without a common grade speak for a change."""
    common = sorted(set(then.grade_set) & set(now.grade_set))
    if not common:
        return (
            "The two films have no common grade among those that are not ruled out: the model sees a"
            f" {'higher' if now.grade > then.grade else 'lower'} grade now."
        )
    return (
        f"The model cannot rule out grade{'s' * (len(common) > 1)} {span(common)} in either film, so the grade may be"
        " the same in both."
    )


def pairs(then: FilmReport, now: FilmReport) -> Iterator[tuple[KneeGrade, KneeGrade]]:
    """Yield the knees that belong together: by side, or the only knee of each film unless their sides differ."""
    if len(then.knees) == len(now.knees) == 1:
        before, after = then.knees[0], now.knees[0]
        if before.side is None or after.side is None or before.side == after.side:
            yield before, after
        return
    by_side = {knee.side: knee for knee in now.knees if knee.side}
    for knee in then.knees:
        if knee.side in by_side:
            yield knee, by_side[knee.side]


def _changes(then: FilmReport, now: FilmReport) -> Html:
    found = list(pairs(then, now))
    if then.refused or now.refused:  # the film itself says why
        return fill(_NOTE, text="One of the films was not graded, so there is nothing to compare.")
    if not found:
        return fill(
            _NOTE,
            text="The two films show no knee in common. Send two films of the same knee, or two films with both knees.",
        )
    return join([*(_change(before, after) for before, after in found), fill(_HINT, text=CAUTION)])


def _change(before: KneeGrade, after: KneeGrade) -> Html:
    side = after.side or before.side
    return fill(
        _CHANGE,
        name=f"{side.capitalize()} knee" if side else "Knee",
        before=badge(before.grade),
        after=badge(after.grade),
        verdict=verdict(before, after),
        severity=f"{before.severity:.1f} → {after.severity:.1f} ({after.severity - before.severity:+.1f})",
        sets=f"{span(before.grade_set)} → {span(after.grade_set)}",
    )
