"""Each set of films, which is one dataset in one split, is measured here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kneeoa_hub.bundle import RefusalConfig
from kneeoa_hub.evidence import GradeEvidence, LevelEvidence, SetEvidence, SubgroupEvidence, UnseenEvidence
from kneeoa_hub.imaging.refusal import training_distances
from kneeoa_hub.runtime import Outputs

from ..data.datasets import Knees
from ..run.estimates import exact, grouped_proportion
from .calibration import Calibration, calibrated_predictions, reported_predictions
from .metrics import Predictions, measure, measure_grades
from .outputs import take
from .subgroups import subgroups


@dataclass(frozen=True)
class PredictedSplit:
    """These are the N knees of a split and what the uncalibrated ensemble answers for them.

    Attributes:
        name: "val" or "test".
        knees: The knees.
        outputs: The outputs of the ensemble.
        seen: [N] bool, whether a training film shows the knee; None where no newer audit was given.
    """

    name: str
    knees: Knees
    outputs: Outputs
    seen: np.ndarray | None

    def take(self, rows: np.ndarray) -> "PredictedSplit":
        """Return the knees of an index or mask [N]."""
        seen = None if self.seen is None else self.seen[rows]
        return PredictedSplit(self.name, self.knees.take(rows), take(self.outputs, rows), seen)

    def by_dataset(self) -> Iterator[tuple[str, "PredictedSplit"]]:
        """Yield the name of each set, DATASET_SPLIT, and its knees."""
        for dataset in sorted(set(self.knees.datasets)):
            yield f"{dataset}_{self.name}", self.take(self.knees.datasets == dataset)


@dataclass(frozen=True)
class MeasuredSet:
    """This was measured on the films of one dataset in one split.

    Attributes:
        name: DATASET_SPLIT, such as "oai_test".
        predictions: What the bundle reports for the knees.
        metrics: The main measures.
        by_grade: Measures of the knees of each grade.
        levels: The prediction sets of each further coverage level, such as "0.8".
        subgroups: Measures by subgroup.
        unseen: Measures without knees that a training film shows; None where no newer audit was given.
    """

    name: str
    predictions: Predictions
    metrics: SetEvidence
    by_grade: GradeEvidence
    levels: dict[str, LevelEvidence]
    subgroups: dict[str, SubgroupEvidence]
    unseen: UnseenEvidence | None


def measure_set(name: str, films: PredictedSplit, calibration: Calibration, refusal: RefusalConfig) -> MeasuredSet:
    """Return what is measured on one set of films.

    Args:
        name: The name of the set.
        films: Its knees.
        calibration: What was fitted for grading.
        refusal: The limits of refusal.
    """
    predictions = calibrated_predictions(films.outputs.probabilities, films.knees, calibration)
    away = training_distances(films.outputs.embedding, refusal)
    return MeasuredSet(
        name,
        predictions,
        metrics=measure(
            SetEvidence, predictions, refused=grouped_proportion(away > refusal.max_distance, films.knees.groups)
        ),
        by_grade=measure_grades(predictions),
        levels={
            str(level): measure(
                LevelEvidence,
                reported_predictions(
                    predictions.probabilities, films.knees, calibration.decision, calibration.conformal.at(level)
                ),
            )
            for level, _ in calibration.conformal.others
        },
        subgroups=subgroups(predictions, films.knees),
        unseen=None if films.seen is None else _unseen(predictions, films.seen),
    )


def _unseen(predictions: Predictions, seen: np.ndarray) -> UnseenEvidence:
    return UnseenEvidence(
        films_seen=exact(seen.sum(), n=len(seen)), metrics=measure(SubgroupEvidence, predictions.take(~seen))
    )
