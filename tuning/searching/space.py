"""The search space as Keras Tuner holds it, and its points as architectures.

Keras Tuner gets every value as text. Its messages between machines keep numbers in 32 bits, in which 0.0003 comes back
as another value, and truth values as 0 and 1.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras_tuner as kt

from kneeoa_hub.errors import SettingsError

from ..networks.architecture import Architecture
from ..networks.search_space import NAMED, RECIPES, SEARCH_SPACE, Recipe, narrowed
from ..run.steps import SEEDS
from .settings import FOLDS, OBJECTIVES, TUNERS, SearchSettings

SCRATCH = ("stem", "block", "widths", "blocks", "normalisation")
"""Choices that a network with a backbone does not have."""
DEPENDENT = dict.fromkeys(SCRATCH, ("backbone", "")) | {"reach": ("crop", "frame")}
"""Of a choice that not every network has: the choice on which that depends, and the value with which it has it."""
TEACHER = "teacher"
"""The choice that is no part of an architecture: a bundle whose answers are half of the target."""
MOST_POINTS = 1000
"""A search space of at most 1000 points is small: it can be looked through for those that were not tried."""

Space = dict[str, tuple[Any, ...]]
"""The values of every choice, by its name."""


@dataclass(frozen=True)
class Point:
    """A point of the search space.

    Attributes:
        architecture: The network.
        teacher: The bundle that teaches it; "" for none.
        recipe: The choices of its training, in a search on an accelerator.
    """

    architecture: Architecture
    teacher: str = ""
    recipe: Recipe | None = None


def space_of(settings: SearchSettings) -> Space:
    """Return the search space of a search. Raises SettingsError for an option that does not exist."""
    for option, given, known in (
        ("tuner", settings.tuner, TUNERS),
        ("objective", settings.objective, OBJECTIVES),
        ("space", settings.space, ("default", "full")),
    ):
        if given not in known:
            raise SettingsError(f"--{option} {given}: choose among {', '.join(known)}.")
    if settings.folds and not FOLDS[0] <= settings.folds <= FOLDS[1]:
        raise SettingsError(f"--folds {settings.folds}: give a number from {FOLDS[0]} to {FOLDS[1]}, or 0 for none.")
    space = narrowed(settings.only or {}, settings.space == "full", settings.accelerated)
    if settings.teachers:
        return space | {TEACHER: ("", *settings.teachers)}
    return {name: values for name, values in space.items() if name != "taught"}


def hyperparameters(space: Space) -> kt.HyperParameters:
    """Return the search space as Keras Tuner draws from it."""
    hp = kt.HyperParameters()
    # The backbone comes first, and crop before reach: a choice may depend on one before it.
    for name in sorted(space, key=lambda name: name != "backbone"):
        parent, value = DEPENDENT.get(name, ("", ""))
        dependent = (
            {"parent_name": parent, "parent_values": [value]} if parent and set(space[parent]) != {value} else {}
        )
        hp.Choice(name, [str(value) for value in space[name]], ordered=False, **dependent)
    return hp


def all_points(space: kt.HyperParameters) -> list[dict[str, str]]:
    """Return the values of every point of a small search space, as Keras Tuner draws them; none of a larger one."""
    choices: Any = space.space  # its type does not say that each one is a choice
    if math.prod(len(choice.values) for choice in choices) > MOST_POINTS:
        return []
    points = []
    for values in itertools.product(*(choice.values for choice in choices)):
        drawn = kt.HyperParameters()
        for choice, value in zip(choices, values, strict=True):
            drawn.merge([choice])
            if drawn.is_active(choice):
                drawn.values[choice.name] = value
        points.append(drawn.values)
    return points


def point_of(values: Mapping[str, Any]) -> Point:
    """Return the point of Keras Tuner's values. Raises ValueError for a value that no choice has."""
    recipe = _typed(values, RECIPES)
    architecture = Architecture(**_typed(values, SEARCH_SPACE))
    return Point(architecture, str(values.get(TEACHER, "")), Recipe(**recipe) if recipe else None)


def _typed(values: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return Keras Tuner's values of some choices with their types. Raises ValueError for one that no choice has."""
    typed = {}
    for name, known in choices.items():
        if name in values:  # a choice that was not drawn, or that the search space has gained since, has its default
            by_text = {str(value): value for value in known}
            if str(values[name]) not in by_text:
                raise ValueError(f"the {name} {values[name]!r}")
            typed[name] = by_text[str(values[name])]
    return typed


def named_points(space: Space) -> dict[str, dict[str, str]]:
    """Return the values of each network of search_space.NAMED that lies in a search space, by its name.

    In a search on an accelerator they have the recipe that was chosen by hand, and the first teacher.
    """
    recipe = {name: value for name, value in asdict(Recipe()).items() if name in space}
    taught = {TEACHER: space[TEACHER][int(bool(recipe))]} if TEACHER in space else {}
    points = {}
    for name, architecture in NAMED.items():
        drawn = {
            choice: value
            for choice, value in asdict(architecture).items()
            if choice not in DEPENDENT or getattr(architecture, DEPENDENT[choice][0]) == DEPENDENT[choice][1]
        } | recipe
        if all(value in space[choice] for choice, value in drawn.items()):
            points[name] = {choice: str(value) for choice, value in (drawn | taught).items()}
    return points


def trial_seed(seed: int, values: Mapping[str, Any]) -> int:
    """Return the seed of a trial: of the search's seed and of what was drawn, so that the order of trials is free.

    Another rung of the same point has the same seed.
    """
    drawn = drawn_values(values)
    return int.from_bytes(hashlib.sha256(json.dumps([seed, drawn]).encode()).digest()[:8], "big") % SEEDS


def drawn_values(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was drawn, without what Keras Tuner adds of its own: all rungs of a point have the same."""
    return sorted((name, str(value)) for name, value in values.items() if not name.startswith("tuner/"))
