"""Writes the card's sections on how well the bundle grades."""

from collections.abc import Mapping

from ..bundle import BundleConfig, Conformal
from ..decision import threshold_rank
from ..evidence import CalibrationEvidence, Estimate, Evidence, SetEvidence, SubgroupEvidence
from ..grades import GRADES, NUM_GRADES
from ..sources import collection
from .text import figure, label, listed, one_in, section, table, times

MEASURES = (
    "QWK",
    "accuracy",
    "balanced accuracy",
    "MAE (grades)",
    "AUC, KL >= 2",
    "ECE",
    "90% set: coverage",
    "90% set: mean size",
)
TEST = "_test"
"""The name of a set of test films ends with this suffix."""
PACKAGE = "kneeoa-hub"
"""Under this name, the versions in evidence.json have the release that evaluated; it is missing up to 0.14.0."""
SUBGROUP_MEASURES = ("QWK", "accuracy", "MAE (grades)", "AUC, KL >= 2")
GRADE_NAMES = tuple(f"{grade.value} {grade.label}" for grade in GRADES)
EXPOSURE = {
    "film gray": (
        "Film gray: thirds of the films by the mean gray of the decoded film, with bright bone and before any"
        " stretching. It says how dark the films are."
    ),
    "exposure": (
        "Exposure: thirds of the films by the mean gray of the network's input, whose grays are already stretched. It"
        " does not say how dark the films are."
    ),
}
"""The card describes each kind of subgroup in these words. Evidence up to 0.7.0 has the second kind."""


def measures(row: SetEvidence) -> tuple[Estimate | None, ...]:
    """Return the estimates under the headings `MEASURES`."""
    return (
        row.qwk,
        row.accuracy,
        row.balanced_accuracy,
        row.mae,
        row.auc_oa,
        row.ece,
        row.coverage,
        row.set_size,
    )


def _subgroup_measures(row: SubgroupEvidence) -> tuple[Estimate | None, ...]:
    return row.qwk, row.accuracy, row.mae, row.auc_oa


def held_out(evidence: Evidence) -> Mapping[str, SetEvidence]:
    """Return the measures on test films, or on all films if no test films were evaluated."""
    return {name: row for name, row in evidence.metrics.items() if name.endswith(TEST)} or evidence.metrics


def headline(evidence: Evidence) -> str:
    """Return the table of the first screen and what its collections are. It says if it holds no test films."""
    headings = ("films", "knees", "QWK", "accuracy", "AUC, KL >= 2", "sensitivity, KL >= 2", "specificity, KL >= 2")
    shown = held_out(evidence)
    rows = [
        (label(name), row.qwk.n, row.qwk, row.accuracy, row.auc_oa, row.sensitivity_oa, row.specificity_oa)
        for name, row in shown.items()
    ]
    names = dict.fromkeys(name.rpartition("_")[0] for name in shown)
    about = " ".join(known.about for name in names if (known := collection(name)))
    tested = any(name.endswith(TEST) for name in evidence.metrics)
    note = "These are validation films, on which the calibration was fitted: the measures are optimistic."
    return "\n\n".join(filter(None, [table(headings, rows), about, "" if tested else note]))


def evaluations(evidence: Evidence) -> str:
    """Describe how often the test films were evaluated, and what validation films can't tell."""
    now = int(evidence.test_looks.value)
    earlier = evidence.test_evaluations - now
    if not now:
        return (
            "The held-out test films were not evaluated for this version. Calibration was fitted on these validation"
            f" films, so the measures on them are optimistic.{_before_borders(evidence)}"
        )
    before = (
        f" Before it, they were evaluated {times(earlier)} for earlier versions. This version has some of their"
        " networks, or learned from them."
        if earlier
        else ""
    )
    return (
        f"The test films were evaluated {times(now)} for this version.{before} Every choice was made on validation"
        " films: temperature, decision rule and prediction sets were fitted on them, so the figures on them are"
        f" optimistic.{_before_borders(evidence)}"
    )


def _before_borders(evidence: Evidence) -> str:
    """Say where frames were others at the evaluation: evidence names the release of this package since they changed."""
    if PACKAGE in evidence.versions:
        return ""
    return (
        " This bundle was evaluated and calibrated with a release up to 0.14.0. Since then, plain borders are cut by"
        " other rules and the exposure of a frame is measured otherwise, so most probabilities have changed a little."
    )


