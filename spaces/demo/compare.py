"""Two films of one patient, then and now: what changed, and whether the model can tell."""

from collections.abc import Iterator
from html import escape

from kneeoa_hub import FilmReport, KneeGrade, KneeOAError

from .render import Answer, badge, film, named, span

CAUTION = (
    "Each film is graded by itself; another pose, beam or exposure also moves a grade. Lost joint space hardly ever"
    " comes back, so a lower grade now more often means a different film than a better knee."
)


def half(title: str, answer: Answer) -> str:
    """The one film that was sent, and what is still needed."""
    other = "now" if title == "Then" else "then"
    return (
        f'<p class="message">Now send the other film, in the box "{other.capitalize()}".</p><div'
        f' class="both">{film(title, answer, title.lower())}</div>'
    )


def comparison(then: Answer, now: Answer, note: str = "") -> str:
    """The change of every knee that is in both films, above the films themselves."""
    parts = [f'<p class="message">{escape(note)}</p>'] if note else []
    if not isinstance(then, KneeOAError) and not isinstance(now, KneeOAError):
        parts.append(_changes(then, now))
    parts.append(f'<div class="both">{film("Then", then, "then")}{film("Now", now, "now")}</div>')
    return "".join(parts)


def verdict(then: KneeGrade, now: KneeGrade) -> str:
    """What may be said: only sets of grades without a common one speak for a change."""
    common = sorted(set(then.grade_set) & set(now.grade_set))
    if not common:
        return (
            "The grades that are not ruled out have none in common: the model sees a"
            f" {'higher' if now.grade > then.grade else 'lower'} grade now."
        )
    return (
        f"Grade{'s' * (len(common) > 1)} {span(tuple(common))} can't be ruled out in either film, so the grade may be"
        " the same in both."
    )


def pairs(then: FilmReport, now: FilmReport) -> Iterator[tuple[KneeGrade, KneeGrade]]:
    """The knees that belong together: by side, or a lone knee in each film unless their sides are known to differ."""
    if len(then.knees) == len(now.knees) == 1:
        before, after = then.knees[0], now.knees[0]
        if before.side is None or after.side is None or before.side == after.side:
            yield before, after
        return
    by_side = {knee.side: knee for knee in now.knees if knee.side}
    for knee in then.knees:
        if knee.side in by_side:
            yield knee, by_side[knee.side]


def _changes(then: FilmReport, now: FilmReport) -> str:
    found = list(pairs(then, now))
    if then.refused or now.refused:  # the film itself says why
        return '<p class="message note">One of the films was not graded, so there is nothing to compare.</p>'
    if not found:
        return (
            '<p class="message note">No knee could be matched in the two films: send two films of the same knee, or two'
            " films with both knees.</p>"
        )
    return "".join(_change(before, after) for before, after in found) + f'<p class="hint">{CAUTION}</p>'


def _change(before: KneeGrade, after: KneeGrade) -> str:
    name = named(after) if after.side else named(before)
    return (
        f'<section class="change" aria-label="Change: {name}"><p><b>{name}</b> {badge(before.grade)} →'
        f' {badge(after.grade)}</p><p>{verdict(before, after)}</p><dl class="facts"><div><dt>Severity, 0 to'
        f" 4</dt><dd>{before.severity:.1f} → {after.severity:.1f}"
        f" ({after.severity - before.severity:+.1f})</dd></div><div><dt>Grades not ruled"
        f" out</dt><dd>{span(before.grade_set)} → {span(after.grade_set)}</dd></div></dl></section>"
    )
