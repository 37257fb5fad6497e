"""Writes the card's section on the films: how many there are, what was left out, and which faults are known."""

from ..evidence import DataEvidence
from ..grades import NUM_GRADES
from ..sources import collection
from .text import escaped, listed, section, table


def data(found: DataEvidence) -> str:
    """Describe the films of each split, copies, shortcuts, sources and readers."""
    rows = [
        (escaped(dataset), split, *counts)
        for dataset, splits in found.splits.items()
        for split, counts in splits.items()
        if sum(counts)
    ]
    known = [one for name in found.splits if (one := collection(name))]
    return section(
        "## Data",
        table(("collection", "split", *(f"KL {grade}" for grade in range(NUM_GRADES))), rows),
        f"No patient, and no leakage group that was known at training, is in two splits. Left out: {_left_out(found)}.",
        _shifted(found),
        _inverted(found),
        "\n".join(f"- {one.citation}" for one in known),
        "\n\n".join(one.readers for one in known),
        _overlaps(found),
        _shortcuts(found),
    )


def _left_out(found: DataEvidence) -> str:
    return "; ".join(f"{count} films ({reason})" for reason, count in sorted(found.left_out.items())) or "none"


def _shifted(found: DataEvidence) -> str:
    if not found.shifted_pairs:
        return ""
    return (
        f"{found.shifted_pairs} pairs of films show one knee, shifted or mirrored: {found.shifted_pairs_other_grade} of"
        f" them under two grades, {found.shifted_pairs_of_two_datasets} of them from two collections."
    )


def _overlaps(found: DataEvidence) -> str:
    """Describe films of one collection whose knees are in another."""
    rows = [
        row
        for row in found.overlaps.get("given_splits", ())
        if row.first.partition(":")[0] != row.second.partition(":")[0]
    ]
    if not rows:
        return ""
    return section(
        "### Knees in two collections",
        "By the splits that were given to the audit:",
        table(
            ("films of", "films", "show knees that are also in", "films that do"),
            [(_place(row.first), row.films, _place(row.second), row.same_group) for row in rows],
        ),
    )


def _place(name: str) -> str:
    return escaped(name.replace(": ", ", "))


def _inverted(found: DataEvidence) -> str:
    films = [f"{count} films of {escaped(name)}" for name, count in found.inverted.items()]
    return f"Films with inverted grays, put right before use: {listed(films)}." if films else ""


def _shortcuts(found: DataEvidence) -> str:
    """Describe how well the grade can be guessed from what does not show the joint."""
    rows = [
        (escaped(dataset), what, row.qwk, row.balanced_accuracy)
        for dataset, scores in found.shortcuts.items()
        for what, row in scores.items()
    ]
    if not rows:
        return ""
    return section(
        "### Shortcuts",
        "How well boosted trees guess the grade from what does not show the joint, over all films of a collection (by"
        " chance: QWK 0, balanced accuracy 0.20):",
        table(("collection", "guessed from", "QWK", "balanced accuracy"), rows),
        "The network receives no header, and every knee in one size and one exposure. Texture and surroundings stay in"
        " what it sees: where they tell the grade, a part of its agreement may come from them. A part can be the knee"
        " itself, since spectrum and histogram are of the whole film and disease also shows beside the joint.",
    )