def all_sets(metrics: Mapping[str, SetEvidence]) -> str:
    """Tabulate every main measure, with one row for each set of films."""
    rows = [(label(name), row.qwk.n, *measures(row)) for name, row in metrics.items()]
    return table(("films", "knees", *MEASURES), rows)


def without_seen(evidence: Evidence) -> str:
    """Describe measures without the films whose knee is on another training film."""
    found = {name: row for name, row in evidence.without_seen.items() if row.films_seen.value}
    if not found:
        return ""
    rows = [
        (label(name), int(row.films_seen.value), row.metrics.qwk.n, *_subgroup_measures(row.metrics))
        for name, row in found.items()
    ]
    return section(
        "### Without knees that training films show",
        "Some knees are in the data more than once: shifted, zoomed or mirrored. This was found after the training."
        " Nothing was calibrated on films of such knees. The measures without them:",
        table(("films", "films left out", "knees", *SUBGROUP_MEASURES), rows),
    )


def recall(evidence: Evidence) -> str:
    """Tabulate the recall of each grade."""
    tables = {name: row.recall for name, row in evidence.by_grade.items()}
    return section(
        "### Recall by grade",
        "Of the knees of each reader's grade, the proportion that the model reports with that grade:",
        _by_grade(tables),
    )


def osteoarthritis(evidence: Evidence) -> str:
    """Describe how well the reported grade separates KL 2 or more, which is called osteoarthritis."""
    rows = [
        (label(name), row.sensitivity_oa, row.specificity_oa)
        for name, row in evidence.metrics.items()
        if row.sensitivity_oa or row.specificity_oa
    ]
    if not rows:
        return ""
    return section(
        "### Osteoarthritis: KL 2 or more",
        "By the reported grade:",
        table(("films", "sensitivity for KL >= 2", "specificity for KL >= 2"), rows),
    )


def missed(evidence: Evidence) -> str:
    """Say in words how many knees with osteoarthritis get a lower grade."""
    found = {name: 1 - row.sensitivity_oa.value for name, row in held_out(evidence).items() if row.sensitivity_oa}
    words = listed([f"{one_in(proportion)} ({label(name)})" for name, proportion in found.items()])
    return f"Of the knees with KL 2 or more, {words} get a grade below 2." if found else ""


def false_alarms(evidence: Evidence) -> str:
    """Say in words how many knees without osteoarthritis get a grade of 2 or more."""
    found = {name: 1 - row.specificity_oa.value for name, row in held_out(evidence).items() if row.specificity_oa}
    words = listed([f"{one_in(proportion)} ({label(name)})" for name, proportion in found.items()])
    return f"Of the knees with KL 0 or 1, {words} get a grade of 2 or more." if found else ""


def wide_sets(evidence: Evidence) -> str:
    """Say in words how many grades a prediction set leaves open, and how often it holds the reader's grade."""
    found = held_out(evidence)
    sizes = listed([f"{row.set_size.value:.1f} ({label(name)})" for name, row in found.items()])
    held = listed([f"{row.coverage.value:.2f} ({label(name)})" for name, row in found.items()])
    return f"On average, a 90% set holds {sizes} grades. It holds the reader's grade for {held} of the knees."


def set_coverage(config: BundleConfig, evidence: Evidence, figures: str) -> str:
    """Tabulate the coverage of the prediction sets of each grade.

    Args:
        config: The content of bundle.json, which says whether each grade has a threshold of its own.
        evidence: The content of evidence.json.
        figures: The prefix of the links to pictures.
    """
    tables = {name: row.coverage for name, row in evidence.by_grade.items() if row.coverage}
    if not tables:
        return ""
    aim = _aim(config.conformal, evidence.calibration)
    return section(
        "### Prediction sets by grade",
        f"The proportion of knees whose 90% prediction set holds the reader's grade. {aim}:",
        _by_grade(tables),
        f"![Prediction sets by grade]({figures}sets.png)" if reported_apart(evidence) else "",
    )


