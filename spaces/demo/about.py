"""Shows the model's card, the search that found it, and the scale that it grades by."""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from kneeoa_hub.bundle import SEARCH_REPORT, Bundle
from kneeoa_hub.card.reading import Picture, body, pictures_apart, unbroken
from kneeoa_hub.card.training import architectures, origin
from kneeoa_hub.evidence import SearchEvidence
from kneeoa_hub.grades import GRADES
from kneeoa_hub.manifest import MOST_CARD
from kneeoa_hub.output.knee_html import Html, badge, fill, join

from .pictures import film_address, picture_address
from .samples import scale_films

SEARCH = Path("docs/evidence/search")
"""The record of the search lies in this folder, in a checkout and in a Space."""
DECIMAL = re.compile(r"\d+\.\d+(e-?\d+)?")
SIGNS = (
    "A wide, even joint space and smooth bone ends.",
    "Perhaps a slightly narrower joint space, and a tiny osteophyte at the edge of a bone.",
    "Definite osteophytes at the edges, and a joint space that is narrower on one side.",
    "Several osteophytes, a clearly narrowed joint space, and whiter bone beside it.",
    "Hardly any joint space, large osteophytes, and white, deformed bone ends.",
)
"""The synthetic film of each grade shows these signs."""

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
_TRIALS = Template("""<details class="trials">
<summary>All $count trials as a table; the trials that this model consists of are marked</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Trials"><table class="plain small">
<thead><tr>$head</tr></thead><tbody>$rows</tbody></table></div></details>
""")
_HEAD = Template('<th scope="col">$name</th>')
_ROW = Template('<tr class="$kind">$cells</tr>')
_CELL = Template("<td>$value</td>")


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
        joined = "Members of this model come from an earlier training. A search had found members of that training."
        yield "markdown", joined if report.is_file() else by_name
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
    if not report.is_file():
        yield from _record_of_checkout(found, set(parts))


def _report(folder: Path, report: Path) -> Iterator[tuple[str, str]]:
    """Yield the report of a search that a bundle carries, or nothing if it carries none."""
    if report.is_file():
        with report.open(encoding="utf-8", errors="replace") as file:
            yield from _document(folder, file.read(MOST_CARD).removeprefix("# Search\n"))


def _architectures(parts: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, choices in parts.items():
        yield "markdown", f"## The architecture: {origin(name)}"
        yield "html", _choices(choices)


def _record_of_checkout(found: SearchEvidence, parts: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the search of a bundle that was made before bundles had its report, if the checkout has it."""
    folder = next((parent / SEARCH for parent in Path(__file__).parents if (parent / SEARCH).is_dir()), None)
    if folder is None or hashlib.sha256((folder / "best.json").read_bytes()).hexdigest() != found.best_json_sha256:
        yield "markdown", "The record of its trials is not here. The repository of the model has it."
        return
    yield (
        "markdown",
        (
            "## Every trial, by choice\n\nHyperband trains each candidate for a few epochs, and only the better ones"
            " for longer. The larger a dot, the longer the trial."
        ),
    )
    yield "html", _picture(folder / "search.png", "Validation kappa of every trial, by choice")
    yield "html", _trials(folder / "trials.csv", parts)


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
    pairs = ((name.replace("_", " "), _words(value)) for name, value in architecture.items())
    return fill(_CHOICES, pairs=join(fill(_CHOICE, name=name, value=value) for name, value in pairs))


def _words(value: Any) -> str:
    known = {"": "none", True: "yes", False: "no"}
    if isinstance(value, float):
        return f"{value:.3g}"
    return known[value] if isinstance(value, bool | str) and value in known else str(value).replace("_", " ")


def _trials(path: Path, trained: set[str]) -> Html:
    """Return the trials as a table of what differs between them, best first.

    Args:
        path: The CSV file of the trials.
        trained: The numbers of the trials that make up the model, or "winner" for the best one.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trained = {rows[0]["trial"] if name == "winner" else name for name in trained}
    names = [name for name in rows[0] if len({row[name] for row in rows}) > 1]
    return fill(
        _TRIALS,
        count=len(rows),
        head=join(fill(_HEAD, name=name.replace("_", " ")) for name in names),
        rows=join(
            fill(
                _ROW,
                kind="trained" if row["trial"] in trained else "",
                cells=join(fill(_CELL, value=_cell(name, row[name])) for name in names),
            )
            for row in rows
        ),
    )


def _cell(name: str, value: str) -> str:
    if name == "val_qwk":
        return f"{float(value):.3f}"
    # A rate such as 0.0006666666666666666 says no more than 0.000667.
    return f"{float(value):.3g}" if DECIMAL.fullmatch(value) else value.replace("_", " ")
