"""The options of a search: what determines its result, and apart from that, how it is run."""

import math
from dataclasses import dataclass

import keras_tuner as kt
from keras_tuner.engine import trial as trials

from ..training.plan import PRECISIONS

TUNERS = ("hyperband", "bayesian", "random")
OBJECTIVES = {"log_loss": "min", "qwk": "max"}
"""What a search may optimise on validation films, and in which direction: the log loss of the probabilities after a
temperature was fitted, by which the members of an ensemble are chosen too, or the quadratic weighted kappa of the
likeliest grade. On a few hundred films a kappa depends on those few that lie next to a limit; the log loss uses every
film, and its standard error is a smaller part of the spread between trials (docs/training.md)."""
FOLDS = (2, 10)
"""Least and most folds."""
FACTOR = 3
"""From rung to rung, Hyperband divides the number of trials by it and multiplies their epochs."""


@dataclass(frozen=True)
class SearchSettings:
    """The options that determine what a search finds.

    Attributes:
        tuner: One of TUNERS.
        trials: Number of trials, for bayesian and random.
        epochs: Epochs of one trial at most.
        least_epochs: Epochs of one trial of Hyperband at least. After one epoch, networks are not in the order that
            they have at the end (docs/benchmarks.md), so a rung of that length drops good ones.
        iterations: How often Hyperband begins.
        films: Training films of a trial at most, stratified by grade.
        validation_films: Validation films at most, stratified by grade.
        batch: Films of one step.
        seed: Seed of the draws, of the films and of the weights.
        only: Choices of the search space to which it is narrowed, by name.
        objective: A key of OBJECTIVES.
        space: "default", or "full": with backbones and every other value of search_space.SEARCH_SPACE.
        teachers: Addresses of bundles, each a further value of the choice "teacher", see `training.distillation`.
        named: Whether the networks of search_space.NAMED that lie in the search space are its first trials.
        folds: Into how many the training films are divided to train a trial of full length once more for each; 0 for
            none. See `trial.TrialTrainer`.
        accelerated: Whether the trials are trained on one accelerator on the films of a pack, see
            `on_pack.PackTrainer`. A teacher is then one whose answers are in the pack.
        precision: See `plan.TrainSettings`.
    """

    tuner: str = "hyperband"
    trials: int = 12
    epochs: int = 9
    least_epochs: int = 3
    iterations: int = 2
    films: int = 3000
    validation_films: int = 1000
    batch: int = 32
    seed: int = 0
    only: dict[str, list[str]] | None = None
    objective: str = "log_loss"
    space: str = "default"
    teachers: tuple[str, ...] = ()
    named: bool = True
    folds: int = 0
    accelerated: bool = False
    precision: str = PRECISIONS[0]

    @property
    def metric(self) -> kt.Objective:
        """What the trials are compared by."""
        return kt.Objective(f"val_{self.objective}", OBJECTIVES[self.objective])


@dataclass(frozen=True)
class RunSettings:
    """How a search is run; another choice gives the same trials.

    Attributes:
        workers: Processes of this machine that train trials; 0 trains them in this process.
        role: "chief", "worker", or "": on one machine alone.
        address: HOST:PORT on which a chief listens, and at which a worker finds it.
        most_failed: Proportion of the ended trials that may have failed.
        hours: After which the search stops, to be gone on with; 0 for no limit.
        tensorboard: Whether each trial writes its course for TensorBoard.
        finish: Whether no further trial is trained, and the search ends with those that have finished.
    """

    workers: int = 0
    role: str = ""
    address: str = ""
    most_failed: float = 0.5
    hours: float = 0.0
    tensorboard: bool = False
    finish: bool = False


def rungs(settings: SearchSettings) -> list[tuple[int, int]]:
    """Return (trials, epochs of each) that a search plans, counted as Keras Tuner's Hyperband does."""
    if settings.tuner != "hyperband":
        return [(settings.trials, settings.epochs)]
    longest, planned, bracket = settings.epochs, [], 0
    while longest / FACTOR**bracket >= shortest_rung(settings):
        last = math.ceil(1 + math.log(longest, FACTOR)) / (bracket + 1)
        planned += [(math.ceil(last * FACTOR**cut), math.ceil(longest / FACTOR**cut)) for cut in range(bracket + 1)]
        bracket += 1
    return planned * settings.iterations


def shortest_rung(settings: SearchSettings) -> int:
    """Return the epochs that no rung of Hyperband may be shorter than."""
    return min(settings.least_epochs, settings.epochs)


def planned_trials(settings: SearchSettings) -> int:
    """Return how many trials a search plans."""
    return sum(count for count, _ in rungs(settings))


def planned_epochs(settings: SearchSettings) -> int:
    """Return how many epochs the trials of a search have together."""
    return sum(count * trained_epochs(epochs, settings) for count, epochs in rungs(settings))


def planned_trainings(settings: SearchSettings) -> int:
    """Return how many trainings a search plans: those of its trials, and those of trials of full length on folds."""
    return sum(count * trained_epochs(epochs, settings) // epochs for count, epochs in rungs(settings))


def trained_epochs(epochs: int, settings: SearchSettings) -> int:
    """Return the epochs of a trial together with those of its trainings on folds."""
    return epochs * (1 + settings.folds) if epochs == settings.epochs else epochs


def epochs_of(trial: trials.Trial, settings: SearchSettings) -> int:
    """Return the epochs of a trial, which Hyperband determines, and otherwise the settings."""
    return int(trial.hyperparameters.values.get("tuner/epochs", settings.epochs))
