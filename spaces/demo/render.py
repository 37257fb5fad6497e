"""A graded film as the page shows it: HTML in which everything that a visitor has sent is escaped."""

from collections.abc import Callable, Sequence
from html import escape

from kneeoa_hub import FilmReport, KneeGrade, KneeOAError
from kneeoa_hub.errors import FilmNotFound
from kneeoa_hub.grades import GRADES

from .pictures import film_address, heat_address, place

Answer = FilmReport | KneeOAError
GONE = "It was deleted meanwhile, as every film is after ten minutes; send it again."


def films(answers: Sequence[tuple[str, Answer]], note: str = "") -> str:
    """Every film with what was found, several below a table of all. answers: (name, answer). note: stands above."""
    parts = [f'<p class="message">{escape(note)}</p>'] if note else []
    if len(answers) > 1:
        parts.append(_table(answers))
    for number, (name, answer) in enumerate(answers, 1):
        title = f"{number}. {name}" if len(answers) > 1 else name
        parts.append(film(title, answer, f"film-{number}", findings))
    return "".join(parts)


def film(title: str, answer: Answer, anchor: str, more: Callable[[FilmReport], str] = lambda _: "") -> str:
    """One film: pictures, what was found, notes, and what `more` adds; or why there is nothing of that."""
    heading = f'<h2 id="{anchor}">{escape(title)}</h2>'
    if isinstance(answer, KneeOAError):
        reason = GONE if answer.code == FilmNotFound.code else answer.message
        body = (
            f'<p class="message bad" role="alert"><strong>This film could not be graded.</strong> {escape(reason)}</p>'
        )
    else:
        body = refusal(answer) + pictures(answer) + knees(answer, anchor) + warnings(answer) + more(answer)
    return f'<article class="film" aria-labelledby="{anchor}">{heading}{body}</article>'


def refusal(report: FilmReport) -> str:
    if report.refused is None:
        return ""
    return f'<p class="message note" role="alert"><strong>Not graded.</strong> {escape(report.refused.message)}</p>'


def warnings(report: FilmReport) -> str:
    if not report.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
    return f'<div class="message note"><strong>Please note</strong><ul>{items}</ul></div>'


def findings(report: FilmReport) -> str:
    """The text to copy into a note."""
    return (
        '<section class="findings" aria-label="Findings"><div><h3>Findings</h3><button type="button" class="copy">Copy'
        f' text</button></div><pre tabindex="0">{escape(report.findings())}</pre></section>'
    )


def pictures(report: FilmReport) -> str:
    """The film, beside it the same with its evidence, whose strength the visitor sets."""
    address = film_address(report.film)
    height, width = report.film.shape
    shape = f"aspect-ratio:{width}/{height};max-width:calc(32rem*{width / height:.4f})"
    original = (
        f'<figure><div class="stack" style="{shape}"><img src="{address}" alt="The film, in'
        ' gray"></div><figcaption>Film</figcaption></figure>'
    )
    if not report.knees:
        return f'<div class="pictures single">{original}</div>'
    layers = "".join(
        f'<img class="heat" style="{place(report, knee)}" src="{heat_address(knee)}" alt="">'
        f'<span class="frame" style="{place(report, knee)}"><b>KL {knee.grade}</b></span>'
        for knee in report.knees
    )
    overlay = (
        f'<figure><div class="stack" style="{shape}"><img src="{address}" alt="The film with each knee\'s frame, grade'
        f' and evidence">{layers}</div><figcaption><label class="strength">Evidence, brighter where it is'
        ' stronger<input type="range" min="0" max="100" value="50" aria-label="Opacity of the evidence, in per'
        ' cent"></label></figcaption></figure>'
    )
    return f'<div class="pictures">{original}{overlay}</div>'


def knees(report: FilmReport, anchor: str) -> str:
    """What was found in each knee; of two, one is shown at a time."""
    named = list(zip(report.names, report.knees, strict=True))
    panels = "".join(_knee(name, knee, report.level) for name, knee in named)
    if len(report.knees) < 2:
        return f'<div class="knees">{panels}</div>' if panels else ""
    tabs = "".join(
        f'<input type="radio" name="{anchor}-knee" id="{anchor}-knee-{number}"{" checked" if number == 1 else ""}>'
        f'<label for="{anchor}-knee-{number}">{escape(name)} {badge(knee.grade)}</label>'
        for number, (name, knee) in enumerate(named, 1)
    )
    return f'<div class="knees tabbed" role="group" aria-label="Knees of this film">{tabs}{panels}</div>'


