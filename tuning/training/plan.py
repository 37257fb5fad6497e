"""The plan of a training has a member for each architecture and seed, with the weights that it begins with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.manifest import sha256_of

from ..networks.architecture import Architecture
from ..networks.search_space import NAMED, SEARCH_SPACE
from ..run import steps
from .distillation import TAUGHT
from .search_result import (
    CHOSEN,
    RESULT,
    architecture_of_trial,
    best_architecture,
    chosen_trials,
    read_result,
    teacher_of_trial,
)

WINNER = "winner"
"""This stands for the best architecture of the search, in place of an architecture's name."""
NONE = "none"
"""This stands in place of architectures if no new member is trained and members of other trainings join."""
LARGER = "@"
"""In NAME@SIZE, that network goes on from its weights on larger films, or learns from smaller ones alone."""
LARGER_EPOCHS, LARGER_RATE = 0.3, 1 / 3
"""On the larger films, epochs and learning rate are these fractions of those of the training before."""
PRECISIONS = ("float32", "mixed_bfloat16")
"""The second one takes two thirds of the time on processors and GPUs that compute in bfloat16."""
AUTO = "auto"
"""This stands for the fastest precision, which `training.computation` measures."""


@dataclass(frozen=True)
class TrainSettings:
    """These are the options of a training.

    Attributes:
        epochs: Number of epochs at most.
        patience: Epochs without a better validation kappa after which a training stops and keeps its best weights. 0
            trains to the end, where the learning rate is a hundredth of the highest, and keeps the last weights: the
            best of many noisy kappas is chance.
        batch: Films of one step.
        seeds: One member of each architecture for each.
        architectures: Each is WINNER, CHOSEN, a trial of the search by its number, or a name in search_space.NAMED.
            NAME@SIZE first trains that network at its own size, then for a shorter time on films of SIZE pixels, which
            costs less than a whole training at that size (after Howard et al., fast.ai, 2018). Where SIZE is smaller,
            it is trained at that size alone. Different networks err on different films, so that an ensemble errs less.
            (NONE,) trains no new member.
        mixup: See `augment.Mixing`.
        occlusion: See `augment.Mixing`.
        datasets: Train and validate only on these; () means all.
        precision: Of the layers' arithmetic, one of PRECISIONS, or AUTO; weights and head stay float32.
        teacher: Address of a bundle whose probabilities are a part of the target, see `training.distillation`; "" for
            none. The trials of a search that drew teachers have their own.
        taught: Proportion of the target that is the teacher's answer, 0 to 1; the label is the rest.
        joined: Members of other trainings that join before the new ones: weights files, such as
            runs/before/member-folded-0.weights.h5, or addresses of bundles.
        members: Names of the joined members, or of those of `start`, that are taken; () means all.
        start: Address of a bundle whose members are trained further, on framed films; "" trains `architectures`.
        rate: The highest learning rate of a training that goes on from `start`.
        protocols: Whether the readers of each dataset have a classifier of their own, so that an answer follows one
            reading protocol and not the dataset that a film resembles.
        variants: Changed copies of each training film among which an epoch draws, see `variants.load_variants`; 0
            changes the films as they are drawn.
    """

    epochs: int = 40
    patience: int = 0
    batch: int = 64
    seeds: tuple[int, ...] = (0,)
    architectures: tuple[str, ...] = (WINNER,)
    mixup: float = 0.0
    occlusion: float = 0.0
    datasets: tuple[str, ...] = ()
    precision: str = PRECISIONS[0]
    teacher: str = ""
    taught: float = TAUGHT
    joined: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    start: str = ""
    rate: float = 3e-4
    protocols: bool = False
    variants: int = 0

    @property
    def new(self) -> tuple[str, ...]:
        """The architectures that are trained."""
        return () if self.architectures == (NONE,) or self.start else self.architectures


@dataclass(frozen=True)
class PlannedMember:
    """A network that is to be trained.

    Attributes:
        name: Its architecture's name and its seed, such as "folded@224-1".
        seed: Seed of its weights, batches and random changes.
        architecture: Its network.
        epochs: Number of epochs at most.
        start: Name of the member of this training from whose weights it goes on; "" begins anew.
        joins: Whether it is a member of the ensemble; otherwise another one goes on from it.
        teacher: Address of its teacher; "" for none.
    """

    name: str
    seed: int
    architecture: Architecture
    epochs: int
    start: str = ""
    joins: bool = True
    teacher: str = ""


