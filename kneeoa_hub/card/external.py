"""Writes the card's sections on films of other sources, and on models of other groups."""

from ..evidence import CrossDomainRow, Evidence
from ..sources import sources
from .text import escaped, label, section, table

SLIGHT = 0.2
"""A kappa below this value is called slight (Landis & Koch, Biometrics 1977)."""
OFFICIAL = "oai_test"
"""Other groups also measured on this set of films."""


def across(evidence: Evidence) -> list[CrossDomainRow]:
    """Return the rows of networks that were measured on another collection than they were trained on."""
    rows = evidence.cross_domain
    return [row for row in rows if row.trained_on != "all" and not row.measured_on.startswith(row.trained_on + "_")]


def other_sources(evidence: Evidence) -> str:
    """Say in words what a network is worth on films of another collection."""
    rows = across(evidence)
    advice = "compare with your readers, then adapt or recalibrate (`python -m tuning adapt`)."
    if not rows:
        return f"Films of other hospitals differ. Measure on your own films first: {advice}"
    kappas = " and ".join(f"{row.qwk.value:.2f}" for row in rows)
    held = " and ".join(f"{row.coverage.value:.2f}" for row in rows)
    slight = ": hardly anything carried over" if all(row.qwk.value < SLIGHT for row in rows) else ""
    return (
        f"For a comparison, networks were trained on one collection alone. On another they had a QWK of"
        f" {kappas}{slight}. Their 90% prediction sets held the reader's grade for {held} of the knees there. Other"
        f" networks can do better or worse. Do not trust the grades on your films until you have measured them:"
        f" {advice}"
    )


def cross_domain(evidence: Evidence) -> str:
    """Describe what a network that was trained on one collection measures on another."""
    if not across(evidence):
        return ""
    rows = [
        (escaped(row.trained_on), label(row.measured_on), row.qwk.n, row.qwk, row.accuracy, row.auc_oa, row.coverage)
        for row in evidence.cross_domain
    ]
    return section(
        "### From one collection to another",
        "One architecture that a search chose was trained anew on each collection and on all of them, with one seed,"
        " for this comparison alone, and measured on validation films. Networks of another architecture, with other"
        " first weights or another framing of the films, can carry over better or worse. The collections differ in"
        " machine, readers and framing at once, and this table does not tell these apart. Knees that are in the data"
        " twice are among these films.",
        table(("trained on", "measured on", "knees", "QWK", "accuracy", "AUC, KL >= 2", "90% set: coverage"), rows),
    )


def two_knee_strips(evidence: Evidence) -> str:
    """Describe films of two knees under one grade, which no network was trained on."""
    rows = [(label(name), row.qwk.n, row.qwk, row.accuracy, row.mae) for name, row in evidence.two_knee_strips.items()]
    if not rows:
        return ""
    return section(
        "### Strips of two knees",
        "Strips that show two knees under one grade are not among the films above, and no network was trained on them."
        " Each strip was cut in two by rule. The higher of its two reported grades was compared with the grade of the"
        " strip. It is not known which of the two knees that grade was given for.",
        table(("films", "strips", "QWK", "accuracy", "MAE (grades)"), rows),
    )


def peers(evidence: Evidence) -> str:
    """List what other groups measured on the split whose test half this bundle uses, and which grade better."""
    if OFFICIAL not in evidence.metrics or not evidence.members:
        return ""
    accuracy = evidence.metrics[OFFICIAL].accuracy
    known = sources().peers
    better = "; ".join(one.name for one in known if float(one.accuracy.rpartition("-")[2]) > accuracy.value)
    rows = [
        (
            f"[{one.name}]({one.link})" if one.link else one.name,
            one.weights,
            one.qwk,
            one.accuracy,
            one.balanced_accuracy,
            one.mae,
        )
        for one in known
    ]
    return section(
        "### Other models on the same split",
        "Measures by their authors, on the official OAI test split of 1,656 knees. A random half of these knees, drawn"
        f' by patient, is the set "{label(OFFICIAL)}" of this card.',
        table(("model", "initial weights", "QWK", "accuracy", "balanced accuracy", "MAE (grades)"), rows),
        f"Of these models, the following have a higher accuracy than this bundle, {accuracy:.3f}: {better}."
        if better
        else "",
        "The CNN that this package grew out of (IEEE 10724941) has a test accuracy of 0.515 on 165 films of the Gornale"
        " set, split by file.",
    )
