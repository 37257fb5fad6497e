"""Screens a film: finds its knees in the pose in which they are graded, or the reason for a refusal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .borders import without_borders
from .film import MIN_SIDE, Film
from .gate import POSES, UPRIGHT, Gate, Pose, Verdict, to_upright
from .letterbox import Box, Region
from .locate import MOST_KNEES, apart, clipped, graded_regions, middle, one_fills
from .page import film_on_page
from .pairs import surest_pair
from .refusal import Refusal, refuse
from .square import to_given

POSE_SIDE = 1536
"""Other poses are tried on a film reduced to at most 1,536 pixels on its longer side, which is quicker."""
SURE = 0.8
"""The gate is sure from this probability of an upright knee on. The surest joint that was found in a part of a film
must reach it, since many places give many chances to err. When it was set, nearly all composed films with joints had a
joint above 0.95, and nearly everything that was taken for a joint in films without one had less than 0.75.
"""
SURE_AGAIN = 0.92
"""The knees that are found in another pose must reach this probability on average, since there are seven other poses.
Nearly all validation knees in another pose have more in it, however they are changed.
"""
SURE_CLOSER = 0.96
"""A knee that is found in a closer look must reach this probability, since there are several places. Knees on
screenshots have more."""
CLOSER = 3.0
"""A place that the gate does not accept is looked at again in a window of three times its side. On a screenshot or a
large page a knee covers few pixels of what the locator sees, and is then taken to lie beside its place."""
ROUNDING = 2
"""Edges of a box that was reported, and is given again, differ by at most two pixels: pixels that are not square."""
Locate = Callable[[np.ndarray], tuple[Region, ...]]
"""Such a function takes a [H,W] film with bright bone to the boxes of its knees, from left to right, or to none. The
boxes are squares, which may reach beyond the film, for a bundle that frames knees.
"""


@dataclass(frozen=True)
class Screening:
    """Holds the result of screening a film.

    Attributes:
        film: The film, upright, with bright bone and without declared padding. Its `scale` is that of the given film.
        boxes: The knees in `film`.
        pose: The pose of the given film.
        refused: The reason why the film is not graded, or None.
        doubtful: Boxes that the gate does not accept. Found boxes are left out of `boxes`; given boxes stay in it.
        origin: Left and top of `film` in the given film, in square pixels, before it was turned upright.
        regions: The region that is graded for each box, see `locate.graded_regions`. Empty means the box itself.
        supported: The members of `boxes` that are accepted only because of the knee beside them, see `pairs`.
        chosen_from: The screening of all knees and doubtful places, where the caller left out some of them.
    """

    film: Film
    boxes: tuple[Box, ...]
    pose: Pose = POSES[UPRIGHT]
    refused: Refusal | None = None
    doubtful: tuple[Box, ...] = ()
    origin: tuple[int, int] = (0, 0)
    regions: tuple[Region, ...] = ()
    supported: tuple[Box, ...] = ()
    chosen_from: "Screening | None" = None

    @property
    def accepted(self) -> int:
        """How many knees are accepted."""
        return 0 if self.refused else len(self.boxes)

    @property
    def graded(self) -> tuple[Region, ...]:
        """The region that is graded for each box."""
        return self.regions or self.boxes


class Screener:
    """Finds the knees of a film and asks the gate whether they are upright frontal knees.

    A bundle without a gate accepts everything that the locator finds. `square` says that the bundle frames knees.
    `locate_faint` also gives what may be a knee; it is asked for a second knee if `locate` leaves one or none.
    """

    def __init__(
        self, locate: Locate, gate: Gate | None = None, square: bool = False, locate_faint: Locate | None = None
    ):
        self._locate, self._gate, self._square = locate, gate, square
        self._locate_faint = locate_faint or locate

    def __call__(self, film: Film, boxes: tuple[Box, ...] | None = None) -> Screening:
        """Screen a film.

        Args:
            film: The decoded film.
            boxes: The knees that the caller gave, or None to find them. Where they are among the knees that are found,
                these are graded as without boxes. Otherwise the film is neither cut nor turned. The sides still follow
                from all knees of the film.

        Returns:
            The knees to grade, or the refusal.
        """
        found = self._screened(film)
        if boxes is None:
            return found
        return _with_these_alone(found, boxes) or _beside(self._with_given_boxes(film, boxes), found)

    def _screened(self, film: Film) -> Screening:
        screening = self._of_part(film, _content(film))
        if screening.accepted < 2 and (on_page := self._on_page(film)) and on_page.accepted > screening.accepted:
            return on_page
        return screening

    def _on_page(self, film: Film) -> Screening | None:
        """Screen the film on a page of words or in a window, if there is one that is large enough."""
        page = film_on_page(film.pixels)
        if not page or min(page[2] - page[0], page[3] - page[1]) < MIN_SIDE:
            return None
        return self._of_part(film, page)

    def _of_part(self, film: Film, part: Box) -> Screening:
        left, top, right, bottom = part
        if (right - left, bottom - top) == (film.width, film.height):
            return self._with_found_boxes(film)
        cut = replace(film, pixels=film.pixels[top:bottom, left:right], exposed=None)
        return replace(self._with_found_boxes(cut), origin=(left, top))

    def _with_given_boxes(self, film: Film, boxes: tuple[Box, ...]) -> Screening:
        verdicts = self._judge(film, boxes)
        doubtful = _not_accepted(boxes, verdicts)
        if len(doubtful) < len(boxes):
            return Screening(film, boxes, doubtful=doubtful)
        return self._in_another_pose(film, boxes) or Screening(film, boxes, refused=_refusal(verdicts))

    def _with_found_boxes(self, film: Film) -> Screening:
        found, graded = self._found(film)
        verdicts = self._judge(film, found if self._square else graded)
        whole = (0, 0, film.width, film.height)
        if not one_fills(found, film.pixels.shape):
            verdicts = _accepted_if_one_is_sure(verdicts)
            accepted = sum(one.accepted for one in verdicts)
            if accepted < 2 and (more := self._with_faint_boxes(film, accepted)):
                left_out = _not_accepted(found, verdicts)
                return replace(more, doubtful=tuple(box for box in left_out if all(apart(box, x) for x in more.boxes)))
        doubtful = _not_accepted(found, verdicts)
        if len(doubtful) < len(found):
            kept = [place for place, one in enumerate(verdicts) if one.accepted]
            boxes, regions = tuple(found[place] for place in kept), tuple(graded[place] for place in kept)
            return Screening(film, boxes, doubtful=doubtful, regions=regions)
        if upright := self._in_another_pose(film):
            return upright
        if whole not in graded:
            # What was found gives the reason. If nothing was found, the whole film gives it.
            alone = self._judge(film, (whole,))[0]
            if alone.pose or not (found or alone.accepted):
                verdicts += (alone,)
        return self._whole_in_another_pose(film, verdicts) or Screening(
            film, found or (whole,), refused=_refusal(verdicts), regions=graded or (whole,)
        )

    def _with_faint_boxes(self, film: Film, accepted: int) -> Screening | None:
        """Look for faint knees too: two that support each other, or sure ones in a closer look.

        Returns None if there are no such knees, or no more of them than were accepted without this.
        """
        if not self._gate:
            return None
        found, graded = self._found(film, self._locate_faint)
        verdicts = self._judge(film, found if self._square else graded)
        return self._pair(film, found, graded, verdicts) or self._closer(film, graded, verdicts, accepted)

    def _pair(
        self, film: Film, found: Sequence[Box], graded: Sequence[Region], verdicts: tuple[Verdict, ...]
    ) -> Screening | None:
        """Take the two places that support each other, if there are any."""
        if not (pair := surest_pair(graded, verdicts)):
            return None
        boxes, regions = tuple(found[place] for place in pair), tuple(graded[place] for place in pair)
        alone = _accepted_if_one_is_sure(tuple(verdicts[place] for place in pair))
        return Screening(film, boxes, regions=regions, supported=_not_accepted(boxes, alone))

    def _closer(
        self, film: Film, places: Sequence[Region], verdicts: Sequence[Verdict], accepted: int
    ) -> Screening | None:
        """Look again round each place that the gate does not accept, in a window that is CLOSER times as large."""
        regions: list[Region] = []
        for place, verdict in zip(places, verdicts, strict=True):
            regions += [place] if verdict.accepted else self._located_near(film, place)
        boxes = [clipped(region, film.pixels.shape) for region in regions]
        scores = [one.score for one in self._judge(film, boxes if self._square else regions)]
        surest = sorted((-score, number) for number, score in enumerate(scores) if score >= SURE_CLOSER)
        kept: list[int] = []
        for _, number in surest:
            if len(kept) < MOST_KNEES and all(apart(regions[number], regions[other]) for other in kept):
                kept.append(number)
        if len(kept) <= accepted:
            return None
        kept.sort(key=lambda number: boxes[number])
        return Screening(film, tuple(boxes[one] for one in kept), regions=tuple(regions[one] for one in kept))

    def _located_near(self, film: Film, place: Region) -> list[Region]:
        """Locate knees in the part of a film round a place."""
        (x, y), reach = middle(place), CLOSER / 2 * max(place[2] - place[0], place[3] - place[1])
        left, top, right, bottom = clipped((x - reach, y - reach, x + reach, y + reach), film.pixels.shape)
        near = self._locate(film.pixels[top:bottom, left:right])
        return [(one[0] + left, one[1] + top, one[2] + left, one[3] + top) for one in near]

    def _in_another_pose(self, film: Film, boxes: tuple[Box, ...] | None = None) -> Screening | None:
        """Screen the film in the pose in which everything that is found in it is most surely an upright knee.

        The poses are tried on a reduced film, so that a large one is turned at most once. A film with given boxes is
        tried with inverted grays alone.

        Returns:
            The screening of the upright film, or None if no pose is sure.
        """
        if not self._gate:
            return None
        step = 1 if boxes else -(-max(film.pixels.shape) // POSE_SIDE)
        reduced = film
        if step > 1:
            reduced = replace(film, pixels=np.asarray(Image.fromarray(film.pixels).reduce(step)))
        poses = [pose for pose in POSES[UPRIGHT + 1 :] if not boxes or not pose[0]]
        sure = [tried for pose in poses if (tried := self._surely_upright(reduced, pose, boxes))]
        if not sure:
            return None
        best, _ = max(sure, key=lambda tried: tried[1])
        if step == 1:
            return best
        full = self._surely_upright(film, best.pose, boxes)
        return full[0] if full else None

    def _surely_upright(self, film: Film, pose: Pose, boxes: tuple[Box, ...] | None) -> tuple[Screening, float] | None:
        """Turn a film from `pose` to upright; return it with its mean score if its knees are surely upright then."""
        upright = replace(film, pixels=to_upright(film.pixels, pose))
        found, graded = (boxes, boxes) if boxes else self._found(upright)
        verdicts = self._judge(upright, found if self._square else graded)
        if not verdicts or not all(one.accepted for one in verdicts):
            return None
        score = float(np.mean([one.score for one in verdicts]))
        return (Screening(upright, found, pose, regions=graded), score) if score >= SURE_AGAIN else None

    def _whole_in_another_pose(self, film: Film, verdicts: Sequence[Verdict]) -> Screening | None:
        """Take the film as one knee in a pose of which the gate is certain, if no knee is found in any pose."""
        for pose in dict.fromkeys(one.pose for one in verdicts if one.pose):
            upright = replace(film, pixels=to_upright(film.pixels, pose))
            whole = ((0, 0, upright.width, upright.height),)
            if self._judge(upright, whole)[0].accepted:
                return Screening(upright, whole, pose)
        return None

    def _found(self, film: Film, locate: Locate | None = None) -> tuple[tuple[Box, ...], tuple[Region, ...]]:
        """Locate the knees of a film, and return their boxes within it and the region that is graded for each."""
        found, shape = (locate or self._locate)(film.pixels), film.pixels.shape
        boxes = tuple(clipped(region, shape) for region in found)
        return boxes, found if self._square else graded_regions(boxes, shape)

    def _judge(self, film: Film, regions: Sequence[Region]) -> tuple[Verdict, ...]:
        return self._gate.judge(film.pixels, regions) if self._gate else (Verdict(True, 1.0),) * len(regions)


def _content(film: Film) -> Box:
    """Return left, top, right and bottom of the film without declared padding and plain borders."""
    left, top, right, bottom = film.exposed or (0, 0, film.width, film.height)
    inner = without_borders(film.pixels[top:bottom, left:right])
    return left + inner[0], top + inner[1], left + inner[2], top + inner[3]


def _with_these_alone(found: Screening, boxes: tuple[Box, ...]) -> Screening | None:
    """Return what was found without the knees that a caller left out; None unless each given box is that of a knee.

    A knee's square may reach beyond the film, and its reported box does not. So a film is graded alike in the boxes of
    its own report.
    """
    kept = [
        place
        for place, own in enumerate(_in_square_pixels(box, found) for box in found.boxes)
        if any(max(abs(a - b) for a, b in zip(own, box, strict=True)) <= ROUNDING for box in boxes)
    ]
    if found.refused or len(kept) < len(boxes):
        return None
    knees, regions = tuple(found.boxes[place] for place in kept), tuple(found.graded[place] for place in kept)
    supported = tuple(box for box in found.supported if box in knees)
    whole = found if found.doubtful or len(kept) < len(found.boxes) else None
    return replace(found, boxes=knees, regions=regions, doubtful=(), supported=supported, chosen_from=whole)


def _beside(given: Screening, found: Screening) -> Screening:
    """Return the screening of a single box that a caller drew, which also knows of the knees beside that box."""
    if found.refused or given.pose[0] or len(given.boxes) != 1:
        return given

    def others(boxes: Sequence[Box]) -> tuple[Box, ...]:
        places = (_in_square_pixels(box, found) for box in boxes)
        return tuple(place for place in places if apart(place, given.boxes[0]))

    knees, doubtful = others(found.boxes), others(found.doubtful)
    whole = replace(given, boxes=tuple(sorted((*given.boxes, *knees))), doubtful=(*given.doubtful, *doubtful))
    return replace(given, chosen_from=whole) if knees or doubtful else given


def _not_accepted(boxes: Sequence[Box], verdicts: Sequence[Verdict]) -> tuple[Box, ...]:
    return tuple(box for box, one in zip(boxes, verdicts, strict=True) if not one.accepted)


def _accepted_if_one_is_sure(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return the verdicts on parts of a film. If the gate is sure of none of them, none is accepted."""
    if any(one.accepted and one.score >= SURE for one in verdicts):
        return verdicts
    return tuple(replace(one, accepted=False, reason="not-a-knee") if one.accepted else one for one in verdicts)


def _refusal(verdicts: Sequence[Verdict]) -> Refusal:
    """Refuse for the reason of the knee that came nearest to being accepted."""
    if not verdicts:
        return refuse("no-knee-found", 0.0)
    best = max(verdicts, key=lambda one: one.score)
    return refuse(best.reason or ("turned" if best.pose and best.pose[0] else "inverted"), best.score)


def box_in_given_film(box: Box, screening: Screening) -> Box:
    """Return a box of the screening's upright film as a box of the film as it was given."""
    return to_given(_in_square_pixels(box, screening), screening.film)


def _in_square_pixels(box: Box, screening: Screening) -> Box:
    """Return a box of the screening's upright film as a box of the decoded film."""
    (left, top, right, bottom), (across, down) = box, screening.origin
    width, height = screening.film.width, screening.film.height
    for _ in range(screening.pose[0]):
        left, top, right, bottom = top, width - right, bottom, width - left
        width, height = height, width
    return left + across, top + down, right + across, bottom + down
