"""The file calibration.json holds everything that `evaluate` fits and `export` puts into the bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from kneeoa_hub.bundle import Conformal, Decision, RefusalConfig
from kneeoa_hub.typed_json import Key

from ..run import steps

FITTED = "calibration.json"


@dataclass(frozen=True)
class Fitted:
    """The file calibration.json holds these values.

    Attributes:
        temperature: See `calibration.Calibration`.
        decision: See `calibration.Calibration`.
        conformal: See `calibration.Calibration`.
        decision_tried: See `calibration.Calibration`.
        refusal: The limits of refusal.
        mean_class_maps: [h,w,5], what the activation maps show in a mean film, see `ensemble.mean_class_maps`.
    """

    temperature: float
    decision: Decision
    conformal: Conformal
    decision_tried: dict[str, tuple[float, float]]
    refusal: RefusalConfig
    mean_class_maps: Annotated[tuple[tuple[tuple[float, ...], ...], ...], Key("usual_maps")]

    @property
    def maps(self) -> np.ndarray:
        """The mean class maps as float32."""
        return np.array(self.mean_class_maps, np.float32)


def read_fitted(evaluated: Path) -> Fitted:
    """Return the calibration.json of an evaluation. Raises DataError when the evaluation has not finished."""
    return steps.typed(Fitted, steps.read_json(evaluated / FITTED), evaluated / FITTED)
