"""Shows the model's card, the search that found it, and the scale that it grades by."""

from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from kneeoa_hub.bundle import SEARCH_REPORT, Bundle
from kneeoa_hub.card.reading import Picture, body, pictures_apart, unbroken
from kneeoa_hub.card.training import architectures, origin, searched_later
from kneeoa_hub.grades import GRADES
from kneeoa_hub.manifest import MOST_CARD
from kneeoa_hub.output.knee_html import Html, badge, fill, join

from .pictures import film_address, picture_address
from .samples import scale_films

SIGNS = (
    "A wide, even joint space and smooth bone ends.",
    "Perhaps a slightly narrower joint space, and a tiny osteophyte at the edge of a bone.",
    "Definite osteophytes at the edges, and a joint space that is narrower on one side.",
    "Several osteophytes, a clearly narrowed joint space, and whiter bone beside it.",
    "Hardly any joint space, large osteophytes, and white, deformed bone ends.",
)
"""The synthetic film of each grade shows these signs."""
UNITS = {"size": "size, pixels", "blocks": "blocks per stage"}
"""Choices whose names alone do not say what is counted."""

_SCALE = Template('<div class="scale">$steps</div>\n')
_STEP = Template("""<section class="step" aria-label="Grade $value">
<img src="$film" alt="Synthetic knee film of grade $value"><h3>$badge $label</h3>
<p>$criterion</p><p class="hint">$sign</p></section>
""")
_PLOT = Template("""<figure class="plot"><img src="$address" alt="$title"><figcaption>$title</figcaption></figure>
""")
_NO_PLOT = Template('<p class="hint">$title: the picture is missing.</p>\n')
_CHOICES = Template('<dl class="choices">$pairs</dl>\n')
_CHOICE = Template("<div><dt>$name</dt><dd>$value</dd></div>")


def model_card(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yield the card in order, as ("markdown", text) and ("html", picture), without its metadata and comments."""
    path = bundle.folder / "README.md"
    card = (
        path.read_text("utf-8", "replace") if path.is_file() else f"# {bundle.config.name}\n\nThis model has no card."
    )
    yield from _document(bundle.folder, unbroken(body(card)))


def search_record(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yield how the architecture was found, in the form of `model_card`; with the trials that the model came from."""
    found, parts = bundle.evidence.search, architectures(bundle.config.members)
    report = bundle.folder / SEARCH_REPORT
    if not found.trials.value or not found.best_val_qwk:
        by_name = "The architecture of this model was chosen by name, not by a search."
        if found.later:
            by_name = f"{by_name} {searched_later(found.later)}"
        joined = "Members of this model come from an earlier training. A search had found members of that training."
        yield "markdown", joined if report.is_file() and not found.later else by_name
        yield from _architectures(parts)
        yield from _report(bundle.folder, report)
        return
    yield (
        "markdown",
        (
            f"Keras Tuner ({found.tuner}) tried {found.trials.value:.0f} architectures on a part of the"
            f" training films. In its short trial, the best one reached a quadratic weighted kappa of"
            f" {found.best_val_qwk.value:.3f} on validation films. The kappa is 1 when all grades agree with the"
            " reader's, and 0 when they agree by chance. This model combines networks that were trained in full, on all"
            f" training films: {'; '.join(map(origin, parts))}. The model card has their figures."
        ),
    )
    yield from _architectures(parts)
    yield from _report(bundle.folder, report)


def _report(folder: Path, report: Path) -> Iterator[tuple[str, str]]:
    """Yield the report of a search that a bundle carries, or nothing if it carries none."""
    if report.is_file():
        with report.open(encoding="utf-8", errors="replace") as file:
            yield from _document(folder, file.read(MOST_CARD).removeprefix("# Search\n"))


def _architectures(parts: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, choices in parts.items():
        yield "markdown", f"## The architecture: {origin(name)}"
        yield "html", _choices(choices)


def _document(folder: Path, text: str) -> Iterator[tuple[str, str]]:
    """Yield Markdown of a bundle in order, with its pictures apart."""
    for part in pictures_apart(text):
        if isinstance(part, Picture):
            yield "html", _picture(folder / part.path, part.text)
        else:
            yield "markdown", part


def scale() -> Html:
    """Return the five grades, each with a synthetic film, its criterion and what to look for."""
    return fill(
        _SCALE,
        steps=join(
            fill(
                _STEP,
                value=grade.value,
                film=film_address(film.pixels),
                badge=badge(grade.value),
                label=grade.label,
                criterion=grade.criterion,
                sign=sign,
            )
            for grade, film, sign in zip(GRADES, scale_films(), SIGNS, strict=True)
        ),
    )


def _picture(path: Path, title: str) -> Html:
    return fill(_PLOT, address=picture_address(path), title=title) if path.is_file() else fill(_NO_PLOT, title=title)


def _choices(architecture: dict[str, Any]) -> Html:
    pairs = ((UNITS.get(name, name.replace("_", " ")), _words(value)) for name, value in architecture.items())
    return fill(_CHOICES, pairs=join(fill(_CHOICE, name=name, value=value) for name, value in pairs))


def _words(value: Any) -> str:
    known = {"": "none", True: "yes", False: "no"}
    if isinstance(value, float):
        return f"{value:.3g}"
    return known[value] if isinstance(value, bool | str) and value in known else str(value).replace("_", " ")
