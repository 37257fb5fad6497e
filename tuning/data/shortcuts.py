"""How far a grade can be told without looking at the knee: from a file's header and size, and from a film's mean
brightness.

What these reach is a leak of the data, not radiology; a model that is no better has learnt nothing (Geirhos et al.,
"Shortcut learning in deep neural networks", Nat. Mach. Intell. 2020).
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from kneeoa_hub.agreement import INTERVAL, qwk, resamples
from kneeoa_hub.evidence import Estimate, ShortcutEvidence

from ..run.figures import balanced_accuracy, number

MODES = ("1", "L", "P", "RGB", "RGBA", "I", "I;16")
FOLDS = 5
LEAST = 20
"""Films of the rarest grade under which cross-validation says nothing."""


def header(content: bytes) -> tuple[float, ...]:
    """width, height, bytes, mode and format of a file, as numbers; DICOM and others have bytes alone."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = MODES.index(image.mode) if image.mode in MODES else len(MODES)
            return (*image.size, len(content), mode, sum(map(ord, image.format or "")))
    except (OSError, ValueError, Image.DecompressionBombError):
        return (0, 0, len(content), -1, 0)


def deep(header: tuple[float, ...]) -> bool:
    """Whether a picture whose `header` is given has 16 bits; of DICOM it isn't told."""
    return header[3] in (MODES.index("I"), MODES.index("I;16"))


def trees() -> HistGradientBoostingClassifier:
    """Boosted trees, the same ones every time."""
    return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, random_state=0)


def shortcut_scores(
    features: Sequence[Sequence[float]], grades: np.ndarray, groups: np.ndarray
) -> ShortcutEvidence | None:
    """QWK and balanced accuracy of boosted trees on features [N,F], by cross-validation that cuts no group; None for
    too few films.

    By chance: kappa 0, balanced accuracy one in five.
    """
    if np.bincount(grades, minlength=5).min() < LEAST:
        return None
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    graded = np.asarray(cross_val_predict(trees(), np.asarray(features, float), grades, groups=groups, cv=folds))
    drawn = resamples(groups)

    def estimate(figure: Callable[[np.ndarray, np.ndarray], float]) -> Estimate:
        ends = np.percentile([figure(grades[rows], graded[rows]) for rows in drawn], INTERVAL)
        return number(figure(grades, graded), *ends, n=len(grades))

    return ShortcutEvidence(qwk=estimate(qwk), balanced_accuracy=estimate(balanced_accuracy))
