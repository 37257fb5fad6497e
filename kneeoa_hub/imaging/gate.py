"""Asks the gate, the bundle's network that tells an upright frontal knee from other poses and from other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..bundle import GateConfig
from ..runtime import GateNetwork
from .letterbox import Region, network_input

Pose = tuple[int, bool]
"""Quarter turns anticlockwise by which a film was turned, and whether its grays were inverted."""
POSES: tuple[Pose, ...] = tuple((turns, inverted) for inverted, turns in product((False, True), range(4)))
"""These are all eight poses. The first one is upright with bright bone."""
CLASSES = (*POSES, "not-a-knee", "cut-off", "blurred")
"""The output of the gate's network has these classes, in this order."""
NOT_A_KNEE, CUT_OFF, BLURRED = range(len(POSES), len(CLASSES))
"""These classes are not a pose."""
UPRIGHT = 0
"""This is the class of an upright knee with bright bone."""


@dataclass(frozen=True)
class Verdict:
    """Says what the gate finds of one knee.

    Attributes:
        accepted: Whether the knee is upright with bright bone.
        score: The probability of an upright knee with bright bone, 0 to 1.
        pose: The other pose that the knee surely has, or None.
        reason: The reason for a refusal, a key of `refusal.MESSAGES`, or None if the knee is accepted or has a pose.
    """

    accepted: bool
    score: float
    pose: Pose | None = None
    reason: str | None = None


class Gate:
    """Judges knees by a bundle's gate: its network, and the limits that turn its probabilities into verdicts."""

    def __init__(self, network: GateNetwork, limits: GateConfig):
        self._network = network
        self.limits: GateConfig = limits

    def judge(self, pixels: np.ndarray, regions: Sequence[Region]) -> tuple[Verdict, ...]:
        """Return a verdict for each region, in whole pixels, of a [H,W] film with bright bone."""
        if not regions:
            return ()
        inputs = np.stack([network_input(pixels, region, self._network.input) for region in regions])
        return tuple(verdict(probabilities, self.limits) for probabilities in self._network.run(inputs))


def verdict(probabilities: np.ndarray, limits: GateConfig) -> Verdict:
    """Decide from the network's probabilities of CLASSES [11]."""
    upright = float(probabilities[UPRIGHT])
    if upright >= limits.min_upright:
        return Verdict(True, upright)
    likeliest = UPRIGHT + 1 + int(np.argmax(probabilities[UPRIGHT + 1 :]))
    if likeliest >= len(POSES):
        return Verdict(False, upright, reason=str(CLASSES[likeliest]))
    if probabilities[likeliest] >= limits.min_certain:
        return Verdict(False, upright, pose=POSES[likeliest])
    # The knee may be upright, and no other class is certain: the gate does not know it.
    if upright > probabilities[likeliest]:
        return Verdict(False, upright, reason="not-a-knee")
    turns, _ = POSES[likeliest]
    return Verdict(False, upright, reason="turned" if turns else "inverted")


def to_upright(pixels: np.ndarray, pose: Pose) -> np.ndarray:
    """Return a [H,W] film of that pose as an upright copy with bright bone."""
    turns, inverted = pose
    upright = np.array(np.rot90(pixels, -turns), order="C")
    return np.subtract(upright.max() + upright.min(), upright, out=upright) if inverted else upright
