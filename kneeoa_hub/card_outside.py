"""The card's sections on what lies outside: films of a collection that was not trained on, and what others measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from .card_sections import figure, title

COLUMNS = {"qwk": "QWK", "accuracy": "accuracy", "auc_oa": "AUC, KL >= 2", "coverage": "90% set: coverage"}
SLIGHT = 0.2
"""A kappa under it is called slight (Landis & Koch, Biometrics 1977)."""


def cross_domain(evidence: Mapping[str, Any]) -> str:
    """What a network that was trained on one collection is worth on another."""
    rows = evidence.get("cross_domain", ())
    across = [row for row in rows if row["trained_on"] != "all" and not row["measured_on"].startswith(row["trained_on"] + "_")]
    if not across:
        return ""
    lines = [
        _told(across),
        "",
        "| trained on | measured on | films | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        cells = " | ".join(figure(row[key]) for key in COLUMNS)
        lines.append(f"| {row['trained_on']} | {title(row['measured_on'])} | {row['qwk']['n']} | {cells} |")
    lines += [
        "",
        "Of one network that a search chose, trained anew on each collection, one seed, on validation films. The collections differ in machine, readers "
        "and framing at once, so which of these does the harm is not known.",
    ]
    return "\n".join(lines)


def _told(across: Sequence[Mapping[str, Any]]) -> str:
    """The finding in words that need no statistics."""
    kappas, held = (" and ".join(f"{row[key]['value']:.2f}" for row in across) for key in ("qwk", "coverage"))
    lead = "hardly anything carried over" if all(row["qwk"]["value"] < SLIGHT for row in across) else "a part was lost"
    return (
        f"**From one collection to another {lead}.** A network that learnt from the films of one and graded those of another had a kappa of {kappas}, "
        f'where 0 is chance and 1 is perfect; its "90%" sets held the grade in {held} of the films in place of 0.90. '
        "**Expect the same of your hospital's films until you have measured it**: compare with your readers' grades, and adapt or recalibrate "
        "(`python -m tuning adapt`), before you rely on a grade."
    )
