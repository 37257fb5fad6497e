"""Whether a film may be graded at all. A refusal is an answer, not an error."""

from dataclasses import dataclass

import numpy as np

from ..bundle import RefusalConfig
from .decode import Film

MESSAGES = {
    "no-detail": "The film shows no detail (blank, or far too low in contrast). Export it again with its full gray scale.",
    "not-a-radiograph": "The picture is in colour, so it is no radiograph. Send the film itself, without colour or marks.",
    "other-modality": "The film's header says that it is no plain radiograph (CT, MR, ultrasound or another kind). Send a plain knee film.",
    "other-body-part": "The film's header names another part of the body. Send a knee film, or correct the header.",
    "not-frontal": "The film's header says that the view is not frontal (lateral or axial). Send a frontal (AP or PA) view.",
    "no-knee-found": "No knee joint was found in the film. Send a frontal (AP or PA) film that shows the whole joint, or say where it is with boxes.",
    "not-a-knee": "This does not look like a frontal knee radiograph that the model knows. Send a frontal (AP or PA) knee film, upright.",
}
"""Every reason for a refusal, with what it means and what to do."""


@dataclass(frozen=True)
class Refusal:
    """reason: a key of MESSAGES. score: the measured value that was beyond the bundle's limit."""

    reason: str
    score: float
    message: str


def refusal(reason: str, score: float) -> Refusal:
    """A refusal for a key of MESSAGES, with its message."""
    return Refusal(reason, float(score), MESSAGES[reason])


def contrast(pixels: np.ndarray) -> float:
    """Spread of the gray values, 1st to 99th percentile over their largest magnitude: 0 (blank) to 1 or more."""
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)], (1, 99))
    return float((high - low) / max(abs(float(low)), abs(float(high)), 1e-6))


def check_pixels(film: Film, config: RefusalConfig) -> Refusal | None:
    """What can be told before the network has seen the film."""
    if film.ruled_out:
        return refusal(film.ruled_out, 1.0)
    if film.colour > config.max_colour:
        return refusal("not-a-radiograph", film.colour)
    spread = contrast(film.pixels)
    return refusal("no-detail", spread) if spread < config.min_contrast else None


def distances(embeddings: np.ndarray, config: RefusalConfig) -> np.ndarray:
    """[N,D] -> [N]: root mean square distance from the training knees along their whitened principal axes; about 1 for a knee.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018.
    """
    centred = embeddings.astype(np.float64) - np.asarray(config.mean)
    return np.sqrt(((centred @ np.asarray(config.components).T) ** 2).mean(1))
