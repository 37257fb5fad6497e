"""The card's sections beyond the headline: subgroups, finding, refusing, the joint."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..evidence import DataEvidence, Estimate, Evidence, FindingEvidence, Outcomes, SetEvidence

SETS = {
    "oai_test": "OAI, test half",
    "oai_val": "OAI, validation",
    "gornale_test": "Gornale, test fold",
    "gornale_val": "Gornale, validation",
}
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SUBGROUP_COLUMNS = {"qwk": "QWK", "accuracy": "accuracy", "mae": "MAE (grades)", "auc_oa": "AUC, KL >= 2"}
EXPOSURE = {
    "film gray": (
        "Film gray: thirds of a set's films by their mean gray as decoded, with bright bone, before any gray was"
        " stretched: how dark the films are."
    ),
    "exposure": (
        "Exposure: thirds of a set's films by the mean gray of what the network sees, whose grays are stretched"
        " already: not how dark the films were."
    ),
}
"""By the kind of subgroup; evidence of 0.7.0 and before has the second."""
FINDING = {
    "two_knee_strips": "strips of two knees: one joint found in each half",
    "single_strips": "strips of one knee: one joint found",
    "crops": "validation crops: one joint found",
    "crops_same_grade": "validation crops: same grade with the finder as without",
    "strips_same_grade": "validation strips of one knee: the same",
    "composed_count": "composed films: as many joints found as are there",
    "composed_empty": "composed films without a joint: none found",
    "composed_within_10": "joints of composed films: middle within 10% of the joint's width",
    "composed_within_5": "within 5%",
    "composed_reported_within_10": "joints of composed films: middle of the reported box, cut to the film, within 10%",
    "composed_posed_right": "composed films inverted or turned: put right, and every joint graded",
    "composed_empty_posed_refused": "composed films without a joint, inverted or turned: refused, as they should be",
    "composed_same_grade_as_true_box": "joints of composed films: the grade of their true box",
    "two_knee_strips_refused": "strips of two knees: refused",
    "single_strips_refused": "validation strips of one knee: refused",
    "composed_refused": "composed films with a joint: refused",
    "composed_empty_refused": "composed films without a joint: refused, as they should be",
    "rule_two_knee_strips": (
        "by a simple rule in place of the network (a dark gap parts two legs): strips of two knees cut in two"
    ),
    "rule_single_strips": "by that rule: strips of one knee left whole",
    "rule_composed_within_10": "by that rule: joints of composed films within 10%",
}


def reported_apart(evidence: Evidence) -> bool:
    """Whether the evidence tells the reported grade from the likeliest one, as that of 0.6.0 and later does."""
    return all(metrics.ece_reported for metrics in evidence.metrics.values())


def without_seen(evidence: Evidence) -> str:
    """Figures without the films whose knee the networks were trained on, in another film."""
    found = {name: row for name, row in evidence.without_seen.items() if row.films_seen.value}
    if not found:
        return ""
    lines = [
        (
            "Some knees are in the data more than once, shifted, zoomed or mirrored, which was found after these"
            " networks were trained. Without the films whose knee another film of training shows (nothing was"
            " calibrated on such films):"
        ),
        "",
        "| set | films left out | films | " + " | ".join(SUBGROUP_COLUMNS.values()) + " |",
        "|---|---|---|" + "---|" * len(SUBGROUP_COLUMNS),
    ]
    for name, row in found.items():
        seen, metrics = row.films_seen, row.metrics
        cells = " | ".join(figure(getattr(metrics, key)) for key in SUBGROUP_COLUMNS)
        lines.append(f"| {title(name)} | {int(seen.value)} | {metrics.qwk.n} | {cells} |")
    return "\n".join(lines)


def osteoarthritis(evidence: Evidence) -> str:
    """KL 2 and more, which is called osteoarthritis, as the reported grade says it."""
    if not reported_apart(evidence):
        return ""
    missed = {name: 1 - row.sensitivity_oa.value for name, row in held_out(evidence).items() if row.sensitivity_oa}
    told = " and ".join(f"{_one_in(share)} ({title(name)})" for name, share in missed.items())
    lines = [
        "KL 2 and more is what is usually called radiographic osteoarthritis."
        + (f" By the reported grade, of the knees with it {told} are graded lower than KL 2." if told else ""),
        "",
        "| set | sensitivity for KL >= 2 | specificity |",
        "|---|---|---|",
    ]
    lines += [
        f"| {title(name)} | {figure(row.sensitivity_oa)} | {figure(row.specificity_oa)} |"
        for name, row in evidence.metrics.items()
    ]
    return "\n".join(lines)


def held_out(evidence: Evidence) -> Mapping[str, SetEvidence]:
    """Figures of the test films; of all films where none of these was looked at."""
    return {name: row for name, row in evidence.metrics.items() if name.endswith("_test")} or evidence.metrics


def _one_in(share: float) -> str:
    """A share in words, as people count; where no such words are near it, as a per cent."""
    if share < 0.01:
        return "fewer than one in a hundred"
    if share > 0.3:
        return f"{share:.0%}"
    count = round(1 / share)
    return f"about one in {NUMBERS[count - 2] if count < len(NUMBERS) + 2 else count}"


def calibration(evidence: Evidence) -> str:
    """Calibration errors beside what a perfect model would show."""
    apart = reported_apart(evidence)
    lines = [
        "A perfectly calibrated model would show, over as many films, an ECE within the band (median, 5 to 95%):",
        "",
        "| set | ECE, likeliest grade | band | " + ("ECE, reported grade | " if apart else "") + "within the band |",
        "|---|---|---|---|" + "---|" * apart,
    ]
    for name, metrics in evidence.metrics.items():
        band = evidence.by_grade[name].ece_if_perfect
        reported = f"{figure(metrics.ece_reported)} | " if apart else ""
        within = "yes" if metrics.ece.value <= band.high else "no"
        lines.append(f"| {title(name)} | {figure(metrics.ece)} | {figure(band)} | {reported}{within} |")
    if apart:
        lines += [
            "",
            "Where the reported grade is not the likeliest one, the probability beside it is of the reported one.",
        ]
    return "\n".join(lines)


def rules_tried(evidence: Evidence) -> str:
    """Kappa and accuracy of each rule for the reported grade."""
    tried = evidence.calibration.decision_tried
    if not tried:
        return ""
    lines = [
        "Rules for the reported grade, on the films they were chosen on, by kappa plus half the accuracy:",
        "",
        "| rule | QWK | accuracy |",
        "|---|---|---|",
    ]
    names = {
        "argmax": "the likeliest grade",
        "expected": "the expected grade, rounded",
        "fitted": "the expected grade, cut at fitted thresholds (cross-validated)",
    }
    lines += [
        f"| {names.get(rule, rule)} | {row.qwk.value:.3f} | {row.accuracy.value:.3f} |" for rule, row in tried.items()
    ]
    return "\n".join(lines)


def shown_twice(data: DataEvidence) -> list[str]:
    """Knees that several films show, and films of one dataset in another."""
    lines = []
    if pairs := data.shifted_pairs:
        lines.append(
            f"Pairs of films that show one knee, shifted or mirrored: {pairs}, {data.shifted_pairs_other_grade} of"
            f" them under two grades, {data.shifted_pairs_of_two_datasets} of them of two datasets."
        )
    across = [
        row
        for row in data.overlaps.get("given_splits", ())
        if row.first.partition(":")[0] != row.second.partition(":")[0]
    ]
    if across:
        lines.append(
            "Some films of one dataset are of the other's knees: "
            + "; ".join(
                f"of {row.films} films of {row.first.replace(': ', ', ')}, {row.same_group} are in"
                f" {row.second.replace(': ', ', ')}"
                for row in across
            )
            + "."
        )
    return lines


def architectures(members: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The choices of each architecture among a bundle's members, by the name that its training gave it."""
    return {entry.get("name", "winner-").rpartition("-")[0]: entry["architecture"] for entry in members}


