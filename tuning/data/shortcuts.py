"""Probes measure how well the grade can be guessed from what does not show the joint: header, grays, texture, borders.

What these reach is a leak of the data, not radiology; a model that is no better has learnt nothing (Geirhos et al.,
"Shortcut learning in deep neural networks", Nat. Mach. Intell. 2020).
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.evidence import ShortcutEvidence
from kneeoa_hub.grades import NUM_GRADES

from ..run.estimates import balanced_accuracy, bootstrapped
from .exposure import brightness

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

Features = tuple[float, ...]
MODES = ("1", "L", "P", "RGB", "RGBA", "I", "I;16")
"""These are Pillow's modes. The trees get the position of a mode in this tuple."""
DEEP_MODES = ("I", "I;16")
"""These modes have 16 bits."""
SIDE, RINGS, BINS, THUMBNAIL = 128, 29, 32, 12
"""A film whose spectrum is taken has SIDE pixels per side, its spectrum RINGS rings, and its grays BINS bins. The
thumbnail of which the border, or all but the joint, is shown has THUMBNAIL pixels per side."""
JOINT_ROWS = slice(round(0.3 * THUMBNAIL), round(0.7 * THUMBNAIL))
"""These rows of the thumbnail hold the joint of a film that one knee fills."""
GRAYS = 1.0, 99.0
"""These percentiles of a film's grays become 0 and 1."""
FOLDS = 5
LEAST_FILMS = 20
"""Cross-validation says nothing when the rarest grade has fewer films."""


def header(content: bytes) -> Features:
    """Return width, height, bytes, mode and format of a file as numbers; for DICOM and others only the bytes."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = MODES.index(image.mode) if image.mode in MODES else len(MODES)
            return (*image.size, len(content), mode, sum(map(ord, image.format or "")))
    except (OSError, ValueError, Image.DecompressionBombError):
        return (0, 0, len(content), -1, 0)


def is_deep(probes: Sequence[Features]) -> bool:
    """Return whether the picture of a film's `probes` has 16 bits; False for DICOM, whose header is not read."""
    return probes[0][3] in [MODES.index(mode) for mode in DEEP_MODES]


def spectrum(pixels: np.ndarray) -> Features:
    """Return the logarithm of the mean power in each of RINGS rings of a film's spectrum: its texture and sharpness."""
    shown = _shown(pixels, SIDE)
    power = np.abs(np.fft.fftshift(np.fft.fft2(shown - shown.mean()))) ** 2
    down, across = np.indices(power.shape) - SIDE // 2
    ring = np.minimum((np.hypot(down, across) / (SIDE / 2) * RINGS).astype(int), RINGS - 1)
    total = np.bincount(ring.ravel(), power.ravel(), RINGS) / np.bincount(ring.ravel(), minlength=RINGS)
    return tuple(np.log(total + 1e-9).tolist())


def histogram(pixels: np.ndarray) -> Features:
    """Return the proportion of a film's grays in each of BINS bins between its percentiles GRAYS."""
    shown = _shown(pixels, SIDE)
    return tuple((np.histogram(shown, BINS, (0.0, 1.0))[0] / shown.size).tolist())


def border(pixels: np.ndarray) -> Features:
    """Return the outermost pixels of a film's thumbnail, without those beside the joint."""
    outside = _outside(pixels)
    return tuple(np.concatenate([outside[0], outside[-1], outside[1:-1, 0], outside[1:-1, -1]]).tolist())


def without_joint(pixels: np.ndarray) -> Features:
    """Return a film's thumbnail without the rows of the joint."""
    return tuple(_outside(pixels).ravel().tolist())


def _outside(pixels: np.ndarray) -> np.ndarray:
    """Return the rows of a thumbnail without the joint, scaled alone so that its grays leave no trace."""
    return _scaled(np.delete(_small(pixels, THUMBNAIL), JOINT_ROWS, axis=0))


def _shown(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a film [H,W] as float32 [side,side] from 0 to 1."""
    return _scaled(_small(pixels, side))


def _small(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(pixels, np.float32)).resize((side, side), Image.Resampling.BOX))


def _scaled(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, GRAYS)
    return np.clip((values - low) / max(float(high - low), float(np.finfo(np.float32).tiny)), 0.0, 1.0)


PROBES: Mapping[str, Callable[[bytes, np.ndarray], Features]] = {
    "file header and size": lambda content, pixels: header(content),
    "mean brightness": lambda content, pixels: (brightness(pixels),),
    "power spectrum": lambda content, pixels: spectrum(pixels),
    "histogram of grays": lambda content, pixels: histogram(pixels),
    "border of the film": lambda content, pixels: border(pixels),
    "film without its joint": lambda content, pixels: without_joint(pixels),
}
"""Each probe has a name and says what it knows of a film: of its file's content, or of its pixels [H,W]."""


def probes(content: bytes, pixels: np.ndarray) -> tuple[Features, ...]:
    """Return what each of PROBES knows of a film."""
    return tuple(probe(content, pixels) for probe in PROBES.values())


def trees() -> "HistGradientBoostingClassifier":
    """Return untrained boosted trees with a fixed seed."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # half a second, which most readers of films save

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
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

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
