"""Compares two films of one patient, then and now: what changed, and whether the model can tell."""

from collections.abc import Iterator
from pathlib import Path
from string import Template

from kneeoa_hub import FilmReport, KneeGrade, KneeOAError
from kneeoa_hub.imaging.identity import FilmIdentity, read_identity
from kneeoa_hub.knee import span
from kneeoa_hub.output.knee_html import Html, badge, fill, join
from kneeoa_hub.report import Answer
from kneeoa_hub.study import unchecked, verdict, why_not_compared

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


def comparison(then: Answer, now: Answer, note: str = "", objection: str = "", doubt: str = "") -> Html:
    """Return the change of every knee that is in both films, above the films themselves.

    Args:
        then: The answer for the earlier film.
        now: The answer for the later film.
        note: A sentence about both films, or "".
        objection: Why the films must not be compared, or "".
        doubt: A caution for the reader of the comparison, or "".
    """
    both = join([film("Then", then, "then"), film("Now", now, "now")])
    changes = Html()
    if objection:
        changes = fill(_NOTE, text=objection)
    elif not isinstance(then, KneeOAError) and not isinstance(now, KneeOAError):
        changes = join([*([fill(_NOTE, text=doubt)] if doubt else []), _changes(then, now)])
    return join([message(note), changes, fill(_BOTH, films=both)])


def compared(paths: tuple[str, str], then: Answer, now: Answer) -> Html:
    """Return the comparison of two films unless their headers speak against it. The page shows nothing of a header.

    Args:
        paths: The earlier and the later film.
        then: The answer for the earlier film.
        now: The answer for the later film.
    """
    before, after = map(_identity, paths)
    doubts = filter(None, (unchecked(before, after), _unsided(then, now)))
    return comparison(then, now, "", why_not_compared(before, after), " ".join(doubts))


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


def _unsided(then: Answer, now: Answer) -> str:
    """Return a caution where nothing says that the only knees of two films are of one side, or ""."""
    if isinstance(then, KneeOAError) or isinstance(now, KneeOAError):
        return ""
    if all(before.side and after.side for before, after in pairs(then, now)):
        return ""
    return "At least one film does not name the side of its knee; check that both show the same knee."


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


def _identity(path: str) -> FilmIdentity:
    """Return the identity of a film. It is empty for a picture, or for a header that cannot be read."""
    try:
        return read_identity(Path(path).read_bytes())
    except (KneeOAError, OSError):
        return FilmIdentity()