def _knee(name: str, knee: KneeGrade, level: float) -> str:
    label = escape(knee.label)
    likeliest = knee.probabilities.index(max(knee.probabilities))
    weighed = (
        ""
        if likeliest == knee.grade
        else " The grade weighs all five probabilities, so here it is not the likeliest one."
    )
    return (
        f'<section class="knee" aria-label="{escape(name)}"><div>'
        f'<header><span class="grade g{knee.grade}" aria-hidden="true">{knee.grade}</span>'
        f'<div><p class="side">{escape(name)}{"" if knee.side else ", side not known"}</p>'
        f'<p class="verdict">Grade {knee.grade} · {label}</p></div></header>'
        f'<p class="criterion">{escape(GRADES[knee.grade].criterion)}</p><dl class="facts">'
        f"<div><dt>Osteoarthritis (KL 2 or more)</dt><dd>{knee.osteoarthritis.capitalize()} "
        f"<small>probability {percent(knee.oa_probability)}</small></dd></div>"
        f"<div><dt>Not ruled out, at {percent(level)} confidence</dt><dd>Grade{'s' * (len(knee.grade_set) > 1)}"
        f" {span(knee.grade_set)}</dd></div>"
        f"<div><dt>Severity</dt><dd>{knee.severity:.1f} <small>of 4, the mean grade</small></dd></div></dl></div>"
        f'<div><table class="bars"><caption>Probability of each grade</caption><tbody>{_bars(knee)}</tbody></table>'
        f'<p class="hint">The line at the left marks the grades that are not ruled out.{weighed}</p></div></section>'
    )


def _bars(knee: KneeGrade) -> str:
    rows = []
    for grade, share in zip(GRADES, knee.probabilities, strict=True):
        kind = " ".join(["reported"] * (grade.value == knee.grade) + ["within"] * (grade.value in knee.grade_set))
        bar = f'<span class="track"><span class="g{grade.value}" style="width:{share:.2%}"></span></span>'
        title = f'<th scope="row">{grade.value} {grade.label}</th>'
        rows.append(f'<tr class="{kind}">{title}<td class="bar">{bar}</td><td class="share">{percent(share)}</td></tr>')
    return "".join(rows)


def _table(answers: Sequence[tuple[str, Answer]]) -> str:
    rows = []
    for number, (name, answer) in enumerate(answers, 1):
        link = f'<a href="#film-{number}">{number}. {escape(name)}</a>'
        if isinstance(answer, KneeOAError):
            rows.append(
                f'<tr><th scope="row">{link}</th><td colspan="4"><b>Failed.</b> {escape(answer.message)}</td></tr>'
            )
        elif answer.refused and not answer.knees:
            rows.append(
                f'<tr><th scope="row">{link}</th><td colspan="4"><b>Not graded.</b>'
                f" {escape(answer.refused.message)}</td></tr>"
            )
        else:
            rows += [
                "<tr><th"
                f' scope="row">{link}</th><td>{(knee.side or "not known").capitalize()}</td><td>{badge(knee.grade)}'
                f" {escape(knee.label)}</td><td>{knee.osteoarthritis.capitalize()}"
                f" ({percent(knee.oa_probability)})</td><td>{span(knee.grade_set)}</td></tr>"
                for knee in answer.knees
            ]
    head = "".join(
        f'<th scope="col">{title}</th>' for title in ("Film", "Side", "Grade", "KL 2 or more", "Not ruled out")
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All films"><table'
        f' class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def named(knee: KneeGrade) -> str:
    return f"{knee.side.capitalize()} knee" if knee.side else "Knee"


def badge(grade: int) -> str:
    return f'<span class="badge g{grade}">{grade}</span>'


def percent(share: float) -> str:
    """0..1 in whole per cent; what is small but possible is not called zero, nor what is likely certain."""
    if 0 < share < 0.005:
        return "&lt;1%"
    return "&gt;99%" if 0.995 <= share < 1 else f"{share:.0%}"


def span(grades: tuple[int, ...]) -> str:
    """Contiguous grades: "2" or "2 to 3"."""
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]} to {grades[-1]}"
