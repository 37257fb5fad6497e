"""The card's sections on what lies outside: films of a kind that was not trained on, and what others measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..evidence import CrossDomainRow, Evidence
from .sections import figure, title

COLUMNS = {"qwk": "QWK", "accuracy": "accuracy", "auc_oa": "AUC, KL >= 2", "coverage": "90% set: coverage"}
STRIP_COLUMNS = {"qwk": "QWK", "accuracy": "accuracy", "mae": "MAE (grades)"}
SLIGHT = 0.2
"""A kappa under it is called slight (Landis & Koch, Biometrics 1977)."""


def two_knee_strips(evidence: Evidence) -> str:
    """Films of two knees under one grade, which no network was trained on."""
    found = evidence.two_knee_strips
    if not found:
        return ""
    lines = [
        (
            "Strips of two knees under one grade are not among these films, nor were networks trained on them. Each was"
            " cut in two by rule; the grade of its worse knee against the strip's, of which it is not known for which"
            " knee it was given:"
        ),
        "",
        "| set | strips | " + " | ".join(STRIP_COLUMNS.values()) + " |",
        "|---|---|" + "---|" * len(STRIP_COLUMNS),
    ]
    lines += [
        f"| {title(name)} | {row.qwk.n} | " + " | ".join(figure(getattr(row, key)) for key in STRIP_COLUMNS) + " |"
        for name, row in found.items()
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Peer:
    """A model of others, with the figures that its authors give for the official OAI test split; "" where they give
    none.
    """

    name: str
    weights: str
    accuracy: str
    qwk: str = ""
    balanced_accuracy: str = ""
    mae: str = ""


PEERS = (
    Peer(
        "[afzal2003/knee-oa-kl-grading](https://huggingface.co/afzal2003/knee-oa-kl-grading)",
        "scratch",
        "0.542",
        "0.753 (0.730-0.775)",
        "0.644 (0.621-0.666)",
    ),
    Peer(
        "[Darshan13/KneeVision-models](https://huggingface.co/Darshan13/KneeVision-models)",
        "ImageNet",
        "0.603",
        "0.775-0.792",
    ),
    Peer("Chen et al., Comput. Med. Imaging Graph. 2019 (this split's authors)", "ImageNet", "0.697", mae="0.344"),
    Peer("KneeXNet 2024, one network", "ImageNet", "0.69-0.70"),
    Peer("KneeXNet 2024, ten networks", "ImageNet", "0.72"),
)


def peers(evidence: Evidence) -> str:
    """What others measured on the split that this bundle was tested on a half of, and which of them grade better."""
    if "oai_test" not in evidence.metrics or not evidence.members:
        return ""
    accuracy = evidence.metrics["oai_test"].accuracy
    better = [
        one.name.partition("](")[0].removeprefix("[")
        for one in PEERS
        if float(one.accuracy.rpartition("-")[2]) > accuracy.value
    ]
    lines = [
        "## Others on the same split",
        "",
        (
            'Figures of their authors, on the official OAI test split of 1,656 knees, of which "OAI, test half" is a'
            " random half by patient:"
        ),
        "",
        "| model | weights from | QWK | accuracy | balanced accuracy | MAE (grades) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.weights} | {one.qwk} | {one.accuracy} | {one.balanced_accuracy} | {one.mae} |"
        for one in PEERS
    ]
    if better:
        lines += ["", f"Of these, a higher accuracy than this bundle's {figure(accuracy)} have: {'; '.join(better)}."]
    lines += [
        "",
        (
            "The CNN that this package grew out of (IEEE 10724941) reports a test accuracy of 0.515 on 165 films of the"
            " Gornale set, split by file."
        ),
    ]
    return "\n".join(lines)


def cross_domain(evidence: Evidence) -> str:
    """What a network that was trained on one collection is worth on another."""
    rows = evidence.cross_domain
    across = [row for row in rows if row.trained_on != "all" and not row.measured_on.startswith(row.trained_on + "_")]
    if not across:
        return ""
    lines = [
        _told(across),
        "",
        "| trained on | measured on | films | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        cells = " | ".join(figure(getattr(row, key)) for key in COLUMNS)
        lines.append(f"| {row.trained_on} | {title(row.measured_on)} | {row.qwk.n} | {cells} |")
    lines += [
        "",
        (
            "Of one network that a search chose, trained anew on each collection, one seed, on validation films. The"
            " collections differ in machine, readers and framing at once, so which of these does the harm is not known."
            " Knees that are in the data twice are among these films."
        ),
    ]
    return "\n".join(lines)


def _told(across: Sequence[CrossDomainRow]) -> str:
    """The finding in words that need no statistics."""
    kappas, held = (" and ".join(f"{getattr(row, key).value:.2f}" for row in across) for key in ("qwk", "coverage"))
    lead = "hardly anything carried over" if all(row.qwk.value < SLIGHT for row in across) else "not all may carry over"
    return (
        f"**From one collection to another {lead}.** A network that learnt from the films of one and graded those of"
        f" another had a kappa of {kappas}, "
        f'where 0 is chance and 1 is perfect; its "90%" sets held the grade in {held} of the films in place of 0.90. '
        "**Expect the same of your hospital's films until you have measured it**: compare with your readers' grades,"
        " and adapt or recalibrate "
        "(`python -m tuning adapt`), before you rely on a grade."
    )