def origin(name: str) -> str:
    """Where an architecture comes from: `python -m tuning train --architecture`."""
    if name == "winner":
        return "the winner of the search"
    return f"trial {name} of the search" if name.isdigit() else f"{name}, designed by hand"


def subgroups(evidence: Evidence) -> str:
    """Figures by side and exposure."""
    tables = {name: groups for name, groups in evidence.subgroups.items() if groups}
    if not tables:
        return ""
    kinds = {group.partition(":")[0] for groups in tables.values() for group in groups}
    lines = ["## By side and exposure", "", *(text + "\n" for kind, text in EXPOSURE.items() if kind in kinds)]
    lines += [
        "| set | films | n | " + " | ".join(SUBGROUP_COLUMNS.values()) + " |",
        "|---|---|---|" + "---|" * len(SUBGROUP_COLUMNS),
    ]
    for name, groups in tables.items():
        for group, metrics in groups.items():
            cells = " | ".join(figure(getattr(metrics, key)) for key in SUBGROUP_COLUMNS)
            lines.append(f"| {title(name)} | {group} | {metrics.qwk.n} | {cells} |")
    return "\n".join(lines)


def levels(evidence: Evidence) -> str:
    """Grade sets of the further levels."""
    found = evidence.calibration.other_levels
    if not found:
        return ""
    lines = [
        "Grade sets of other levels, by `from_pretrained(level=...)`:",
        "",
        "| set | level | coverage | mean size |",
        "|---|---|---|---|",
    ]
    for name, rows in found.items():
        lines += [
            f"| {title(name)} | {float(level):.0%} | {figure(row.coverage)} | {figure(row.set_size)} |"
            for level, row in rows.items()
        ]
    return "\n".join(lines)


