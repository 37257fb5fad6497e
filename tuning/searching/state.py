"""The files of Keras Tuner's folder have these types, so that a damaged or foreign one is noticed before it is used.

Keras Tuner reads more fields as they are; fields that a later Keras Tuner adds are ignored here.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

from kneeoa_hub.typed_json import Length


@dataclass(frozen=True)
class Observation:
    """An observation has a value for each training of a trial, and the epoch after which it was made."""

    value: Annotated[tuple[Any, ...], Length(1)]
    step: int


@dataclass(frozen=True)
class History:
    """The history of a measure has its observations, of which the last one counts."""

    direction: str | None
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class Metrics:
    """The measures of a trial have a history each."""

    metrics: dict[str, History]


@dataclass(frozen=True)
class Drawn:
    """A trial has values of the choices that were drawn for it."""

    values: dict[str, Any]


@dataclass(frozen=True)
class TrialFile:
    """The file trial.json describes one trial for readers."""

    trial_id: str
    status: str
    hyperparameters: Drawn
    metrics: Metrics


@dataclass(frozen=True)
class KeptTrial:
    """The state of a search has this of each trial. Its search space is that of the search."""

    trial_id: str
    status: str
    hyperparameters: dict[str, Any]
    metrics: Metrics
    score: Any
    best_step: Any
    message: str | None


@dataclass(frozen=True)
class Display:
    """Keras Tuner remembers for its own display when trials began."""

    search_start: str | None
    trial_start: dict[str, str]
    trial_number: dict[str, int]


@dataclass(frozen=True)
class State:
    """The file oracle.json holds the state of a search; trials are named by their numbers.

    Deaths and losses say how often the process of a trial died, or went away unseen. Elsewhere are the
    workers of other machines that train one.
    """

    trials: dict[str, KeptTrial]
    ongoing_trials: dict[str, str]
    start_order: tuple[str, ...]
    end_order: tuple[str, ...]
    run_times: dict[str, int]
    retry_queue: tuple[str, ...]
    seed: int
    seed_state: int
    tried_so_far: tuple[str, ...]
    id_to_hash: dict[str, str | None]
    display: Display
    exhausted: bool = field(default=False, kw_only=True)
    deaths: dict[str, int] = field(default_factory=dict, kw_only=True)
    losses: dict[str, int] = field(default_factory=dict, kw_only=True)
    elsewhere: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Raise ValueError when the state names a trial that it does not hold."""
        named = {*self.ongoing_trials.values(), *self.start_order, *self.end_order, *self.retry_queue}
        if unknown := sorted(named - self.trials.keys()):
            raise ValueError(f"it names the trial {unknown[0]}, which it does not hold")


@dataclass(frozen=True)
class Place:
    """A trial of a rung goes on from a trial of the rung before."""

    past_id: str | None
    id: str


@dataclass(frozen=True)
class Bracket:
    """A bracket of Hyperband has its rungs, which Keras Tuner calls rounds."""

    bracket_num: int
    rounds: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class HyperbandState(State):
    """The state of Hyperband also has the brackets."""

    hyperband_iterations: float
    max_epochs: int
    min_epochs: int
    factor: int
    brackets: tuple[Bracket, ...]
    current_bracket: int
    current_iteration: int


@dataclass(frozen=True)
class BayesianState(State):
    """The state of Bayesian optimisation also has the options of its Gaussian process."""

    num_initial_points: int
    alpha: float
    beta: float