def plan(source: Path, settings: TrainSettings) -> list[PlannedMember]:
    """Return the networks to train, each after the one from whose weights it goes on.

    Args:
        source: Output folder of a search, or of an audit when every architecture is one of search_space.NAMED.
        settings: The options of the training.

    Raises:
        SettingsError: An architecture is not known, a network can't be enlarged, or a trial has another teacher.
        DataError: An architecture of a search is named and there is no search.
    """
    planned = []
    for name in _named(source, settings):
        architecture = _architecture(source, name)
        smaller, _, _ = name.partition(LARGER)
        own, teacher = _architecture(source, smaller), _teacher(source, smaller, settings.teacher)
        for seed in settings.seeds:
            member = PlannedMember(f"{name}-{seed}", seed, architecture, settings.epochs, teacher=teacher)
            if architecture.size > own.size:
                first = replace(member, name=f"{smaller}-{seed}", architecture=own, joins=False)
                planned.append(first)
                member = replace(member, epochs=max(1, round(LARGER_EPOCHS * settings.epochs)), start=first.name)
            planned.append(member)
    return planned


def _named(source: Path, settings: TrainSettings) -> list[str]:
    """Return the names of the architectures, with the numbers of the trials in place of CHOSEN."""
    names = []
    for name in settings.new:
        names += chosen_trials(steps.find_input(source, "search")) if name == CHOSEN else [name]
    return names


def check_names(joined: Sequence[str], planned: Collection[PlannedMember]) -> None:
    """Raise SettingsError when a member that joins has the name of another one."""
    new = {member.name for member in planned}
    if double := sorted({name for name in joined if joined.count(name) > 1 or name in new}):
        raise SettingsError(
            f"Two members would be called {', '.join(double)}; give other --seeds, or join one of them."
        )


def search_hash(source: Path, settings: TrainSettings) -> str:
    """Return the sha256 of the best.json of the search behind `source`, or "" where there is no search.

    Raises DataError when there is no search and an architecture of one is named.
    """
    try:
        return sha256_of(steps.find_input(source, "search") / RESULT)
    except DataError:
        if any(name.partition(LARGER)[0] not in NAMED for name in settings.new):
            raise
        return ""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return "0,1,2" as numbers.

    Raises SettingsError for text that is not a seed, and for a seed given twice: it would make the same member again.
    """
    try:
        seeds = tuple(steps.parse_seed(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--seeds {text}: {error}; give whole numbers with commas between, such as 0,1,2."
        ) from None
    if double := sorted({str(seed) for seed in seeds if seeds.count(seed) > 1}):
        raise SettingsError(
            f"--seeds {text}: {', '.join(double)} occurs twice and would make the same member again; give each seed"
            " once."
        )
    return seeds


def _architecture(source: Path, name: str) -> Architecture:
    """Return the network of a name, such as "winner", "0012" or "folded@224"."""
    name, larger, size = name.partition(LARGER)
    if name in NAMED:
        architecture = NAMED[name]
    elif name == WINNER:
        architecture = best_architecture(steps.find_input(source, "search"))
    elif name.isdigit():
        architecture = architecture_of_trial(steps.find_input(source, "search"), name)
    else:
        raise SettingsError(
            f"--architecture {name}: choose {WINNER}, {CHOSEN}, a trial's number, or one of {', '.join(NAMED)}."
        )
    return _resized(architecture, name, size) if larger else architecture


def _teacher(source: Path, name: str, given: str) -> str:
    """Return the teacher of a network: that of its trial where the search space held teachers, otherwise the given one.

    Raises SettingsError where one is given too, and where the teacher is known to a pack alone.
    """
    if name in NAMED:
        return given
    search = steps.find_input(source, "search")
    settings = steps.settings_of(search)
    if not settings.get("teachers"):
        return given
    if given:
        raise SettingsError(
            f"--teacher {given}: each trial of {search} is trained as it was drawn, with its own teacher or without"
            " one; leave --teacher out."
        )
    teacher = read_result(search).teacher if name == WINNER else teacher_of_trial(search, name)
    if teacher and settings.get("accelerated"):
        raise SettingsError(
            f"--architecture {name}: it learned from the answers of {teacher} in a pack, which this command does not"
            f" read. `python -m tuning.training.accelerated --search {search}` trains the chosen trials; those of full"
            f" length can join as they are, with --architecture {NONE} --join {search}."
        )
    return teacher


def _resized(architecture: Architecture, name: str, size: str) -> Architecture:
    """Return the network for films of another size, for larger ones with a lower learning rate.

    Raises SettingsError if it has none.
    """
    own = architecture.size
    sizes = {str(choice): choice for choice in SEARCH_SPACE["size"] if choice != own}
    if sizes.get(size, own) < own:
        return replace(architecture, size=sizes[size])
    if architecture.pooling == "flatten":
        raise SettingsError(f"--architecture {name}{LARGER}{size}: it can't be enlarged.")
    if size not in sizes:
        known = ", ".join(sizes)
        raise SettingsError(f"--architecture {name}{LARGER}{size}: it has {own} pixels; choose among {known}.")
    return replace(architecture, size=sizes[size], learning_rate=LARGER_RATE * architecture.learning_rate)
