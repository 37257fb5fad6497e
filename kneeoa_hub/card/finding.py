"""Writes the card's sections on finding joints, on refusing films, and on what the model looks at."""

from collections.abc import Mapping, Sequence

from ..evidence import Estimate, FindingEvidence, GateEvidence, JointEvidence, Outcomes
from .text import escaped, figure, label, section, table


def finding(found: FindingEvidence | None) -> str:
    """Describe how well the locator finds joints, and what that does to their grades."""
    if not found:
        return ""
    rows = [(what, estimate, estimate.n) for what, estimate in _findings(found) if estimate and estimate.n]
    ratio, grader = found.composed_side_ratio, found.grader
    graded_by = (
        f"The films were graded with {escaped(grader.name)}, revision `{grader.revision}`. A bundle that holds these"
        " measures has another revision, and may have another gate and other networks. "
        if grader
        else ""
    )
    return section(
        "## Finding the knees",
        "A small network, the locator, finds each joint. It learned from crops of one knee, from synthetic knees and"
        " from films composed of crops, not from real films of whole legs or of both knees. Here, composed films stand"
        " for such films: validation crops with shafts, backgrounds, metal and letters that no training used. Real ones"
        " may give worse results.",
        table(("what", "proportion (95% interval)", "of"), rows),
        f"{graded_by}A found box has {ratio.value:.2f} times the side of the true box (median; 95% of them"
        f" {ratio.low:.2f} to {ratio.high:.2f}). On {found.qwk_found.n} joints of composed films the QWK is"
        f" {figure(found.qwk_found)} in the found boxes, {figure(found.qwk_true_box)} in the true boxes (difference"
        f" {figure(found.qwk_found_less_true_box)}), and {figure(found.qwk_crop)} on the crops that the films are"
        " composed of.",
    )


def _findings(found: FindingEvidence) -> list[tuple[str, Estimate | None]]:
    return [
        ("strips of two knees: one joint found in each half", found.two_knee_strips),
        ("strips of one knee: one joint found", found.single_strips),
        ("validation crops: one joint found", found.crops),
        ("validation crops: same grade with the locator as without", found.crops_same_grade),
        ("validation strips of one knee: same grade with the locator as without", found.strips_same_grade),
        ("composed films: as many joints found as there are", found.composed_count),
        ("composed films without a joint: none found", found.composed_empty),
        ("joints of composed films: centre within 10% of the joint's width", found.composed_within_10),
        ("joints of composed films: centre within 5% of the joint's width", found.composed_within_5),
        (
            "joints of composed films: centre of the reported box, cut to the film, within 10%",
            found.composed_reported_within_10,
        ),
        ("composed films, inverted or turned: corrected, and every joint graded", found.composed_posed_right),
        (
            "composed films without a joint, inverted or turned: refused, as they should be",
            found.composed_empty_posed_refused,
        ),
        ("joints of composed films: same grade as in the true box", found.composed_same_grade_as_true_box),
        ("strips of two knees: refused", found.two_knee_strips_refused),
        ("validation strips of one knee: refused", found.single_strips_refused),
        ("composed films with a joint: refused", found.composed_refused),
        ("composed films without a joint: refused, as they should be", found.composed_empty_refused),
        (
            "a simple rule in place of the locator (a dark gap between two legs): strips of two knees cut in two",
            found.rule_two_knee_strips,
        ),
        ("the simple rule: strips of one knee left whole", found.rule_single_strips),
        ("the simple rule: joints of composed films within 10%", found.rule_composed_within_10),
    ]


def refusing(gate: GateEvidence | None, found: FindingEvidence | None) -> str:
    """Describe what the gate refuses, corrects and lets through."""
    if not gate:
        return ""
    whole = found.knees_refused if found else {}
    headings = ("films", "knees", "refused", "wrongly turned or inverted")
    rows = [
        (label(name), row.refused.n, row.refused, row.wrongly_put_right, *([whole.get(name)] if whole else []))
        for name, row in gate.knees.items()
    ]
    by_grader = (
        [
            f"The whole grader refuses or corrects {figure(found.made_headline)} of them, blank films and noise left"
            " out:",
            _outcomes(found.made),
        ]
        if found and found.made_headline
        else []
    )
    return section(
        "## What is refused",
        f"A separate network, the gate, examines each knee before it is graded. The whole grader{_named(found)} also"
        " examines parts of a film and other positions. On real validation knees, on which the gate's limit was fitted,"
        " each film taken whole:",
        table((*headings, "refused by the whole grader") if whole else headings, rows),
        "Unsuitable films are made from validation knees, and from pictures that the gate was not trained on. A film"
        " that is certainly turned or inverted is corrected.",
        *by_grader,
        f"The gate alone, each film taken whole, refuses or corrects {figure(gate.headline)} of them, blank films and"
        " noise left out:",
        _outcomes(gate.made),
    )


def unsuitable(gate: GateEvidence | None, found: FindingEvidence | None) -> str:
    """Say in words how many unsuitable films are graded."""
    if not gate:
        return "This bundle has no gate: it may grade a film that shows no knee."
    refused = gate.headline
    by_grader = (
        f" The whole grader{_named(found)} refuses or corrects {found.made_headline.value:.1%} of"
        f" {found.made_headline.n}."
        if found and found.made_headline
        else ""
    )
    return (
        f"Of {refused.n} films that were made to be unsuitable, the gate alone refuses or corrects"
        f" {refused.value:.1%}.{by_grader} Other unsuitable films may be graded."
    )


def _named(found: FindingEvidence | None) -> str:
    """Name the bundle that films were graded with: with its locator, other bundles get its figures too."""
    grader = found.grader if found else None
    return f" ({escaped(grader.name)}, revision `{grader.revision}`)" if grader else ""


def _outcomes(made: Mapping[str, Outcomes]) -> str:
    rows = [(name, row.refused.n, row.refused, row.put_right, row.let_through) for name, row in made.items()]
    return table(("unsuitable film", "films", "refused", "corrected", "let through"), rows)


def joint(evidence: Sequence[JointEvidence], figures: str) -> str:
    """Describe what blanking the joint space costs, and where the activation maps peak, on each set of films."""
    if not evidence:
        return ""
    return section(
        "## Does it look at the joint?",
        "Parts of films were blanked. A random mask has the same size at a random place. A difference below zero says"
        " that the part matters more than its size.",
        *(part for one in evidence for part in _joint(one)),
        "A map is coarse. It shows the regions that raise the score of the reported grade above that of an average"
        " film. It does not outline disease.",
        f"![Mean map of each grade]({figures}maps.png)",
    )


def _joint(evidence: JointEvidence) -> tuple[str, str, str]:
    covered, peak = evidence.covered, evidence.map_peak
    parts = {"joint": covered.joint, "all but the joint": covered.all_but_the_joint, "border": covered.border}
    rows = [
        (name, f"{row.share_covered.value:.2f}", row.qwk, row.qwk_random, row.difference) for name, row in parts.items()
    ]
    return (
        f'On the films of the set "{label(evidence.films)}", the QWK without a mask is {figure(covered.plain)}:',
        table(("blanked part", "proportion of the film", "QWK", "QWK, random mask", "difference"), rows),
        f"The activation map peaks in the joint space for {figure(peak.in_joint)} of these knees. The joint space holds"
        f" {peak.by_chance.value:.3f} of its positions.",
    )
