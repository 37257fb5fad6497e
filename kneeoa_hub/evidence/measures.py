"""Describes how well a bundle grades, by estimates on sets of films, grades, subgroups, networks and masks."""

from dataclasses import dataclass, field
from typing import Annotated

from ..typed_json import Key, Length, Range

FiveCounts = Annotated[tuple[Annotated[int, Range(0)], ...], Length(5, 5)]
"""Each grade, 0 to 4, has a count."""


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95% interval; low and high equal the value where there is no interval."""

    value: Annotated[float, "The number itself."]
    low: Annotated[float, "Lower end of the interval: the 2.5th percentile."]
    high: Annotated[float, "Upper end of the interval: the 97.5th percentile."]
    n: Annotated[int, Range(0), "Number of films, or of what else was counted; 0 where nothing was."]

    def __format__(self, spec: str) -> str:
        """Return the value and its interval in a number format: ``f"{estimate:.3f}"`` is 0.812 (0.790-0.834)."""
        value, low, high = (format(number, spec) for number in (self.value, self.low, self.high))
        if low == high == value:
            return value
        return f"{value} ({low}{' to ' if self.low < 0 else '-'}{high})"


@dataclass(frozen=True, kw_only=True)
class SetEvidence:
    """What was measured on one set of films. A field on osteoarthritis is absent where the set can't measure it."""

    qwk: Annotated[Estimate, "Quadratic weighted kappa of the reported and the reader's grade."]
    accuracy: Annotated[Estimate, "Proportion of the knees whose reported grade is the reader's."]
    balanced_accuracy: Annotated[Estimate, "Mean of the recalls of the grades that occur."]
    mae: Annotated[Estimate, "Mean absolute error, in grades."]
    auc_oa: Annotated[Estimate | None, "Area under the ROC curve for KL 2 or more."] = None
    ece: Annotated[Estimate, "Expected calibration error of the most probable grade."]
    ece_reported: Annotated[Estimate | None, "Expected calibration error of the reported grade; from 0.6.0."] = None
    sensitivity_oa: Annotated[Estimate | None, "Sensitivity of the reported grade to KL 2 or more; from 0.6.0."] = None
    specificity_oa: Annotated[Estimate | None, "Specificity of the reported grade to KL 2 or more; from 0.6.0."] = None
    coverage: Annotated[Estimate, "Proportion of the knees whose 90% prediction set holds the reader's grade."]
    set_size: Annotated[Estimate, "Mean number of grades in a 90% prediction set."]
    refused: Annotated[Estimate | None, "Proportion of the films that lie too far from the training films."] = None


@dataclass(frozen=True, kw_only=True)
class GradeEvidence:
    """What was measured on the knees of each grade of one set of films."""

    recall: Annotated[dict[str, Estimate], "By grade, the proportion of its knees that were reported with it."]
    coverage: Annotated[
        dict[str, Estimate], "By grade, the proportion of its knees whose 90% prediction set holds it; from 0.3.0."
    ] = field(default_factory=dict)
    confusion: Annotated[
        Annotated[tuple[FiveCounts, ...], Length(5, 5)],
        "Numbers of knees; rows: reader's grade, columns: reported grade.",
    ]
    films: Annotated[FiveCounts, "Number of knees of each reader's grade, 0 to 4."]
    ece_if_perfect: Annotated[
        Estimate,
        "Calibration error that a perfectly calibrated model would show on as many knees: median, 5th and 95th"
        " percentile.",
    ]


@dataclass(frozen=True, kw_only=True)
class SubgroupEvidence:
    """The main measures on a part of a set of films."""

    qwk: Annotated[Estimate, "Quadratic weighted kappa."]
    accuracy: Annotated[Estimate, "Proportion of the knees whose reported grade is the reader's."]
    mae: Annotated[Estimate, "Mean absolute error, in grades."]
    auc_oa: Annotated[Estimate | None, "Area under the ROC curve for KL 2 or more."] = None


