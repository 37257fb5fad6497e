"""After the training, the calibration and the limits of refusal are fitted on validation films."""

from dataclasses import dataclass

import numpy as np

from kneeoa_hub.bundle import RefusalConfig
from kneeoa_hub.errors import DataError
from kneeoa_hub.grades import NUM_GRADES

from ..data.datasets import Knees
from ..training.members import TrainedEnsemble
from .calibration import Calibration, calibrate
from .refusal import fit_refusal
from .sets import PredictedSplit


@dataclass(frozen=True)
class Fit:
    """A fit holds everything that was fitted on validation films.

    Attributes:
        calibration: For grading.
        refusal: The limits of refusal.
        calibration_films: Number of films of each grade that `calibration` was fitted on.
        refusal_films: Number of validation films that `refusal` was fitted on.
    """

    calibration: Calibration
    refusal: RefusalConfig
    calibration_films: tuple[int, ...]
    refusal_films: int


def fit_ensemble(
    ensemble: TrainedEnsemble,
    reference: PredictedSplit,
    validation: PredictedSplit,
    changed: np.ndarray | None = None,
) -> Fit:
    """Fit on the validation films of the datasets whose readers it follows, without knees that training saw.

    An ensemble whose weights saw no film of this audit is also calibrated on training films.

    Args:
        ensemble: The ensemble.
        reference: Training films, from which distances are taken.
        validation: All N validation films.
        changed: [N,V,D] embeddings of these on changed films, from which the limit of refusal is taken too.

    Raises:
        DataError: No such film is left, or films of one grade.
    """
    rows = validation.knees.in_datasets(ensemble.graded_like)
    if validation.seen is not None:
        rows &= ~validation.seen
    validation = validation.take(rows)
    calibrated = [validation, reference] if ensemble.saw_nothing else [validation]
    grades = np.concatenate([films.knees.grades for films in calibrated])
    if not rows.any() or len(set(grades.tolist())) < 2:
        raise DataError(
            f"{len(grades)} films are left to calibrate on, of {len(set(grades.tolist()))} grades: the validation films"
            f" of {', '.join(ensemble.graded_like) or 'all datasets'} that show no knee of the training. Give more"
            " validation films, or choose another --protocol."
        )
    calibration = calibrate(np.concatenate([films.outputs.probabilities for films in calibrated]), grades)
    contents = [_content(validation.knees, row) for row in range(len(validation.knees))]
    exposed = [knee.exposed() for knee in validation.knees.letterboxed()]
    varied = None if changed is None else changed[rows].reshape(-1, changed.shape[-1])
    refusal = fit_refusal(reference.outputs.embedding, validation.outputs.embedding, contents, exposed, varied)
    counts = np.bincount(grades, minlength=NUM_GRADES).tolist()
    return Fit(calibration, refusal, tuple(counts), len(validation.knees))


def _content(knees: Knees, row: int) -> np.ndarray:
    """Return the pixels of a knee without padding."""
    left, top, right, bottom = knees.contents[row]
    return knees.pixels[row, top:bottom, left:right]
