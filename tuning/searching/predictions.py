"""The predictions of a trial for validation films are kept beside it, and measured."""

from pathlib import Path

import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.errors import DataError
from kneeoa_hub.grades import NUM_GRADES

from ..evaluation.calibration import apply_temperature, fit_temperature
from ..networks.ensemble import LEAST_PROBABILITY
from ..run.arrays import read_arrays, write_arrays
from ..run.folder import with_room

PREDICTIONS = "answers.npz"
"""In the folder of a trial: its probabilities for the validation films, and their grades."""
RESAMPLES = 200
"""Bootstrap samples of a standard error."""


def measured(probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return kappa and log loss for validation films, with their standard errors.

    The log loss is that of the probabilities after their temperature was fitted, as the members of an ensemble are
    compared. The errors are deviations over bootstrap samples of leakage groups.

    Args:
        probabilities: Of a network [N,5].
        truth: The films' grades [N].
        groups: The films' leakage groups [N].
    """
    grades, losses = probabilities.argmax(1), calibrated_losses(probabilities, truth)
    samples = resamples(groups, count=RESAMPLES)
    return {
        "val_log_loss": float(losses.mean()),
        "log_loss_error": float(np.std([losses[rows].mean() for rows in samples])),
        "val_qwk": qwk(truth, grades),
        "qwk_error": float(np.std([qwk(truth[rows], grades[rows]) for rows in samples])),
    }


def finite(probabilities: np.ndarray) -> np.ndarray:
    """Return a network's answers for validation films. Raises FloatingPointError where they are not numbers."""
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("the network answers validation films with values that are not numbers")
    return probabilities


def calibrated_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the log loss of each film [N], after the temperature of probabilities [N,5] was fitted."""
    calibrated = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    return -np.log(np.maximum(calibrated[np.arange(len(truth)), truth], LEAST_PROBABILITY))


def keep_predictions(folder: Path, probabilities: np.ndarray, truth: np.ndarray) -> None:
    """Write what a trial answers for validation films.

    Args:
        folder: The folder of the trial.
        probabilities: Its answers [N,5].
        truth: The films' grades [N].

    Raises:
        OutputError: They can't be written, as on a full disk.
    """
    with with_room(folder / PREDICTIONS):
        write_arrays(folder / PREDICTIONS, probabilities=probabilities.astype(np.float32), grades=truth)


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a trial's probabilities [N,5] and the films' grades [N]. Raises DataError where they can't be read."""
    path = folder / PREDICTIONS
    if not path.exists():
        raise DataError(f"Its answers for validation films, {path}, are missing.")
    try:
        kept = read_arrays(path, ("probabilities", "grades"))
    except DataError as error:
        raise DataError(f"{error.message.partition('; make it again')[0]}.") from None
    probabilities, grades = kept["probabilities"], kept["grades"]
    films = grades.size
    if probabilities.shape != (films, NUM_GRADES) or grades.shape != (films,) or grades.dtype.kind not in "iu":
        raise DataError(f"{path} holds no answers of a trial.")
    if not (np.isfinite(probabilities).all() and np.isin(grades, range(NUM_GRADES)).all()):
        raise DataError(f"{path} holds answers that are not numbers.")
    return probabilities, grades
