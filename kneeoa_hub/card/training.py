"""The card's sections on the networks: their training, what each is worth alone, and how to make them again."""

from collections.abc import Sequence

from ..bundle import BundleConfig
from ..evidence import Evidence
from .sections import figure, title

LARGER = "@"
"""NAME@SIZE went on from NAME's weights on larger films: `python -m tuning train`."""


def curves(config: BundleConfig, evidence: Evidence, figures: str) -> str:
    """The picture of validation kappas, and what it does not show."""
    names = _names(config)
    drawn = evidence.training.drawn
    if drawn is None:  # an older bundle does not say
        return f"![Validation kappa by epoch]({figures}training.png)"
    lacking = [name for name in names if name not in drawn]
    longer = [name for name in drawn if LARGER in name]
    notes = [f"The kappas of {_listed(lacking)} by epoch were not kept, and are not drawn."] if lacking else []
    if longer:
        notes.append(
            f"Of {_listed(longer)} the epochs on larger films alone are drawn, without those on smaller films before"
            " them."
        )
    picture = [f"![Validation kappa by epoch]({figures}training.png)"] if drawn else []
    return "\n\n".join([*picture, *([" ".join(notes)] if notes else [])])


def members(config: BundleConfig, evidence: Evidence) -> str:
    """Every member alone, and whether it grades a mirrored film alike."""
    entries = evidence.members
    if not entries:
        return ""
    names = list(entries[0].metrics)
    folding = {
        name
        for name, entry in zip(_names(config), config.members, strict=True)
        if entry.get("architecture", {}).get("fold")
    }
    lines = [
        "Each member alone, with the temperature and the rule that were fitted for all of them together:",
        "",
        "| member | " + " | ".join(f"{title(name)}: QWK" for name in names) + " | mirrored film, equal grade |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for entry in entries:
        cells = [figure(entry.metrics[name].qwk) for name in names]
        agreement = entry.mirrored_agreement
        built = ", by construction" if entry.name in folding and agreement.value == 1 else ""
        lines.append(f"| {entry.name} | " + " | ".join(cells) + f" | {figure(agreement)}{built} |")
    return "\n".join(lines)


def reproduce(evidence: Evidence) -> str:
    """How the shipped weights are made again, and how long these were trained."""
    lengths = [f"{entry.name} {entry.epochs}" for entry in evidence.training.members if entry.name]
    larger = (
        f" (of one with {LARGER} those at that size alone, after a longer training on smaller films)"
        if any(LARGER in length for length in lengths)
        else ""
    )
    trained = (
        f" Epochs of these networks{larger}: {', '.join(lengths)}; the recipe may have others by now."
        if lengths
        else ""
    )
    return (
        "## Reproduce\n\n`make weights` with `KNEEOA_DATA` naming a folder with the two datasets audits, searches,"
        " trains, evaluates and exports by today's recipe, on the films that today's audit lets through, with inverted"
        f" ones put right.{trained} No two trainings end with the same weights. What changed from version to version:"
        " CHANGELOG.md of the package; the test figures of every version, and of one that was not published, side by"
        " side: docs/benchmarks.md there."
    )


def _names(config: BundleConfig) -> list[str]:
    return [entry.get("name", f"winner-{number}") for number, entry in enumerate(config.members)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
