"""Writes the card's sections on the networks: their architectures, their training, and each network alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..bundle import BundleConfig, InputConfig
from ..evidence import Estimate, Evidence, ExportEvidence, LaterSearch, MemberEvidence, SearchEvidence
from ..sources import title
from .text import escaped, listed, section, table

BACKBONES = {f"lite{number}": f"EfficientNet-Lite {number}" for number in range(3)}
OWN_STAGES = "stem", "block", "widths", "blocks", "normalisation"
"""A backbone replaces these choices."""
LARGER = "@"
"""A network NAME@SIZE continued from NAME's weights on larger films; see `python -m tuning train`."""


def architecture(config: BundleConfig, evidence: Evidence, export: ExportEvidence) -> str:
    """Return the section on how the networks were found, how large they are, and what they receive.

    Args:
        config: The content of bundle.json.
        evidence: The bundle's evidence, with its search and its training.
        export: The part of the evidence that the step export adds, with sizes and agreement of the graphs.
    """
    counts = Counter(name for entry in config.members for name in architectures([entry]))
    if len(config.members) > 1:
        parts = listed([f"{origin(name)}{f' ({count})' if count > 1 else ''}" for name, count in counts.items()])
        made = f"The bundle averages the probabilities of {len(config.members)} networks: {parts}."
    else:
        made = f"It has one network: {listed([origin(name) for name in counts])}."
    return section(
        "## Architecture",
        f"{_searched(evidence.search)} {made} It has {export.parameters.value:,.0f} parameters; model.onnx has"
        f" {export.onnx_megabytes.value:.1f} MB. ONNX and Keras differ by at most"
        f" {export.onnx_keras_difference.value:.0e}.",
        f"{_input(config.input)}{_views(config)}",
        f"Members that were taken over from earlier versions: {evidence.training.origin}."
        if evidence.training.origin
        else "",
        *_lessons(config.name, evidence),
        _choices(config),
    )


def _input(config: InputConfig) -> str:
    size = f"Input: gray, {config.height}x{config.width} pixels."
    if config.crop == "frame":
        return (
            f"{size} The frame is the square about the joint, {config.reach:g} times as wide as the joint's box,"
            " however the film was cut. Its grays are in standard deviations of the tissue from the tissue's mean; air,"
            " black borders and collimation do not count. What lies beyond the film is as dark as air."
        )
    return (
        f"{size} The aspect is kept. The percentiles {config.low:g} and {config.high:g} of the grays become black and"
        " white, and each film is standardised."
    )


def _views(config: BundleConfig) -> str:
    """Describe what the members see of the input."""
    folds = [bool(_architecture(entry).get("fold")) for entry in config.members]
    sizes = {_architecture(entry).get("size") for entry in config.members}
    smaller = " A member of smaller size shrinks the input inside the graph." if len(sizes) > 1 else ""
    mirrored = " Each member averages its answers for the film and for its mirror image." if not all(folds) else ""
    folded = " A folded network passes both halves of a knee, the right one mirrored, through the same layers."
    return smaller + mirrored + (folded if any(folds) else "")


def _lessons(own: str, evidence: Evidence) -> Iterator[str]:
    """Yield what the networks learned from beside the readers' grades.

    `own` is the name of their bundle.
    """
    trained = evidence.training.members
    backbones = sorted({str(name) for one in trained if (name := (one.architecture or {}).get("backbone"))})
    if backbones:
        names = listed([BACKBONES.get(name, name) for name in backbones])
        yield f"The training began with the ImageNet weights of {names} by Google (Apache-2.0)."
    for teachers in dict.fromkeys(one.teachers for one in trained):
        if teachers:
            pupils = [one.name or "a member" for one in trained if one.teachers == teachers]
            known = [f"{name} of an earlier release" if name == own else name for name in teachers]
            yield (
                f"{listed(pupils)} also learned from the probabilities of teachers: {listed(known)}. The teachers saw"
                " each film as it is; the network that learned saw it changed in framing, exposure and quality."
            )


def _searched(search: SearchEvidence) -> str:
    if not search.trials.value or not search.best_val_qwk:
        later = f" {searched_later(search.later)}" if search.later else ""
        return f"The architectures were chosen by name, without a search.{later}"
    return (
        f"Keras Tuner ({search.tuner}) ran {search.trials.value:.0f} trials. The best trial reached a"
        f" validation QWK of {search.best_val_qwk.value:.3f} within its short training (best.json sha256"
        f" `{search.best_json_sha256[:16]}`)."
    )


def searched_later(later: LaterSearch) -> str:
    """Return in words what a search found that was made after the training."""
    trials = [
        f"{name} has the network of trial {one.trial}, number {one.place} of the {later.longest} longest trials, with a"
        f" log loss of {one.val_log_loss:.3f} on validation films"
        for name, one in later.networks.items()
    ]
    return (
        f"After their training, Keras Tuner ({later.tuner}) ran a search with these networks among its {later.trials}"
        f" trials, each with at most {later.films:,} training films and {later.epochs} epochs. {'; '.join(trials)}. By"
        f" its rule, the ensemble of that search has the trials {listed(later.chosen)}."
    )


