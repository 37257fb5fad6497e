"""How steps are computed is chosen by a measurement, once for a folder."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kneeoa_hub.errors import DataError

from ..support.eager import eagerly
from ..support.noise import noise_films

pytestmark = pytest.mark.keras

SECONDS = {("float32", True): (20.0, 1.0), ("float32", False): (4.0, 1.5), ("mixed_bfloat16", True): (30.0, 0.8)}
"""Seconds of the first step and of a later one, by precision and use of XLA."""


class Machine:
    """Takes the time of SECONDS for its steps, by its own clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def begin(self, way) -> Callable[[], None]:
        first, later = SECONDS[way.precision, way.xla]
        left = iter([first])

        def step() -> None:
            self.now += next(left, later)

        return step


def chosen(count: int, trainings: int = 1):
    from tuning.training.computation import Computation, time_ways

    machine = Machine()
    return time_ways(machine.begin, count, trainings, [Computation(*way) for way in SECONDS], machine.clock)


@pytest.mark.parametrize(
    ("count", "way"),
    [
        (20, "float32 without XLA"),  # 32.5 s, against 39 s and 45.2 s
        (35, "float32 with XLA"),  # the other two gain too little
        (1000, "mixed_bfloat16 with XLA"),
    ],
)
def test_the_way_is_chosen_that_is_fastest_over_the_planned_steps(count: int, way: str):
    choice = chosen(count, trainings=100)
    assert str(choice.chosen) == way
    assert len(choice.timings) == 3
    assert str(choice).startswith(f"Computes in {way}; for {count} steps, float32 with XLA")


def test_workers_that_begin_together_measure_once_and_take_the_same_way(tmp_path):
    from tuning.training.computation import Choice, computation_of

    measured = []

    def measure() -> Choice:
        measured.append(chosen(1000, trainings=100))
        return measured[-1]

    with ThreadPoolExecutor(4) as workers:
        ways = list(workers.map(lambda _: computation_of(tmp_path, "auto", measure), range(4)))
    assert len(measured) == 1
    assert {str(way) for way in ways} == {"mixed_bfloat16 with XLA"}


def test_a_way_that_fails_is_left_out_and_the_usual_one_may_not_fail(capsys):
    from tuning.training.computation import Computation, time_ways

    machine, usual, other = Machine(), Computation("float32", True), Computation("float32", False)

    def begin(way) -> Callable[[], None]:
        if way == broken:
            raise MemoryError
        return machine.begin(way)

    broken = other
    choice = time_ways(begin, 1000, 1, [usual, other], machine.clock)
    assert (choice.chosen, len(choice.timings)) == (usual, 1)
    assert "float32 without XLA can't be used here (MemoryError)." in capsys.readouterr().err
    broken = usual
    with pytest.raises(MemoryError):
        time_ways(begin, 1000, 1, [usual, other], machine.clock)


def test_ways_are_not_timed_where_that_costs_more_than_they_can_save():
    assert len(chosen(5).timings) == 1  # 24 s of training; one more way takes about 25 s to time
    assert len(chosen(5, trainings=10).timings) == 3


def test_a_training_that_goes_on_computes_as_it_began(tmp_path, capsys):
    from tuning.networks.architecture import Architecture
    from tuning.training import computation
    from tuning.training.checkpoint import read_history
    from tuning.training.member import TrainingFilms, train_member
    from tuning.training.plan import PlannedMember, TrainSettings

    tiny = Architecture(size=32, widths="4-8", block="plain", dropout=0.0)
    films = TrainingFilms(noise_films(24, 0), noise_films(12, 1))
    settings = TrainSettings(batch=8, precision="auto")
    with eagerly():
        train_member(PlannedMember("before", 0, tiny, epochs=1), films, settings, tmp_path)
        assert capsys.readouterr().err.count("Computes in float32") == 1
        record = json.loads((tmp_path / computation.RECORD).read_text("utf-8"))
        record["chosen"] = {"precision": "mixed_bfloat16", "xla": False}
        (tmp_path / computation.RECORD).write_text(json.dumps(record), "utf-8")
        train_member(PlannedMember("after", 0, tiny, epochs=1), films, settings, tmp_path)
    assert "Computes in" not in capsys.readouterr().err
    assert not list(tmp_path.glob(".part-*"))
    losses = [float(read_history(tmp_path, name)[0]["loss"]) for name in ("before", "after")]
    assert losses[0] != losses[1]  # one network, seed and films, in two precisions
    (tmp_path / computation.RECORD).write_text("{}", "utf-8")
    with pytest.raises(DataError, match=r"computation\.json is damaged; remove it"):
        computation.computation_of(tmp_path, "auto", lambda: pytest.fail("there is a choice"))
