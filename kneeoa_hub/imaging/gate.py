"""Whether a film may be graded at all. A refusal is an answer, not an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..bundle import GateConfig, RefusalConfig
from .film import Film
from .letterbox import Box

MESSAGES = {
    "no-detail": (
        "The film shows no detail where the knee should be (blank, or far too low in contrast). Export it again with"
        " its full gray scale, or mend the box that was given."
    ),
    "not-a-radiograph": (
        "The picture is in colour, so it is no radiograph. Send the film itself, without colour or marks."
    ),
    "other-modality": (
        "The film's header says that it is no plain radiograph (CT, MR, ultrasound or another kind). Send a plain knee"
        " film."
    ),
    "other-body-part": "The film's header names another part of the body. Send a knee film, or correct the header.",
    "not-frontal": (
        "The film's header says that the view is not frontal (lateral, oblique or axial). Send a frontal (AP or PA)"
        " view."
    ),
    "no-knee-found": (
        "No knee joint was found in the film. Send a frontal (AP or PA) film that shows the whole joint, or say where"
        " it is with boxes."
    ),
    "not-a-knee": (
        "This does not look like a frontal knee radiograph that the model knows. Send a frontal (AP or PA) knee film,"
        " upright."
    ),
    "cut-off": (
        "The knee is cut off: the middle of the joint is not in the picture. Send the film with the whole joint on it."
    ),
    "blurred": "The film is too blurred to be graded. Send it at its own resolution, or take it again.",
    "inverted": (
        "The film's grays seem to be inverted, which is not certain enough to put right. Send it with bright bone."
    ),
    "turned": (
        "The knee seems not to stand upright, which is not certain enough to put right. Send it with the thigh at the"
        " top."
    ),
}
"""Every reason for a refusal, with what it means and what to do."""

Pose = tuple[int, bool]
"""Quarter turns anticlockwise that a film was given, and whether its grays were inverted."""
POSES: tuple[Pose, ...] = tuple((turns, inverted) for inverted, turns in product((False, True), range(4)))
CLASSES = (*POSES, "not-a-knee", "cut-off", "blurred")
"""What the gate's network tells apart, in the order of its answer."""
NOT_A_KNEE, CUT_OFF, BLURRED = range(len(POSES), len(CLASSES))
UPRIGHT = 0
MANY_LEVELS = 64
"""Gray levels from which a film's contrast is full. The poorest of a thousand real knees has 38, a blank film one."""
LEAST_SHOWN = 0.001
"""Where less of a film is neither its darkest nor its brightest value, it is blank but for a letter."""
LEVELS_SAMPLE = 512
"""Levels are counted over at most this many rows and columns."""


@dataclass(frozen=True)
class Refusal:
    """reason: a key of MESSAGES. score: the measured value that was beyond the bundle's limit."""

    reason: str
    score: float
    message: str


@dataclass(frozen=True)
class Verdict:
    """Of the gate's network on one knee. accepted: an upright knee. turn: the pose that it surely has, if another one.

    reason: a key of MESSAGES when neither. score: the probability of an upright knee.
    """

    accepted: bool
    score: float
    turn: Pose | None = None
    reason: str | None = None


def refusal(reason: str, score: float) -> Refusal:
    """A refusal for a key of MESSAGES, with its message."""
    return Refusal(reason, float(score), MESSAGES[reason])


def verdict(answer: np.ndarray, config: GateConfig) -> Verdict:
    """From the network's probabilities of CLASSES [11]."""
    upright = float(answer[UPRIGHT])
    if upright >= config.min_upright:
        return Verdict(True, upright)
    likeliest = UPRIGHT + 1 + int(np.argmax(answer[UPRIGHT + 1 :]))
    if likeliest >= len(POSES):
        return Verdict(False, upright, reason=str(CLASSES[likeliest]))
    if answer[likeliest] >= config.min_certain:
        return Verdict(False, upright, turn=POSES[likeliest])
    # A knee that may well be upright, and is not surely anything else, is refused for what it is: one that the gate
    # does not know.
    turns, _ = POSES[likeliest]
    return Verdict(
        False, upright, reason="not-a-knee" if upright > answer[likeliest] else "turned" if turns else "inverted"
    )


def put_right(pixels: np.ndarray, pose: Pose) -> np.ndarray:
    """A [H,W] film of that pose, upright and with bright bone."""
    turns, inverted = pose
    upright = np.array(np.rot90(pixels, -turns), order="C")
    return np.subtract(upright.max() + upright.min(), upright, out=upright) if inverted else upright


def clipped(content: np.ndarray) -> float:
    """Share of the windowed pixels uint8 [H,W] of `letterbox.letterbox` that are black or white: about .02 for a film
    exposed well.
    """
    return float(((content <= 1) | (content >= 254)).mean())


def contrast(pixels: np.ndarray) -> float:
    """Gray levels that a [H,W] film uses, 1st to 99th percentile, of MANY_LEVELS: 0 (blank) to 1. Their zero and unit
    do not matter.

    Plain black and white are left out, since a knee may be a hundredth of its film. Noise uses many levels as well: it
    is the network's to tell.
    """
    steps = [-(-side // LEVELS_SAMPLE) for side in pixels.shape]
    ordered = np.sort(pixels[:: steps[0], :: steps[1]], axis=None)
    shown = ordered[np.searchsorted(ordered, ordered[0], "right") : np.searchsorted(ordered, ordered[-1], "left")]
    ordered = shown if len(shown) >= LEAST_SHOWN * len(ordered) else ordered
    tail = len(ordered) // 100
    middle = ordered[tail : len(ordered) - tail]
    return min(1.0, float(np.count_nonzero(middle[1:] != middle[:-1])) / MANY_LEVELS)


def check_pixels(film: Film, config: RefusalConfig, boxes: Sequence[Box] = ()) -> Refusal | None:
    """What can be told before the network has seen the film.

    boxes: of knees, where they are known; detail is looked for in them then.
    """
    if film.ruled_out:
        return refusal(film.ruled_out, 1.0)
    if film.colour > config.max_colour:
        return refusal("not-a-radiograph", film.colour)
    spread = max(
        contrast(film.pixels[top:bottom, left:right])
        for left, top, right, bottom in boxes or [(0, 0, film.width, film.height)]
    )
    return refusal("no-detail", spread) if spread < config.min_contrast else None


def distances(embeddings: np.ndarray, config: RefusalConfig) -> np.ndarray:
    """[N,D] -> [N]: root mean square distance from the training knees along their whitened principal axes; about 1 for
    a knee.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018.
    """
    centred = embeddings.astype(np.float64) - np.asarray(config.mean)
    return np.sqrt(((centred @ np.asarray(config.components).T) ** 2).mean(1))