def _choices(config: BundleConfig) -> str:
    """Return one column for each architecture."""
    columns = architectures(config.members)
    keys = dict.fromkeys(key for one in columns.values() for key in one)
    rows = [
        (key.replace("_", " "), *(_choice(one[key]) if key in one else "-" for one in columns.values())) for key in keys
    ]
    return table(("choice", *columns), rows)


def _choice(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value == "" else f"{value:.3g}" if isinstance(value, float) else str(value)


def architectures(members: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the choices of each architecture among a bundle's members, by its name in the training.

    A backbone has stages of its own, so that the choices of stages are left out for it.
    """
    return {
        entry.get("name", "winner-").rpartition("-")[0]: {
            key: value
            for key, value in _architecture(entry).items()
            if not (key in OWN_STAGES and _architecture(entry).get("backbone"))
        }
        for entry in members
    }


def origin(name: str) -> str:
    """Return in words where an architecture comes from: `python -m tuning train --architecture`."""
    if name == "winner":
        return "the winner of the search"
    if name.isdigit():
        return f"trial {name} of the search"
    return f"{BACKBONES[name]} ({name})" if name in BACKBONES else f"{name}, designed by hand"


def curves(config: BundleConfig, evidence: Evidence, figures: str) -> str:
    """Return the picture of validation kappas, and say what it does not show.

    Args:
        config: The content of bundle.json, which names the members.
        evidence: The bundle's evidence, which says whose epochs are drawn.
        figures: The prefix of a figure's link, "figures/" in a bundle.
    """
    picture = f"![Validation QWK by epoch]({figures}training.png)"
    drawn = evidence.training.drawn
    if drawn is None:  # evidence before 0.8.0 does not say
        return picture
    lacking = [name for name in _names(config) if name not in drawn]
    longer = [name for name in drawn if LARGER in name]
    notes = [
        f"The QWK by epoch of {listed(lacking)} was not kept, and is not drawn." if lacking else "",
        f"For {listed(longer)} only the epochs on larger films are drawn." if longer else "",
    ]
    return "\n\n".join(one for one in (picture if drawn else "", *notes) if one)


def members(config: BundleConfig, evidence: Evidence) -> str:
    """Describe each member alone, and whether it gives a mirrored film the same grade.

    A single network has the measures of the bundle, so that its row would repeat the table of all results.
    """
    entries = evidence.members
    sets = list(dict.fromkeys(name for entry in entries for name in entry.metrics))
    folded = {
        name for name, entry in zip(_names(config), config.members, strict=True) if _architecture(entry).get("fold")
    }
    rows = []
    for entry in entries:
        mirrored = f"{entry.mirrored_agreement:.3f}"
        built = ", by construction" if entry.name in folded and entry.mirrored_agreement.value == 1 else ""
        rows.append((entry.name or "member", *(_kappa(entry, name) for name in sets), mirrored + built))
    if len(rows) < 2:
        return "".join(f"Proportion of the films whose mirror image gets the same grade: {row[-1]}." for row in rows)
    return section(
        "### Each member alone",
        "With the temperature and the decision rule that were fitted for all of them together:",
        table(("member", *(f"{escaped(title(name))}: QWK" for name in sets), "mirrored film, same grade"), rows),
    )


def _kappa(entry: MemberEvidence, name: str) -> Estimate | None:
    return entry.metrics[name].qwk if name in entry.metrics else None


def reproduce(evidence: Evidence) -> str:
    """Describe how to train such weights again, and how long these were trained."""
    lengths = [f"{entry.name} {entry.epochs}" for entry in evidence.training.members if entry.name]
    larger = f", for a name with {LARGER} only those at that size" if any(LARGER in one for one in lengths) else ""
    return section(
        "## Reproduce",
        "`make shipped` trains the networks of this release again, and `make weights` those that a search finds. Both"
        " audit, train, evaluate and export. They need a GPU, a folder with both datasets, which `KNEEOA_DATA` names,"
        " and the bundle of 0.8.0 as a teacher (`TEACHER`). No two trainings end with the same weights.",
        f"Epochs of these members{larger}: {', '.join(lengths)}." if lengths else "",
        "CHANGELOG.md of the package says what changed in each version. Its docs/benchmarks.md compares the test"
        " measures of all versions, and of one that was not published, and counts the knees found on real films of"
        " both knees from another hospital. Its docs/training.md measures what a network with ImageNet weights, trained"
        " on framed films of one collection alone, is worth on another.",
    )


def _names(config: BundleConfig) -> list[str]:
    return [entry.get("name", f"winner-{number}") for number, entry in enumerate(config.members)]


def _architecture(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return entry.get("architecture", {})
