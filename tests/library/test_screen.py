"""A film in another pose is corrected where the pose is certain, and everything but a knee is refused."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from kneeoa_hub import FilmReport
from kneeoa_hub.bundle import GateConfig
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.gate import (
    BLURRED,
    CLASSES,
    CUT_OFF,
    NOT_A_KNEE,
    POSES,
    Gate,
    Pose,
    Verdict,
    to_upright,
    verdict,
)
from kneeoa_hub.imaging.letterbox import Box, Region
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.refusal import MESSAGES, Refusal
from kneeoa_hub.imaging.screen import Screener, Screening, box_in_given_film

LIMITS = GateConfig(128, 0.3, 0.9)


def answer(**shares: float) -> np.ndarray:
    """Probabilities of CLASSES: those named by their number, `_3=0.9`, and the rest spread evenly."""
    values = np.full(len(CLASSES), (1 - sum(shares.values())) / (len(CLASSES) - len(shares)))
    for name, share in shares.items():
        values[int(name[1:])] = share
    return values


def test_an_upright_knee_is_accepted_even_when_something_else_is_likelier():
    assert verdict(answer(_0=0.31, _8=0.6), LIMITS).accepted
    assert not verdict(answer(_0=0.29, _8=0.6), LIMITS).accepted


@pytest.mark.parametrize("number", range(1, len(POSES)))
def test_another_pose_is_corrected_when_certain_and_otherwise_refused(number):
    sure, unsure = (verdict(answer(**{f"_{number}": share}), LIMITS) for share in (0.95, 0.8))
    assert (sure.accepted, sure.pose, sure.reason) == (False, POSES[number], None)
    assert (unsure.accepted, unsure.pose) == (False, None)
    assert unsure.reason == ("turned" if POSES[number][0] else "inverted")


def test_a_knee_that_may_well_be_upright_is_not_called_inverted():
    unsure = verdict(answer(_0=0.29), LIMITS)
    assert (unsure.accepted, unsure.pose, unsure.reason) == (False, None, "not-a-knee")


@pytest.mark.parametrize(("number", "reason"), [(NOT_A_KNEE, "not-a-knee"), (CUT_OFF, "cut-off"), (BLURRED, "blurred")])
def test_every_other_class_has_a_reason_with_its_own_message(number, reason):
    assert verdict(answer(**{f"_{number}": 0.9}), LIMITS).reason == reason
    assert reason in MESSAGES


@pytest.mark.parametrize("pose", POSES)
def test_to_upright_undoes_a_pose_and_a_box_finds_its_way_back(pose):
    turns, inverted = pose
    upright = np.random.default_rng(0).integers(0, 200, (60, 40)).astype(np.float32)
    upright[5:25, 8:20] = 255
    given = np.rot90(upright.max() + upright.min() - upright if inverted else upright, turns)
    assert np.array_equal(to_upright(given, pose), upright)
    left, top, right, bottom = box_in_given_film((8, 5, 20, 25), Screening(Film(upright, "film"), (), pose))
    assert np.array_equal(np.unique(given[top:bottom, left:right]), [upright.min() if inverted else 255])
    assert (right - left) * (bottom - top) == 12 * 20


def refused(*args, **options) -> Refusal:
    """The refusal of a film that is screened as in `looked`."""
    refusal = looked(*args, **options).refused
    assert refusal
    return refusal


def looked(film: np.ndarray, found: list, classes: dict[tuple, int], boxes=None, share=0.95, square=False):
    """Screen a film in which the locator finds these boxes, and the gate sees these classes, in whatever pose."""

    class GivenVerdicts(Gate):
        def __init__(self) -> None:
            self.limits = LIMITS

        def judge(self, pixels: np.ndarray, regions: Sequence[Region]) -> tuple[Verdict, ...]:
            return tuple(verdict(answer(**{f"_{classes[tuple(one)]}": share}), LIMITS) for one in regions)

    screen = Screener(lambda pixels: tuple(found) if pixels.shape == film.shape else (), GivenVerdicts(), square)
    return screen(Film(film, "the film"), boxes)


LEFT, RIGHT, WHOLE = (0, 0, 100, 100), (100, 0, 200, 100), (0, 0, 200, 100)
PAIR = np.random.default_rng(0).random((100, 200)).astype(np.float32)


def test_a_found_box_that_the_gate_does_not_accept_is_left_out():
    screening = looked(PAIR, [LEFT, RIGHT], {LEFT: 0, RIGHT: NOT_A_KNEE})
    assert (screening.boxes, screening.doubtful, screening.refused) == ((LEFT,), (RIGHT,), None)


def test_a_given_box_that_the_gate_does_not_accept_is_kept_as_doubtful():
    screening = looked(PAIR, [], {LEFT: 0, RIGHT: NOT_A_KNEE, WHOLE: NOT_A_KNEE}, boxes=(LEFT, RIGHT))
    assert (screening.boxes, screening.doubtful, screening.refused) == ((LEFT, RIGHT), (RIGHT,), None)


def test_a_given_box_of_a_knee_that_is_found_stands_for_that_knee_and_another_one_for_itself():
    beyond, other, both = (-20.0, 0.0, 100.0, 120.0), (20, 0, 100, 100), {LEFT: 0, RIGHT: 0}
    found = looked(PAIR, [beyond, RIGHT], both, boxes=((1, 0, 100, 100),), square=True)
    assert (found.boxes, found.graded, found.doubtful) == ((LEFT,), (beyond,), ())
    alone = looked(PAIR, [beyond, RIGHT], both | {other: 0}, boxes=(other,), square=True)
    assert (alone.boxes, alone.graded) == ((other,), (other,))


def test_where_no_knee_is_found_a_film_is_refused_whatever_the_gate_says_of_all_of_it():
    square, box = PAIR[:, :100], (0, 0, 100, 100)
    nothing = refused(square, [], {box: 0})
    assert (nothing.reason, nothing.score) == ("no-knee-found", 0.0)
    assert refused(PAIR, [], {WHOLE: 0}).reason == "no-knee-found"
    small = (10, 10, 90, 90)
    assert refused(PAIR, [small], {small: CUT_OFF, WHOLE: 0}).reason == "cut-off"
    strip = looked(PAIR, [LEFT], {WHOLE: 0})  # one joint in half of it: graded whole, and its position is reported
    assert (strip.boxes, strip.graded) == ((LEFT,), (WHOLE,))
    assert refused(PAIR, [], {WHOLE: BLURRED}).reason == "blurred"


def test_in_a_part_of_a_film_the_gate_must_be_sure_of_a_knee():
    small, other = (10, 10, 40, 40), (60, 10, 90, 40)
    square = PAIR[:, :100]
    whole = (0, 0, 100, 100)
    unsure = refused(square, [small], {small: 0, whole: NOT_A_KNEE}, share=0.7)
    assert (unsure.reason, round(unsure.score, 2)) == ("not-a-knee", 0.7)
    assert looked(square, [small], {small: 0}, share=0.9).boxes == (small,)
    assert looked(square, [small, other], {small: 0, other: CUT_OFF}, share=0.9).boxes == (small,)
    # an unsure place in what may be one knee
    assert refused(square, [small], {small: 0, whole: 0}, share=0.7).reason == "not-a-knee"


def test_a_bundle_that_frames_knees_grades_a_square_beyond_the_film_and_reports_the_box_within_it():
    beyond, within = (-20, 10, 80, 110), (0, 10, 80, 100)
    screening = looked(PAIR, [beyond], {within: 0}, square=True)
    assert (screening.boxes, screening.graded, screening.refused) == ((within,), (beyond,), None)


@pytest.mark.parametrize("square", [False, True], ids=["whole", "framed"])
def test_of_a_joint_that_fills_its_film_the_gate_need_not_be_sure(square):
    film, beyond, within = PAIR[:, :100], (-5, -4, 103, 104), (0, 0, 100, 100)
    found = beyond if square else within
    assert looked(film, [found], {within: 0}, share=0.7, square=square).boxes == (within,)
    strip = (60, 0, 170, 100)  # one joint of a film twice as wide as it is high
    assert looked(PAIR, [strip], {strip: 0, WHOLE: 0}, share=0.7, square=square).boxes == (strip,)
    part = (10, 10, 90, 90)
    assert refused(film, [part], {part: 0, within: NOT_A_KNEE}, share=0.7, square=square).reason == "not-a-knee"


def test_the_reason_is_that_of_the_found_boxes():
    refusal = refused(PAIR, [LEFT, RIGHT], {LEFT: BLURRED, RIGHT: BLURRED, WHOLE: NOT_A_KNEE})
    assert refusal.reason == "blurred"
    assert refusal.score < LIMITS.min_upright


def screened(likely: dict[Region, float], faint: dict[Region, float] | None = None) -> Screening:
    """Screen a film in which the locator finds some boxes, and fainter ones when asked; each with its probability."""

    class Likely(Gate):
        def __init__(self) -> None:
            self.limits = LIMITS

        def judge(self, pixels: np.ndarray, regions: Sequence[Region]) -> tuple[Verdict, ...]:
            shares = {**likely, **(faint or {})}
            return tuple(verdict(answer(_0=shares.get(one, 0.01), _8=0.0), LIMITS) for one in regions)

    def all_of(boxes: dict[Region, float]) -> Callable[[np.ndarray], tuple[Region, ...]]:
        return lambda pixels: tuple(sorted(boxes)) if pixels.shape == PAIR.shape else ()

    both = all_of({**likely, **(faint or {})})
    return Screener(all_of(likely), Likely(), locate_faint=both)(Film(PAIR, "the film"))


RIGHT_KNEE, LEFT_KNEE = (10, 20, 70, 80), (120, 26, 184, 90)


@pytest.mark.parametrize(
    ("likely", "faint", "supported"),
    [
        ({RIGHT_KNEE: 0.7, LEFT_KNEE: 0.7}, {}, (RIGHT_KNEE, LEFT_KNEE)),
        ({RIGHT_KNEE: 0.95, LEFT_KNEE: 0.28}, {}, (LEFT_KNEE,)),
        ({RIGHT_KNEE: 0.95}, {LEFT_KNEE: 0.6}, ()),
        ({}, {RIGHT_KNEE: 0.7, LEFT_KNEE: 0.55, (80, 0, 110, 30): 0.9}, (RIGHT_KNEE, LEFT_KNEE)),
    ],
    ids=["sure of neither", "sure of one", "one faint", "both faint, and something between them"],
)
def test_two_knees_side_by_side_support_each_other(likely, faint, supported):
    screening = screened(likely, faint)
    assert (screening.boxes, screening.refused) == ((RIGHT_KNEE, LEFT_KNEE), None)
    assert (screening.supported, screening.doubtful) == (supported, ())


@pytest.mark.parametrize(
    "likely",
    [
        {RIGHT_KNEE: 0.55, LEFT_KNEE: 0.55},
        {RIGHT_KNEE: 0.79, (120, 46, 174, 100): 0.79},
        {RIGHT_KNEE: 0.79, (130, 35, 160, 65): 0.79},
        {RIGHT_KNEE: 0.79, (60, 20, 120, 80): 0.79},
        {(20, 0, 60, 40): 0.79, (20, 60, 60, 100): 0.79},
    ],
    ids=["unlikely, as hips are", "lower", "smaller", "overlapping", "above one another"],
)
def test_geometry_and_likelihood_must_both_speak_for_a_pair(likely):
    screening = screened(likely)
    assert screening.refused
    assert screening.refused.reason == "not-a-knee"


@pytest.mark.parametrize("other", [0.2, 0.04], ids=["implant", "nothing"])
def test_a_sure_knee_does_not_carry_what_the_gate_refuses(other):
    screening = screened({RIGHT_KNEE: 0.99}, {LEFT_KNEE: other})
    assert (screening.boxes, screening.refused) == ((RIGHT_KNEE,), None)


@pytest.mark.parametrize(("score", "wanted"), [(0.97, (RIGHT_KNEE, LEFT_KNEE)), (0.95, (LEFT_KNEE,))])
def test_where_the_gate_refuses_a_place_the_locator_looks_closer(score, wanted):
    """On a screenshot the locator took a knee to lie higher than it does, and found it in a window round that place."""
    beside = (20, 5, 50, 35)
    scores = {beside: 0.02, RIGHT_KNEE: score, LEFT_KNEE: 0.98}

    class GivenScores(Gate):
        def __init__(self) -> None:
            self.limits = LIMITS

        def judge(self, pixels: np.ndarray, regions: Sequence[Region]) -> tuple[Verdict, ...]:
            return tuple(verdict(answer(_0=scores.get(tuple(one), 0.0)), LIMITS) for one in regions)

    def locate(pixels: np.ndarray) -> tuple[Region, ...]:
        return (beside, LEFT_KNEE) if pixels.shape == PAIR.shape else (RIGHT_KNEE,)  # the window begins in the corner

    screening = Screener(locate, GivenScores())(Film(PAIR, "the film"))
    assert (screening.boxes, screening.refused) == (wanted, None)


@pytest.mark.slow
@pytest.mark.parametrize("pose", POSES)
def test_whole_legs_and_pairs_of_legs_are_corrected_from_every_pose(grader, pose):
    """The shipped locator and gate put nearly all composed films right, as the card says: here three of four."""
    from tuning.synthetic.compose import HELD_OUT, as_knee, compose

    turns, inverted = pose
    knees = [
        as_knee(knee_film(grade, number).pixels.astype(np.float32), "right")
        for grade in range(5)
        for number in range(4)
    ]
    right = 0
    for seed in range(4):
        composed = compose(knees, HELD_OUT, seed)
        bright = composed.pixels.astype(np.float32)
        given = np.rot90(bright.max() + bright.min() - bright if inverted else bright, turns)
        report = grader.grade(np.ascontiguousarray(given))
        assert report.refused is None
        right += all_near(report, composed.boxes, bright, pose)
        assert len(report.knees) == len(composed.boxes)
    assert right >= 3


def all_near(report: FilmReport, boxes: Sequence[Box], bright: np.ndarray, pose: Pose) -> bool:
    """Whether a knee is reported near each box of the upright film, and the warnings name what was put right."""
    height, width = bright.shape
    unmoved, distances = Screening(Film(bright, "film"), (), pose), []
    for box in boxes:
        clipped = (max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3]))
        middle = np.array(box_in_given_film(clipped, unmoved)).reshape(2, 2).mean(0)
        near = [np.linalg.norm(np.array(knee.box).reshape(2, 2).mean(0) - middle) for knee in report.knees]
        distances.append(min(near) / (box[2] - box[0]))
    turned, inverted = (any(what in warning for warning in report.warnings) for what in ("was turned by", "inverted"))
    return max(distances) < 0.25 and (turned, inverted) == (bool(pose[0]), pose[1])
