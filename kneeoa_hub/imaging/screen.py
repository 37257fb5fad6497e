"""What a film is seen to show: its knees, in the position in which they are graded, or why they are not to be
graded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..bundle import GateConfig
from ..runtime import GateNetwork
from .film import Film
from .gate import POSES, UPRIGHT, Pose, Refusal, Verdict, put_right, refusal, verdict
from .letterbox import Box, network_input
from .locate import TWO_KNEES_FROM, regions

THINNED_TO = 1536
"""Pixels of the longer side of a film whose poses are tried."""
SURE = 0.8
"""Probability of an upright knee that is asked of what is found in a part of a film, of the surest joint, and in
another pose on average: there are many places and poses to be wrong in. When it was set, nearly all composed films with
joints had one of more than .95, none had more than .1 in a wrong pose, and nearly all that was taken for a joint in
made films that show none had less than .75."""
Finder = Callable[[np.ndarray], tuple[Box, ...]]
"""[H,W] bright bone -> boxes of the knees, left to right in the picture; none when no joint is seen."""


@dataclass(frozen=True)
class Screening:
    """film: upright, bright bone, without padding. boxes: of the knees in it. pose: what the given film had to be put
    right from.

    regions: what is graded for each box, see `locate.regions`; the boxes themselves when it is empty.
    origin: (left, top) of what was left of the given film when its padding was cut off, before it was put right.
    doubtful: boxes that the gate would refuse: those found are left out of `boxes`, those given are in it.
    """

    film: Film
    boxes: tuple[Box, ...]
    pose: Pose = POSES[UPRIGHT]
    refused: Refusal | None = None
    doubtful: tuple[Box, ...] = ()
    origin: tuple[int, int] = (0, 0)
    regions: tuple[Box, ...] = ()

    @property
    def graded(self) -> tuple[Box, ...]:
        """What is graded for each box."""
        return self.regions or self.boxes


class Screener:
    """Finds the knees of a film and asks the bundle's gate, if it has one, whether they are upright frontal knees."""

    def __init__(self, find: Finder, gate: GateNetwork | None = None, limits: GateConfig | None = None):
        self._find, self._gate, self._limits = find, gate, limits

    def __call__(self, film: Film, boxes: tuple[Box, ...] | None = None) -> Screening:
        """boxes: given by the caller, so not looked for; a film with given boxes is not turned, nor cut."""
        if film.exposed and boxes is None:
            left, top, right, bottom = film.exposed
            return replace(
                self(replace(film, pixels=film.pixels[top:bottom, left:right], exposed=None)), origin=(left, top)
            )
        found = boxes or self._find(film.pixels)
        graded = boxes or regions(found, film.pixels.shape)
        verdicts = self._judge(film, graded)
        whole = (0, 0, film.width, film.height)
        if boxes is None and whole not in graded:
            verdicts = _doubted(verdicts)
        if accepted := _accepted(film, found, graded, verdicts, given=boxes is not None):
            return accepted
        if righted := self._in_another_pose(film, boxes):
            return righted
        if boxes is None and whole not in graded:
            # Where the finder is at a loss, a film that may be one knee is asked of the gate as a whole.
            alone = self._judge(film, (whole,))
            if (
                self._limits
                and alone[0].accepted
                and (
                    film.width < TWO_KNEES_FROM * film.height
                    or (not found and alone[0].score >= self._limits.min_certain)
                )
            ):
                # a wide film may show two, so the gate has to be sure of it, and the finder to have seen none
                return Screening(film, (whole,))
            # Of what was found its own reason is told, and of a film in which nothing was found that of the whole.
            verdicts += tuple(one for one in alone if one.turn or not (found or one.accepted))
        return self._as_told(film, verdicts, boxes) or Screening(
            film, found or (whole,), refused=_refusal(verdicts), regions=graded or (whole,)
        )

    def _in_another_pose(self, film: Film, boxes: tuple[Box, ...] | None) -> Screening | None:
        """The film in the pose in which all that is found in it is surely an upright knee, and more surely so than in
        any other.

        The poses are tried on a film that is thinned, so that a large one is turned once at most.
        """
        if not self._limits or not self._gate:
            return None
        step = 1 if boxes else max(1, max(film.pixels.shape) // THINNED_TO)
        thin = replace(film, pixels=np.asarray(Image.fromarray(film.pixels).reduce(step)) if step > 1 else film.pixels)
        tried = {pose: self._surely(thin, pose, boxes) for pose in POSES[UPRIGHT + 1 :] if not boxes or not pose[0]}
        best = max((screening for screening in tried.values() if screening), key=lambda found: found[1], default=None)
        if best is None or step == 1:
            return best[0] if best else None
        whole = self._surely(film, best[0].pose, boxes)
        return whole[0] if whole else None

    def _surely(self, film: Film, pose: Pose, boxes: tuple[Box, ...] | None) -> tuple[Screening, float] | None:
        """The film as it stands upright if it was given in that pose, and the mean score of what is found in it, if
        that is surely its knees.
        """
        upright = replace(film, pixels=put_right(film.pixels, pose))
        found = boxes or self._find(upright.pixels)
        graded = boxes or regions(found, upright.pixels.shape)
        verdicts = self._judge(upright, graded)
        score = (
            float(np.mean([one.score for one in verdicts]))
            if verdicts and all(one.accepted for one in verdicts)
            else 0.0
        )
        return (Screening(upright, found, pose, regions=graded), score) if score >= SURE else None

    def _as_told(self, film: Film, verdicts: Sequence[Verdict], boxes: tuple[Box, ...] | None) -> Screening | None:
        """The film, in which the finder sees nothing in any pose, in the one that the gate is sure of; it is one knee
        then.
        """
        for pose in dict.fromkeys(one.turn for one in verdicts if one.turn and not boxes):
            upright = replace(film, pixels=put_right(film.pixels, pose))
            whole = ((0, 0, upright.width, upright.height),)
            if self._judge(upright, whole)[0].accepted:
                return Screening(upright, whole, pose)
        return None

    def _judge(self, film: Film, boxes: Sequence[Box]) -> tuple[Verdict, ...]:
        if not self._gate or not self._limits:
            return (Verdict(True, 1.0),) * len(boxes)
        if not boxes:
            return ()
        inputs = np.stack([network_input(film.pixels, box, self._gate.input) for box in boxes])
        return tuple(verdict(answer, self._limits) for answer in self._gate.run(inputs))


def _accepted(
    film: Film, boxes: Sequence[Box], graded: Sequence[Box], verdicts: Sequence[Verdict], given: bool
) -> Screening | None:
    """The knees that may be graded, if there is one; what else the finder took for a knee is left out."""
    doubtful = tuple(box for box, one in zip(boxes, verdicts, strict=True) if not one.accepted)
    if len(doubtful) == len(boxes):
        return None
    kept = [row for row, box in enumerate(boxes) if given or box not in doubtful]
    return Screening(
        film, tuple(boxes[row] for row in kept), doubtful=doubtful, regions=tuple(graded[row] for row in kept)
    )


def _doubted(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Of what was found in parts of a film: none is a knee when the gate is sure of none."""
    if any(one.accepted and one.score >= SURE for one in verdicts):
        return verdicts
    return tuple(replace(one, accepted=False, reason="not-a-knee") if one.accepted else one for one in verdicts)


def _refusal(verdicts: Sequence[Verdict]) -> Refusal:
    """For the reason of the knee that came nearest to being accepted."""
    if not verdicts:
        return refusal("no-knee-found", 0.0)
    best = max(verdicts, key=lambda one: one.score)
    return refusal(best.reason or ("turned" if best.turn and best.turn[0] else "inverted"), best.score)


def placed_back(box: Box, screening: Screening) -> Box:
    """A box in the screening's film, in the film as it was given."""
    (left, top, right, bottom), (across, down) = box, screening.origin
    width, height = screening.film.width, screening.film.height
    for _ in range(screening.pose[0]):
        left, top, right, bottom = top, width - right, bottom, width - left
        width, height = height, width
    return left + across, top + down, right + across, bottom + down