def shortcuts(data: DataEvidence) -> list[str]:
    """What tells the grade of these films without a look at the knee."""
    rows = [(dataset, seen, figures) for dataset, found in data.shortcuts.items() for seen, figures in found.items()]
    if not rows:
        return []
    lines = [
        "",
        (
            "How far the grade can be told without a look at the knee, by boosted trees over all films of a dataset (by"
            " chance 0 and 0.20):"
        ),
        "",
    ]
    lines += ["| dataset | seen | QWK | balanced accuracy |", "|---|---|---|---|"]
    lines += [
        f"| {dataset} | {seen} | {figure(figures.qwk)} | {figure(figures.balanced_accuracy)} |"
        for dataset, seen, figures in rows
    ]
    return [
        *lines,
        "",
        "The network gets neither: every film is windowed, brought to one size with its aspect kept, and standardised.",
    ]


def refusing(evidence: Evidence) -> str:
    """What the gate refuses, puts right, and lets through."""
    gate = evidence.refusal.gate
    if not gate:
        return ""
    found = evidence.finding
    knees, made = (found.knees_refused, found.made) if found else ({}, {})
    lines = [
        "## What is refused\n\nBefore grading, a gate looks at each knee. Real knees of validation, on which its limit"
        " was fitted, each film taken whole"
        + ("; the whole grader also looks in parts of a film and in other positions:" if knees else ":"),
        "",
        f"| set | films | refused | wrongly turned or inverted |{' refused by the whole grader |' if knees else ''}",
        f"|---|---|---|---|{'---|' if knees else ''}",
    ]
    for name, row in gate.knees.items():
        whole = f" {figure(knees[name])} |" if name in knees else ""
        lines.append(
            f"| {title(name)} | {row.refused.n} | {figure(row.refused)} | {figure(row.wrongly_put_right)} |{whole}"
        )
    lines += [
        "",
        (
            "Made films, from validation knees and pictures that the gate was not trained on; what is surely turned or"
            " inverted is put right."
        ),
    ]
    if found and found.made_headline:
        lines += [
            (
                "By the whole grader; of all but blank films and noise, refused or put right:"
                f" {figure(found.made_headline)}."
            ),
            "",
            *_outcomes(made),
        ]
    lines += [
        "",
        (
            "By the gate alone, each film taken whole; of all but blank films and noise, refused or put right:"
            f" {figure(gate.headline)}."
        ),
        "",
    ]
    return "\n".join([*lines, *_outcomes(gate.made)])


