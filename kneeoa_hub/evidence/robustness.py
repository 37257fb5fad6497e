"""Describes how far grades hold when films are changed in ways that leave a reader able to grade them."""

from dataclasses import dataclass
from typing import Annotated

from ..typed_json import Range
from .finding import Grader
from .measures import Estimate

AS_IT_IS = "as they are"
"""This row is about the films without a change."""


@dataclass(frozen=True, kw_only=True)
class ChangeEvidence:
    """What one change does to the grades of a set of films, of which the whole grader finds the knees itself."""

    change: Annotated[str, f'What was done to each film; "{AS_IT_IS}" for the films without a change.']
    kind: Annotated[str, 'Kind of the change: "framing", "exposure", "quality", "addition" or "several".']
    qwk: Annotated[Estimate, "Quadratic weighted kappa of the reported and the reader's grade."]
    qwk_loss: Annotated[
        Estimate | None, "Kappa of the same films without the change, minus kappa with it; absent up to 0.14.0."
    ] = None
    accuracy: Annotated[Estimate, "Proportion of the knees whose reported grade is the reader's."]
    auc_oa: Annotated[Estimate | None, "Area under the ROC curve for KL 2 or more."] = None
    coverage: Annotated[Estimate, "Proportion of the knees whose 90% prediction set holds the reader's grade."]
    same: Annotated[Estimate, "Proportion of the films that are graded as without the change."]
    bias: Annotated[Estimate, "Mean shift of the severity, in grades."]
    refused: Annotated[Estimate, "Proportion that is not graded, of the films that are graded without the change."]


@dataclass(frozen=True, kw_only=True)
class RobustnessEvidence:
    """Validation films under changes, by collection."""

    grader: Annotated[Grader, "The bundle that graded them."]
    films: Annotated[int, Range(0), "Films of each collection at most, drawn at random; 0 for all."]
    collections: Annotated[
        dict[str, tuple[ChangeEvidence, ...]], "By collection, a row for each change; the first is without one."
    ]

    @property
    def changes(self) -> tuple[str, ...]:
        """The names of the rows of all collections, in the order of the collection that has most of them."""
        longest_first = sorted(self.collections.values(), key=len, reverse=True)
        return tuple(dict.fromkeys(row.change for rows in longest_first for row in rows))