@dataclass(frozen=True, kw_only=True)
class UnseenEvidence:
    """A set without the films whose knee another training film shows."""

    films_seen: Annotated[Estimate, "Films whose knee another training film shows; n: all films of the set."]
    metrics: Annotated[SubgroupEvidence, "Over the other films."]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far reported grades agree with the reader's."""

    qwk: Annotated[Estimate, "Quadratic weighted kappa."]
    accuracy: Annotated[Estimate, "Proportion of the knees whose reported grade is the reader's."]


@dataclass(frozen=True, kw_only=True)
class MemberEvidence:
    """One network of the ensemble, alone."""

    name: Annotated[str | None, "Its architecture and its seed, such as folded-0."] = None
    metrics: Annotated[dict[str, Agreement], "By set of films."]
    mirrored_agreement: Annotated[
        Estimate,
        "Proportion of the validation knees that get the same grade when mirrored, without averaging over both.",
    ]


@dataclass(frozen=True, kw_only=True)
class LevelEvidence:
    """Prediction sets of another level than 90%."""

    coverage: Annotated[Estimate, "Proportion of the knees whose set holds the reader's grade."]
    set_size: Annotated[Estimate, "Mean number of grades in a set."]


@dataclass(frozen=True, kw_only=True)
class StripEvidence:
    """The grade of the worse knee of a strip of two knees against the one grade of the strip."""

    qwk: Annotated[Estimate, "Quadratic weighted kappa."]
    accuracy: Annotated[Estimate, "Proportion of the strips whose worse knee has the strip's grade."]
    mae: Annotated[Estimate, "Mean absolute error, in grades."]


@dataclass(frozen=True, kw_only=True)
class CrossDomainRow:
    """A network that was trained on one dataset, measured on the validation films of another."""

    trained_on: Annotated[str, "The dataset, or all."]
    measured_on: Annotated[str, "Name of the set of films."]
    qwk: Annotated[Estimate, "Quadratic weighted kappa."]
    accuracy: Annotated[Estimate, "Proportion of the knees whose reported grade is the reader's."]
    mae: Annotated[Estimate, "Mean absolute error, in grades."]
    auc_oa: Annotated[Estimate, "Area under the ROC curve for KL 2 or more."]
    coverage: Annotated[Estimate, "Proportion of the knees whose 90% prediction set holds the reader's grade."]


@dataclass(frozen=True, kw_only=True)
class MaskEvidence:
    """What the kappa is when one part of every film is blanked."""

    share_covered: Annotated[Estimate, "Proportion of the film's area that is blanked."]
    qwk: Annotated[Estimate, "Kappa with that part blanked."]
    qwk_random: Annotated[Estimate, "Kappa with a part of the same size blanked at random places."]
    difference: Annotated[Estimate, "qwk minus qwk_random."]


@dataclass(frozen=True, kw_only=True)
class MasksEvidence:
    """The kappa of whole films, and of films with each part blanked."""

    plain: Annotated[Estimate, "Kappa of the whole films."]
    joint: Annotated[MaskEvidence, "With the joint space blanked."]
    all_but_the_joint: Annotated[MaskEvidence, Key("all but the joint"), "With all but the joint space blanked."]
    border: Annotated[MaskEvidence, "With the outer tenth of each side blanked."]


@dataclass(frozen=True, kw_only=True)
class MapPeaks:
    """Where the activation map peaks."""

    in_joint: Annotated[Estimate, "Proportion of the knees whose map peaks in the joint space."]
    by_chance: Annotated[Estimate, "Proportion of the map's places that lie in the joint space."]


@dataclass(frozen=True, kw_only=True)
class JointEvidence:
    """Whether the model uses the joint."""

    films: Annotated[str, "Name of the set of films that were blanked."]
    covered: Annotated[MasksEvidence, "Kappa with parts of the films blanked."]
    map_peak: Annotated[MapPeaks, "Where the activation map peaks."]
