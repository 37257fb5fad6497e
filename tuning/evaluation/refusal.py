"""A film beyond these limits is refused, or warned about; they are fitted on validation films."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kneeoa_hub.bundle import RefusalConfig
from kneeoa_hub.imaging.refusal import clipped_proportion, contrast, training_distances

AXES = 24
"""A film's distance from the training films is taken in 24 principal axes of the embedding."""
LEAST_SPREAD = 1e-3
"""Axes with less than this fraction of the widest axis's spread are noise and are left out."""
FALSE_REFUSALS = 0.001
"""Of the validation knees, 0.1% are refused as too far from the training films; the gate refuses most films that show
no knee."""
CHANGED_REFUSALS = 0.005
"""Of the validation knees, 0.5% are refused when their films were changed as consoles, archives and screenshots change
films."""
FAR, CLIPPED = 0.02, 0.01
"""These proportions of the validation knees are warned about: as far from the training films, and as badly exposed."""
LEAST_CLIPPED = 0.1
"""The limit of clipped grays is at least this: with less, the joint still shows its detail."""
MOST_CONTRAST = 0.2
"""The limit of contrast is half of that of the poorest validation film, and this at most."""
MAX_COLOUR = 0.04
"""JPEG noise of a gray film measures below .01, a photograph above .1."""


def fit_refusal(
    training: np.ndarray,
    validation: np.ndarray,
    contents: Sequence[np.ndarray],
    exposed: Sequence[np.ndarray],
    changed: np.ndarray | None = None,
) -> RefusalConfig:
    """Return the limits of refusal.

    Args:
        training: [N,D] embeddings of training knees.
        validation: [M,D] embeddings of validation knees.
        contents: The letterboxed validation films without padding, [H,W] each.
        exposed: The pixels of these whose exposure counts.
        changed: [K,D] embeddings of validation knees on changed films; without them the limit is that of films as they
            are.
    """
    mean = training.mean(0)
    _, spread, axes = np.linalg.svd(training - mean, full_matrices=False)
    kept = min(AXES, len(spread), int((spread > LEAST_SPREAD * spread[0]).sum()))
    components = axes[:kept] / (spread[:kept, None] / np.sqrt(len(training)))
    config = RefusalConfig(
        min_contrast=min(MOST_CONTRAST, min(map(contrast, contents)) / 2),
        max_colour=MAX_COLOUR,
        max_distance=np.inf,
        mean=tuple(round(float(v), 6) for v in mean),
        components=tuple(tuple(float(f"{v:.5g}") for v in row) for row in components),
    )
    away, clips = training_distances(validation, config), [clipped_proportion(pixels) for pixels in exposed]
    farthest = _limit(away, FALSE_REFUSALS)
    if changed is not None:
        farthest = max(farthest, _limit(training_distances(changed, config), CHANGED_REFUSALS))
    return replace(
        config,
        max_distance=farthest,
        far_distance=_limit(away, FAR),
        max_clipped=max(LEAST_CLIPPED, _limit(clips, CLIPPED)),
    )


def _limit(values: Sequence[float] | np.ndarray, beyond: float) -> float:
    """Return the value that a proportion of the values exceeds."""
    return float(np.quantile(values, 1 - beyond, method="higher"))
