"""A film in another position is put right when that is certain, boxes and maps stay in the film as given, and what is no knee is refused."""

import numpy as np
import pytest

from kneeoa_hub.bundle import GateConfig
from kneeoa_hub.imaging.gate import BLURRED, CLASSES, CUT_OFF, MESSAGES, NOT_A_KNEE, POSES, put_right, verdict
from kneeoa_hub.imaging.sight import placed_back

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
def test_another_position_is_put_right_when_certain_and_else_refused(number):
    sure, unsure = (verdict(answer(**{f"_{number}": share}), LIMITS) for share in (0.95, 0.8))
    assert (sure.accepted, sure.turn, sure.reason) == (False, POSES[number], None)
    assert (unsure.accepted, unsure.turn) == (False, None)
    assert unsure.reason == ("turned" if POSES[number][0] else "inverted")


@pytest.mark.parametrize(("number", "reason"), [(NOT_A_KNEE, "not-a-knee"), (CUT_OFF, "cut-off"), (BLURRED, "blurred")])
def test_every_other_class_has_a_reason_with_its_own_message(number, reason):
    assert verdict(answer(**{f"_{number}": 0.9}), LIMITS).reason == reason
    assert reason in MESSAGES


@pytest.mark.parametrize("pose", POSES)
def test_what_is_put_right_is_the_upright_film_and_a_box_finds_its_way_back(pose):
    turns, inverted = pose
    upright = np.random.default_rng(0).integers(0, 200, (60, 40)).astype(np.float32)
    upright[5:25, 8:20] = 255
    given = np.rot90(upright.max() + upright.min() - upright if inverted else upright, turns)
    assert np.array_equal(put_right(given, pose), upright)
    left, top, right, bottom = placed_back((8, 5, 20, 25), pose, 40, 60)
    assert np.array_equal(np.unique(given[top:bottom, left:right]), [upright.min() if inverted else 255])
    assert (right - left) * (bottom - top) == 12 * 20
