"""What is told about the model: its card, the search that found it, and the scale that it grades by."""

import csv
import hashlib
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from kneeoa_hub.bundle import Bundle
from kneeoa_hub.card.reading import Picture, body, pictures_apart
from kneeoa_hub.card.training import architectures, origin
from kneeoa_hub.grades import GRADES
from kneeoa_hub.output.knee_html import badge

from .pictures import film_address, picture_address
from .samples import scale_films

SEARCH = Path("docs/evidence/search")
"""Where the search's record lies, in a checkout and in a Space alike."""
SIGNS = (
    "Wide, even joint space; smooth bone ends.",
    "The joint space may be a little narrower; a tiny lip at a bone's edge.",
    "Definite bony lips at the edges; the space is narrower on one side.",
    "Several lips, the space clearly narrowed, the bone under it whiter.",
    "Next to no space left; large lips; the bone ends white and out of shape.",
)
"""What to look for in the synthetic film of each grade."""


def model_card(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yields the card in order, as ("markdown", text) and ("html", picture), without its metadata and comments."""
    path = bundle.folder / "README.md"
    card = (
        path.read_text("utf-8", "replace")
        if path.is_file()
        else f"# {bundle.config.name}\n\nThis model came without a card."
    )
    # an interval's ends stay together in a narrow column
    text = re.sub(r"\((\d\.\d+)-(\d\.\d+)\)", "(\\1\N{NON-BREAKING HYPHEN}\\2)", body(card))
    for part in pictures_apart(text):
        if isinstance(part, Picture):
            yield "html", _picture(bundle.folder / part.path, part.text)
        else:
            yield "markdown", part


def search_record(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """How the architecture was found, as `model_card` yields it.

    The trials are shown only if this model came from them.
    """
    found = bundle.evidence.search
    if not found.trials.value or not found.best_val_qwk:
        yield "markdown", "This model's architecture was chosen by name; no search led to it."
        return
    parts = architectures(bundle.config.members)
    yield (
        "markdown",
        (
            f"Keras Tuner ({found.tuner}) tried {found.trials.value:.0f} architectures on a part of the"
            f" training films. The best reached a quadratic weighted kappa of {found.best_val_qwk.value:.3f} on"
            " validation films within its short trial. The kappa is 1 when all grades agree with the reader's, 0 when"
            " they agree by chance. Trained in full, on all training films, and answering together in this model:"
            f" {'; '.join(map(origin, parts))}. Its card has the figures."
        ),
    )
    folder = next((parent / SEARCH for parent in Path(__file__).parents if (parent / SEARCH).is_dir()), None)
    if folder is None or hashlib.sha256((folder / "best.json").read_bytes()).hexdigest() != found.best_json_sha256:
        yield "markdown", "The record of its trials is not at hand here; the model's own repository tells of it."
        return
    for name, choices in parts.items():
        yield "markdown", f"## The architecture: {origin(name)}"
        yield "html", _choices(choices)
    yield (
        "markdown",
        (
            "## Every trial, by choice\n\nHyperband gives each candidate a few epochs and only the better ones more:"
            " the larger dots."
        ),
    )
    yield "html", _picture(folder / "search.png", "Validation kappa of every trial, by choice")
    yield "html", _trials(folder / "trials.csv", set(parts))


def scale() -> str:
    """The five grades: a synthetic film of each, its criterion, what to look for."""
    cards = "".join(
        f'<section class="step" aria-label="Grade {grade.value}">'
        f'<img src="{film_address(film.pixels)}" alt="Synthetic knee film of grade {grade.value}">'
        f"<h3>{badge(grade.value)} {grade.label}</h3><p>{escape(grade.criterion)}</p><p"
        f" class='hint'>{sign}</p></section>"
        for grade, film, sign in zip(GRADES, scale_films(), SIGNS, strict=True)
    )
    return f'<div class="scale">{cards}</div>'


def _picture(path: Path, title: str) -> str:
    if not path.is_file():
        return f'<p class="hint">{escape(title)}: the picture is missing.</p>'
    return (
        f'<figure class="plot"><img src="{picture_address(path)}"'
        f' alt="{escape(title)}"><figcaption>{escape(title)}</figcaption></figure>'
    )


def _choices(architecture: dict[str, Any]) -> str:
    pairs = ((name.replace("_", " "), _said(value)) for name, value in architecture.items())
    return (
        '<dl class="choices">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
        + "</dl>"
    )


def _said(value: Any) -> str:
    known = {"": "none", True: "yes", False: "no"}
    return known[value] if isinstance(value, bool | str) and value in known else str(value).replace("_", " ")


def _trials(path: Path, trained: set[str]) -> str:
    """The trials as a table of what differed between them, best first.

    trained: the numbers of those in the model, or "winner".
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trained = {rows[0]["trial"] if name == "winner" else name for name in trained}
    names = [name for name in rows[0] if len({row[name] for row in rows}) > 1]
    head = "".join(f'<th scope="col">{escape(name.replace("_", " "))}</th>' for name in names)
    body = "".join(
        f"<tr{' class=trained' * (row['trial'] in trained)}>"
        + "".join(f"<td>{escape(_cell(name, row[name]))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f'<details class="trials"><summary>All {len(rows)} trials as a table; what this model was made of is'
        ' marked</summary><div class="scroll" tabindex="0" role="region" aria-label="Trials"><table class="plain'
        f' small"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>'
    )


def _cell(name: str, value: str) -> str:
    return f"{float(value):.3f}" if name == "val_qwk" else value.replace("_", " ")