def _outcomes(made: Mapping[str, Outcomes]) -> list[str]:
    """A row a kind of made film."""
    lines = ["| made film | films | refused | put right | let through |", "|---|---|---|---|---|"]
    for name, row in made.items():
        lines.append(
            f"| {name} | {row.refused.n} | "
            + " | ".join(figure(getattr(row, key)) for key in ("refused", "put_right", "let_through"))
            + " |"
        )
    return lines


def joint(evidence: Evidence, figures: str) -> str:
    """What covering the joint space costs, and where the maps peak."""
    looks = evidence.joint
    if not looks:
        return ""
    masked = {
        "joint": looks.covered.joint,
        "all but the joint": looks.covered.all_but_the_joint,
        "border": looks.covered.border,
    }
    lines = [
        (
            f"## Does it look at the joint?\n\nParts of the films of {title(looks.films)} were blanked; QWK without"
            f" a mask is {figure(looks.covered.plain)}. Random: a mask of the same size anywhere in the film. A"
            " difference below zero says that the part matters more than its size."
        ),
        "",
        "| blanked | share of the film | QWK | QWK, random | difference |",
        "|---|---|---|---|---|",
    ]
    for name, row in masked.items():
        cells = " | ".join(figure(getattr(row, key)) for key in ("qwk", "qwk_random", "difference"))
        lines.append(f"| {name} | {row.share_covered.value:.2f} | {cells} |")
    peak = looks.map_peak
    lines += [
        "",
        (
            f"The activation map peaks in the joint space in {figure(peak.in_joint)} of these films;"
            f" {peak.by_chance.value:.3f} of its places lie there. A map shows where evidence beyond that of the"
            " mean film was found, in coarse places; it is no outline of disease."
        ),
        "",
        f"![Mean map of each grade]({figures}maps.png)",
    ]
    return "\n".join(lines)


def finding(found: FindingEvidence | None) -> str:
    """How well the locator finds joints, and what that does to their grades."""
    if not found:
        return ""
    lines = [
        (
            "## Finding the knees\n\nA small network finds each joint; a film that one joint fills is graded whole."
            " Whole-leg and larger bilateral films are not in the data: these were composed from validation crops, with"
            " shafts, backgrounds, metal and letters that no training used. They are no films of whole legs, and such"
            " films may be found less well."
        ),
        "",
        "| what | share (95% interval) | of |",
        "|---|---|---|",
    ]
    lines += [
        f"| {text} | {figure(getattr(found, key))} | {getattr(found, key).n} |"
        for key, text in FINDING.items()
        if getattr(found, key) and getattr(found, key).n
    ]
    ratio = found.composed_side_ratio
    grader = found.grader
    graded_by = (
        f"Graded by {grader.name}, revision `{grader.revision}`; a bundle that holds these figures has another. "
        if grader
        else ""
    )
    lines += [
        "",
        (
            f"{graded_by}A found box has {ratio.value:.2f} times the true one's side (median; 95% of them"
            f" {ratio.low:.2f} to {ratio.high:.2f}). On {found.qwk_found.n} joints of the composed films"
            f" QWK is {figure(found.qwk_found)} as found, {figure(found.qwk_true_box)} in their true boxes"
            f" (difference {figure(found.qwk_found_less_true_box)}), and {figure(found.qwk_crop)} in the crops"
            " that the films were composed from."
        ),
    ]
    return "\n".join(lines)


def title(name: str) -> str:
    """oai_test as words."""
    return SETS.get(name, name.replace("_", ", "))


def figure(estimate: Estimate | None, digits: int = 3) -> str:
    """An estimate with its 95% interval, such as 0.812 (0.790-0.834); a dash where there is none."""
    return f"{estimate:.{digits}f}" if estimate else "-"