def _aim(sets: Conformal, fitted_with: CalibrationEvidence) -> str:
    if sets.by_grade and fitted_with.films:
        few = [threshold_rank(films, sets.level) > films for films in fitted_with.films]
    else:  # evidence up to 0.14.0 has no such counts, but then thresholds were hardly ever equal
        few = [threshold == sets.threshold for threshold in sets.thresholds]
    common = [f"KL {grade}" for grade, is_common in enumerate(few) if is_common]
    if len(common) == NUM_GRADES:
        return "The level of 90% holds over all knees together, not for each grade"
    fitted = "a threshold of its own, fitted on the calibration knees of that grade. So on films like those, the level"
    if common:
        return (
            f"Each grade but {listed(common)} has {fitted} of 90% should hold for each of these grades too. For"
            f" {listed(common)} the threshold of all knees together serves, and the level need not hold"
        )
    return f"Each grade has {fitted} of 90% should hold for each grade too"


def _by_grade(tables: Mapping[str, Mapping[str, Estimate]]) -> str:
    rows = [
        (label(name), *(figure(found.get(str(grade)), 2) for grade in range(NUM_GRADES)))
        for name, found in tables.items()
    ]
    return table(("films", *GRADE_NAMES), rows)


def lowest(tables: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Say in words the grade with the lowest estimate on each set of films."""
    words = []
    for name, found in tables.items():
        if not found:
            continue
        grade, least = min(found.items(), key=lambda item: item[1].value)
        words.append(f"KL {grade} ({least.value:.2f}; {label(name)})")
    return listed(words)


def subgroups(evidence: Evidence) -> str:
    """Describe measures by side and exposure."""
    tables = {name: groups for name, groups in evidence.subgroups.items() if groups}
    kinds = {group.partition(":")[0] for groups in tables.values() for group in groups}
    rows = [
        (label(name), group, row.qwk.n, *_subgroup_measures(row))
        for name, groups in tables.items()
        for group, row in groups.items()
    ]
    if not rows:
        return ""
    return section(
        "### By side and exposure",
        *(text for kind, text in EXPOSURE.items() if kind in kinds),
        table(("films", "subgroup", "knees", *SUBGROUP_MEASURES), rows),
    )


def reported_apart(evidence: Evidence) -> bool:
    """Return whether the evidence distinguishes the reported grade from the likeliest one, as it does from 0.6.0 on."""
    return all(row.ece_reported for row in evidence.metrics.values())


def calibration_error(evidence: Evidence) -> str:
    """Tabulate calibration errors beside those of a perfectly calibrated model."""
    apart = reported_apart(evidence)
    headings = ("films", "ECE, likeliest grade", "band", *(["ECE, reported grade"] if apart else []), "within the band")
    rows = []
    for name, row in evidence.metrics.items():
        if name not in evidence.by_grade:
            continue
        band = evidence.by_grade[name].ece_if_perfect
        within = "yes" if row.ece.value <= band.high else "no"
        rows.append((label(name), row.ece, band, *([row.ece_reported] if apart else []), within))
    note = "Where the reported grade is not the likeliest one, outputs show the probability of the reported one."
    return "\n\n".join([table(headings, rows), *([note] if apart else [])])


def rules_tried(evidence: Evidence) -> str:
    """Tabulate the agreement of each decision rule that was tried."""
    tried = evidence.calibration.decision_tried
    if not tried:
        return ""
    names = {
        "argmax": "the likeliest grade",
        "median": "the grade at which half of the probability is reached",
        "expected": "the expected grade, rounded",
        "fitted": "the expected grade, cut at fitted thresholds (cross-validated)",
    }
    rows = [(names.get(rule, rule), f"{row.qwk.value:.3f}", f"{row.accuracy.value:.3f}") for rule, row in tried.items()]
    return section(
        "### Decision rules",
        "The rule with the highest QWK plus half the accuracy was chosen. On the films that it was chosen on:",
        table(("rule", "QWK", "accuracy"), rows),
    )


def _percent(level: str) -> str:
    try:
        return f"{float(level):.0%}"
    except ValueError:
        return level


def other_levels(evidence: Evidence) -> str:
    """Tabulate the prediction sets of the other levels."""
    rows = [
        (label(name), _percent(level), row.coverage, row.set_size)
        for name, levels in evidence.calibration.other_levels.items()
        for level, row in levels.items()
    ]
    if not rows:
        return ""
    return section(
        "### Other levels",
        "Prediction sets of other levels, with `from_pretrained(level=...)`:",
        table(("films", "level", "coverage", "mean size"), rows),
    )
