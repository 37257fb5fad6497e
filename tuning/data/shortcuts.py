"""How well the grade can be guessed without the knee: from a file's header and size, and from a film's brightness.

What these reach is a leak of the data, not radiology; a model that is no better has learnt nothing (Geirhos et al.,
"Shortcut learning in deep neural networks", Nat. Mach. Intell. 2020).
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.evidence import ShortcutEvidence
from kneeoa_hub.grades import NUM_GRADES

from ..run.estimates import balanced_accuracy, bootstrapped

MODES = ("1", "L", "P", "RGB", "RGBA", "I", "I;16")
"""Pillow's modes. The trees get the position of a mode in this tuple."""
DEEP_MODES = ("I", "I;16")
"""Modes of 16 bits."""
FOLDS = 5
LEAST_FILMS = 20
"""Number of films of the rarest grade below which cross-validation says nothing."""


def header(content: bytes) -> tuple[float, ...]:
    """Return width, height, bytes, mode and format of a file as numbers; for DICOM and others only the bytes."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = MODES.index(image.mode) if image.mode in MODES else len(MODES)
            return (*image.size, len(content), mode, sum(map(ord, image.format or "")))
    except (OSError, ValueError, Image.DecompressionBombError):
        return (0, 0, len(content), -1, 0)


def is_deep(header: tuple[float, ...]) -> bool:
    """Return whether the picture of a `header` has 16 bits; False for DICOM, whose header is not read."""
    return header[3] in [MODES.index(mode) for mode in DEEP_MODES]


def trees() -> HistGradientBoostingClassifier:
    """Return untrained boosted trees with a fixed seed."""
    return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, random_state=0)


def shortcut_scores(
    features: Sequence[Sequence[float]], grades: np.ndarray, groups: np.ndarray
) -> ShortcutEvidence | None:
    """Return QWK and balanced accuracy of boosted trees; by chance these are 0 and one in five.

    Args:
        features: [N,F] of what is not the knee.
        grades: [N] int.
        groups: [N] str; the cross-validation keeps each group in one fold.

    Returns:
        Estimates with 95% intervals, or None where a grade has fewer than LEAST_FILMS films.
    """
    if np.bincount(grades, minlength=NUM_GRADES).min() < LEAST_FILMS:
        return None
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    # Trees this small gain nothing from threads, which on a busy machine wait for each other for minutes.
    with threadpool_limits(1):
        guessed = np.asarray(cross_val_predict(trees(), np.asarray(features, float), grades, groups=groups, cv=folds))
    samples = resamples(groups)
    kappa, balanced = (
        bootstrapped(lambda rows, score=score: score(grades[rows], guessed[rows]), samples, len(grades))
        for score in (qwk, balanced_accuracy)
    )
    return ShortcutEvidence(qwk=kappa, balanced_accuracy=balanced)
