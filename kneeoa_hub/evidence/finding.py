"""Describes how well joints are found and unsuitable films are refused."""

from dataclasses import dataclass, field
from typing import Annotated

from .measures import Estimate


@dataclass(frozen=True, kw_only=True)
class GateKnees:
    """What the gate does with real knees of one set, each film taken whole."""

    refused: Annotated[Estimate, "Proportion refused."]
    wrongly_put_right: Annotated[Estimate, "Proportion of upright knees that were turned or inverted."]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What happens to synthetic unsuitable films of one kind."""

    refused: Annotated[Estimate, "Proportion refused."]
    put_right: Annotated[Estimate, "Proportion turned or inverted back as it should be."]
    let_through: Annotated[Estimate, "Proportion graded as given, or turned wrongly."]


@dataclass(frozen=True, kw_only=True)
class GateEvidence:
    """What the bundle's gate does with real knees, and with synthetic unsuitable films."""

    knees: Annotated[dict[str, GateKnees], "By set of films."]
    made: Annotated[dict[str, Outcomes], "By kind of synthetic unsuitable film."]
    headline: Annotated[
        Estimate,
        "Proportion of these films, blank films and noise left out, that are refused or put right.",
    ]
    samples_refused: Annotated[Estimate, "Number of the n synthetic sample films of one knee that are refused."]
    parameters: Annotated[Estimate, "Number of parameters of the gate's network."]


@dataclass(frozen=True, kw_only=True)
class RefusalEvidence:
    """The limits beyond which a film is refused."""

    max_distance: Annotated[Estimate, "Greatest distance from the training films in the embedding's whitened space."]
    axes: Annotated[Estimate, "Number of principal axes of that space."]
    gate: Annotated[GateEvidence | None, "The gate's measures; absent where the bundle has no gate."] = None


@dataclass(frozen=True, kw_only=True)
class Grader:
    """The bundle that graded what the locator found."""

    name: Annotated[str, "Name in its bundle.json."]
    revision: Annotated[str, "First 12 hex digits of its manifest's sha256."]


@dataclass(frozen=True, kw_only=True)
class FindingEvidence:
    """How well the locator finds joints, and what that does to their grades.

    Strips are films of the whole width of one or two knees. Composed films are made of validation knees, with shafts
    and surroundings that no training used.
    """

    two_knee_strips: Annotated[Estimate, "Strips of two knees: one joint found in each half, and no other."]
    single_strips: Annotated[Estimate, "Strips of one knee: one joint found."]
    crops: Annotated[Estimate, "Validation crops of one knee: one joint found."]
    crops_same_grade: Annotated[Estimate, "Validation crops: same grade with the joint found as of the whole crop."]
    strips_same_grade: Annotated[
        Estimate | None, "Validation strips of one knee: the same; absent where a strip is framed at its joint."
    ] = None
    two_knee_strips_refused: Annotated[Estimate | None, "Strips of two knees: refused; from 0.5.0."] = None
    single_strips_refused: Annotated[Estimate | None, "Validation strips of one knee: refused; from 0.5.0."] = None
    rule_two_knee_strips: Annotated[
        Estimate | None, "Strips of two knees: cut in two by the rule without a network; from 0.7.0."
    ] = None
    rule_single_strips: Annotated[Estimate | None, "Strips of one knee: left whole by that rule; from 0.7.0."] = None
    composed_count: Annotated[Estimate, "Composed films: as many joints found as there are."]
    composed_empty: Annotated[Estimate, "Composed films without a joint: none found."]
    composed_refused: Annotated[Estimate | None, "Composed films with a joint: refused; from 0.5.0."] = None
    composed_empty_refused: Annotated[
        Estimate | None, "Composed films without a joint: refused, as they should be; from 0.5.0."
    ] = None
    composed_within_10: Annotated[
        Estimate, "Joints of composed films: centre found within 10% of the joint's width; a missed joint is wrong."
    ]
    composed_within_5: Annotated[Estimate, "The same within 5%."]
    composed_reported_within_10: Annotated[
        Estimate | None,
        "Joints of graded composed films: centre of the reported box within 10% of the joint's width, both boxes cut to"
        " the film; from 0.6.0.",
    ] = None
    rule_composed_within_10: Annotated[Estimate | None, "The same by the rule without a network; from 0.7.0."] = None
    composed_posed_right: Annotated[
        Estimate | None,
        "Composed films with joints, turned or inverted: put right, and every joint graded; from 0.6.0.",
    ] = None
    composed_empty_posed_refused: Annotated[
        Estimate | None, "Composed films without a joint, turned or inverted: refused; from 0.6.0."
    ] = None
    composed_side_ratio: Annotated[Estimate, "Side of the found box over that of the true box: median and 95% of them."]
    qwk_crop: Annotated[Estimate, "Kappa on the crops that the composed films were made of."]
    qwk_true_box: Annotated[Estimate, "Kappa on the joints in their true boxes."]
    qwk_found: Annotated[Estimate, "Kappa on the joints as found."]
    qwk_found_less_true_box: Annotated[Estimate, "qwk_found minus qwk_true_box."]
    qwk_found_less_crop: Annotated[Estimate, "qwk_found minus qwk_crop."]
    composed_same_grade_as_true_box: Annotated[Estimate, "Joints as found: the same grade as in their true box."]
    composed_same_grade_as_crop: Annotated[Estimate, "Joints as found: the same grade as of their crop."]
    knees_refused: Annotated[
        dict[str, Estimate], "By set of films of one knee, the proportion that the whole grader refuses; from 0.7.0."
    ] = field(default_factory=dict)
    made: Annotated[
        dict[str, Outcomes], "By kind of synthetic unsuitable film, what the whole grader does with it; from 0.7.0."
    ] = field(default_factory=dict)
    made_headline: Annotated[
        Estimate | None,
        "Proportion of these films, blank films and noise left out, that the whole grader refuses or puts right.",
    ] = None
    grader: Annotated[Grader | None, "The bundle that graded what was found."] = None
