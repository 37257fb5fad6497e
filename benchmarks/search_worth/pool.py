"""The pool has networks drawn from the search space, each trained for every rung."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.run import steps

if TYPE_CHECKING:
    from tuning.searching.settings import SearchSettings
    from tuning.searching.trial import TrialTrainer


PART = 1 / 3
"""Random draws train this part of the pool in full in the time of a search."""


class Trainings:
    """Trainings of single points are each kept in a file, so that none is repeated."""

    def __init__(self, audit: Path, folder: Path):
        self.audit, self.folder = audit, folder
        self._trainers: dict[tuple[int, int, int], TrialTrainer] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def train(self, values: dict[str, str], epochs: int, settings: SearchSettings) -> dict[str, float]:
        """Return the measures of a training.

        Args:
            values: Values of the point's choices.
            epochs: Epochs to train.
            settings: Which films, and the seed.
        """
        from tuning.searching.trial import TrialTrainer

        kind = settings.films, settings.validation_films, settings.seed
        path = self.folder / f"{steps.hash_of([values, epochs, kind])[:16]}.json"
        if not path.exists():
            if kind not in self._trainers:
                without_cost = replace(settings, epochs=0)
                self._trainers = {kind: TrialTrainer(self.audit, without_cost, self.folder)}
            named = values.get("backbone") or values.get("block")
            print(f"   training: {named}, {epochs} epochs, seed {settings.seed}", flush=True)
            steps.write_json(path, self._trainers[kind].train(values, epochs, ()))
        return json.loads(path.read_text("utf-8"))


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool has networks with the measures of their trainings.

    Attributes:
        points: Their values of all choices.
        lengths: Epochs of the rungs, from the shortest.
        measures: [point][rung] of a training.
    """

    points: tuple[dict[str, str], ...]
    lengths: tuple[int, ...]
    measures: tuple[tuple[dict[str, float], ...], ...]

    def values(self, name: str, epochs: int) -> np.ndarray:
        """Return a measure of every network after a training of so many epochs."""
        return np.array([one[self.lengths.index(epochs)][name] for one in self.measures])

    @property
    def budget(self) -> float:
        """The minutes of a search: those in which a third of the pool is trained in full."""
        return float(self.values("seconds", self.lengths[-1]).sum()) / 60 * PART

    def nearest(self, values: Mapping[str, Any], but: Set[int]) -> int:
        """Return the number of the network that differs in the fewest choices, but for those given."""
        others = [number for number in range(len(self.points)) if number not in but]
        return min(others, key=lambda number: sum(values.get(k) != v for k, v in self.points[number].items()))


def pool_of(trainings: Trainings, settings: SearchSettings, networks: int) -> Pool:
    """Draw networks and train each for every rung; one whose training fails is left out.

    Args:
        trainings: What trains them.
        settings: Settings of the searches.
        networks: How many are drawn.
    """
    from tuning.searching.settings import rungs

    lengths = tuple(sorted({length for _, length in rungs(replace(settings, tuner="hyperband"))}))
    points, measures = [], []
    for point in drawn(settings, networks):
        try:
            mine = tuple(trainings.train(point, length, settings) for length in lengths)
        except FloatingPointError as error:
            print(f"   left out: {error}", flush=True)
            continue
        points.append(point)
        measures.append(mine)
    return Pool(tuple(points), lengths, tuple(measures))


def drawn(settings: SearchSettings, count: int) -> list[dict[str, str]]:
    """Return different points of the search space, drawn at random."""
    from tuning.searching.space import hyperparameters, space_of

    space, rng = space_of(settings), np.random.default_rng(settings.seed)
    points: list[dict[str, str]] = []
    for _ in range(100 * count):
        hp = hyperparameters(space)
        hp.values = {name: str(values[rng.integers(len(values))]) for name, values in space.items()}
        hp.ensure_active_values()
        if hp.values not in points:
            points.append(dict(hp.values))
        if len(points) == count:
            break
    return points


def named_values(name: str) -> dict[str, str]:
    """Return a network designed by hand as values of the choices; NAME@SIZE sees framed films of so many pixels."""
    from tuning.networks.search_space import NAMED

    name, _, size = name.partition("@")
    framed = {"size": int(size), "crop": "frame"} if size else {}
    return {choice: str(value) for choice, value in (asdict(NAMED[name]) | framed).items()}
