"""Holds every reason for which a film is not graded, with its text, and the checks that need no network.

A refusal is an answer, not an error. The reasons of a network's verdict come from `gate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bundle import RefusalConfig
from .compression import REFUSED_QUALITY, quality_at_joint
from .film import Film
from .letterbox import Box

MESSAGES = {
    "no-detail": (
        "The film shows no detail where the knee should be: it is blank, or its contrast is far too low. Export it"
        " again with its full gray scale."
    ),
    "not-a-radiograph": (
        "The picture is in colour, as a photograph of a screen is. Send the film itself, exported from its viewer"
        " without colour or annotations."
    ),
    "compressed": (
        "The film was compressed so strongly that the signs of osteoarthritis cannot be told from the traces of the"
        " compression. Send the original film, or save it without loss."
    ),
    "other-modality": (
        "The film's header says that it is not a plain radiograph (CT, MR, ultrasound or another modality). Send a"
        " plain knee radiograph."
    ),
    "other-body-part": "The film's header names another body part. Send a knee film, or correct the header.",
    "not-frontal": (
        "The film's header says that the view is not frontal (lateral, oblique or axial). Send a frontal (AP or PA)"
        " view."
    ),
    "no-knee-found": (
        "No knee joint was found in the film. Send a frontal (AP or PA) film that shows the whole joint, or give the"
        " position of the knee as a box."
    ),
    "not-a-knee": (
        "The film does not look like a frontal knee radiograph of the kind that the model knows, or the joint holds"
        " an implant. Send an upright frontal (AP or PA) film of a knee without implants."
    ),
    "cut-off": "The knee is cut off: the centre of the joint is not on the film. Send a film with the whole joint.",
    "blurred": "The film is too blurred to grade. Send it at its full resolution, or send a sharper film.",
    "inverted": (
        "The grays of the film seem to be inverted, but not clearly enough to correct them automatically. Send the film"
        " with bright bone."
    ),
    "turned": (
        "The knee does not seem to be upright, but the film is not clear enough to turn it automatically. Send the film"
        " with the thigh at the top."
    ),
}
"""Each reason for a refusal has this text, which says what is wrong with the film, and what its sender can do."""

WHOLE_FILM = frozenset(("not-a-radiograph", "compressed", "other-modality", "other-body-part", "not-frontal"))
"""These reasons hold for the whole film, so a given box cannot help."""
FULL_LEVELS = 64
"""The contrast of a film counts as full from 64 gray levels on. The poorest of a thousand real knees has 38, a blank
film has one."""
LEAST_SHOWN = 0.001
"""A film is blank, apart from a letter, if less than 0.1% of its pixels has another value than the darkest and the
brightest."""
SAMPLE_SIDE = 512
"""Gray levels are counted over at most 512 rows and columns, which is enough, and quick on a large film."""


@dataclass(frozen=True)
class Refusal:
    """Says why a film is not graded.

    Attributes:
        reason: A key of MESSAGES.
        score: The measured value that is beyond the bundle's limit. Its unit depends on the reason.
        message: The text for the reader.
    """

    reason: str
    score: float
    message: str


def refuse(reason: str, score: float) -> Refusal:
    """Make the refusal for a key of MESSAGES, with its text."""
    return Refusal(reason, float(score), MESSAGES[reason])


def check_pixels(film: Film, config: RefusalConfig, boxes: Sequence[Box] = ()) -> Refusal | None:
    """Decide from the header, the colour, the compression and the contrast of a film, before any network sees it.

    Args:
        film: The decoded film.
        config: The bundle's limits.
        boxes: The knees, if they are known. Contrast is then measured in them alone.

    Returns:
        The refusal, or None if the film may go on to the networks.
    """
    if film.ruled_out:
        return refuse(film.ruled_out, 1.0)
    if film.colour > config.max_colour:
        return refuse("not-a-radiograph", film.colour)
    if film.quality is not None and quality_at_joint(film.quality, *film.as_given.shape) < REFUSED_QUALITY:
        return refuse("compressed", film.quality)
    best = max(
        contrast(film.pixels[top:bottom, left:right])
        for left, top, right, bottom in boxes or [(0, 0, film.width, film.height)]
    )
    return refuse("no-detail", best) if best < config.min_contrast else None


def contrast(pixels: np.ndarray) -> float:
    """Count the gray levels of a [H,W] film from its 1st to its 99th percentile, as a proportion of FULL_LEVELS.

    The result lies between 0 (blank) and 1. The zero point and the unit of the values do not matter. Pixels of the
    darkest and of the brightest value do not count, since a knee may cover a hundredth of its film. Noise has many
    levels too, so the networks must refuse it.
    """
    rows, columns = (-(-side // SAMPLE_SIDE) for side in pixels.shape)
    ordered = np.sort(pixels[::rows, ::columns], axis=None)
    shown = ordered[np.searchsorted(ordered, ordered[0], "right") : np.searchsorted(ordered, ordered[-1], "left")]
    ordered = shown if len(shown) >= LEAST_SHOWN * len(ordered) else ordered
    tail = len(ordered) // 100
    middle = ordered[tail : len(ordered) - tail]
    return min(1.0, float(np.count_nonzero(middle[1:] != middle[:-1])) / FULL_LEVELS)


def clipped_proportion(content: np.ndarray) -> float:
    """Return the proportion of windowed uint8 pixels that are pure black or white, about 0.02 for a good exposure.

    `content` is the part of `letterbox.letterbox`'s pixels [H,W] that is not padding. If there is none, all is black.
    """
    if not content.size:
        return 1.0
    darkest, brightest = int(content.min()), int(content.max())
    return float(((content <= darkest + 1) | (content >= brightest - 1)).mean())


class TrainingDistances:
    """Computes `training_distances` by one bundle's limits, whose thousands of numbers it keeps as arrays."""

    def __init__(self, config: RefusalConfig):
        self._mean, self._axes = np.asarray(config.mean), np.asarray(config.components).T

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the distances [N] of embeddings [N,D]."""
        centred = embeddings.astype(np.float64) - self._mean
        return np.sqrt(((centred @ self._axes) ** 2).mean(1))


def training_distances(embeddings: np.ndarray, config: RefusalConfig) -> np.ndarray:
    """Return how far [N,D] embeddings lie from those of the training knees, as [N]. A knee has about 1.

    The distance is the root mean square along the whitened principal axes of the training embeddings, after Lee et
    al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018.
    """
    return TrainingDistances(config)(embeddings)
