"""Describes what a bundle was made from and how: films, search, training, calibration and export."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ..typed_json import Range
from .measures import Agreement, Estimate, FiveCounts, LevelEvidence


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Films of one place that show knees of another place."""

    first: Annotated[str, "A folder, or a dataset and its split as it was given."]
    second: Annotated[str, "The other."]
    films: Annotated[int, Range(0), "Films of the first."]
    same_pixels: Annotated[int, Range(0), "Of these, films whose pixels are in the second."]
    same_group: Annotated[int, Range(0), "Of these, films whose leakage group is in the second."]
    equal_grades: Annotated[float | None, "Proportion of films with the same pixels that have the same grade."] = None
    qwk: Annotated[float | None, "Kappa of the two grades of films with the same pixels."] = None


@dataclass(frozen=True, kw_only=True)
class ShortcutEvidence:
    """How well the grade can be guessed from something that is not the knee."""

    qwk: Annotated[Estimate, "Quadratic weighted kappa."]
    balanced_accuracy: Annotated[Estimate, "Mean of the recalls of the grades that occur."]


@dataclass(frozen=True, kw_only=True)
class DataEvidence:
    """The films: their fingerprint, how many there are, and what is known to be wrong with them."""

    fingerprint: Annotated[str, "sha256 over the films' own hashes, grades and splits."]
    films: Annotated[int, Range(0), "Films that could be read."]
    groups: Annotated[int, Range(0), "Leakage groups: patients, or clusters of copies."]
    splits: Annotated[dict[str, dict[str, FiveCounts]], "By dataset and split, the films of each grade, 0 to 4."]
    split_hashes: Annotated[
        dict[str, str],
        "By dataset, sha256 over the names and splits of its films, which do not change with the resolution; from"
        " 0.15.0.",
    ] = field(default_factory=dict)
    left_out: Annotated[dict[str, int], "By reason, the films that were left out."]
    shortcuts: Annotated[
        dict[str, dict[str, ShortcutEvidence]], "By dataset, and by what the grade is guessed from; from 0.3.0."
    ] = field(default_factory=dict)
    overlaps: Annotated[
        dict[str, tuple[Overlap, ...]],
        "Films in two folders, or in two splits as they were given; from 0.3.0.",
    ] = field(default_factory=dict)
    inverted: Annotated[
        dict[str, int], "By dataset, the films whose grays were inverted, and were put right before use; from 0.3.0."
    ] = field(default_factory=dict)
    shifted_pairs: Annotated[int | None, Range(0), "Pairs of films that show one knee, shifted; from 0.6.0."] = None
    shifted_pairs_other_grade: Annotated[int | None, Range(0), "Such pairs with two grades."] = None
    shifted_pairs_of_two_datasets: Annotated[int | None, Range(0), "Such pairs of two datasets."] = None


@dataclass(frozen=True, kw_only=True)
class TrialOfNetwork:
    """The trial of a search that has the network of a member of the bundle."""

    trial: Annotated[str, "Its number."]
    place: Annotated[int, Range(1), "Its place among the longest trials; 1 is the best."]
    val_log_loss: Annotated[Estimate, "Its log loss on validation films."]


@dataclass(frozen=True, kw_only=True)
class LaterSearch:
    """A search that was made after the networks of a bundle were trained, and has them among its trials."""

    tuner: Annotated[str, "hyperband, bayesian or random."]
    objective: Annotated[str, "log_loss or qwk."]
    trials: Annotated[int, Range(1), "Finished trials."]
    longest: Annotated[int, Range(1), "Of these, trials of the most epochs."]
    films: Annotated[int, Range(1), "Training films of a trial, at most."]
    epochs: Annotated[int, Range(1), "Epochs of the longest trials."]
    networks: Annotated[dict[str, TrialOfNetwork], "By member, the longest trial with its network."]
    chosen: Annotated[tuple[str, ...], "Trials that make the ensemble of the search, by its rule."]


@dataclass(frozen=True, kw_only=True)
class SearchEvidence:
    """How the architecture was found."""

    tuner: Annotated[str, "hyperband, bayesian or random; none for a named architecture."]
    trials: Annotated[Estimate, "Number of trials of the search."]
    trial: Annotated[str | None, "Number of the trial that was trained in full, when it was not the best one."] = None
    best_val_qwk: Annotated[
        Estimate | None, "Validation kappa of the best trial, within the search's short training."
    ] = None
    best_json_sha256: Annotated[str, "sha256 of the search's best.json; empty without a search."] = ""
    settings: Annotated[dict[str, Any], "The arguments of the search."] = field(default_factory=dict)
    later: Annotated[LaterSearch | None, "A search after the training, of a bundle that no search found."] = None


@dataclass(frozen=True, kw_only=True)
class TrainedMember:
    """How one network of the ensemble was trained."""

    name: Annotated[str | None, "Its architecture and its seed, such as folded-0; from 0.3.0."] = None
    seed: Annotated[int, "Seed of its training."]
    epochs: Annotated[int, Range(0), "Number of epochs; 0 where its weights were taken over."]
    val_qwk: Annotated[float | None, "Best validation kappa."] = None
    architecture: Annotated[dict[str, Any] | None, "The point of the search space; from 0.3.0."] = None
    origin: Annotated[str | None, "Which version a network was taken over from."] = None
    teachers: Annotated[
        tuple[str, ...], "Bundles and networks whose answers were a part of its targets; from 0.9.0."
    ] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingEvidence:
    """How the networks of the ensemble were trained."""

    architecture: Annotated[dict[str, Any] | None, "The point of the search space, where all networks share it."] = None
    best_json_sha256: Annotated[str, "sha256 of the search's best.json; empty for a named architecture."] = ""
    trial: Annotated[str | None, "Number of the search's trial; empty for its best one."] = None
    members: Annotated[tuple[TrainedMember, ...], "The networks, in the order of bundle.json."] = ()
    films: Annotated[int, Range(0), "Number of training films."] = 0
    datasets: Annotated[tuple[str, ...], "Datasets that were trained on; from 0.3.0."] = ()
    protocols: Annotated[
        tuple[str, ...], "Datasets whose readers have a classifier of their own; empty where all share one; from 0.9.0."
    ] = ()
    base: Annotated[dict[str, Any] | None, "Of an adapted bundle: what it was made from."] = None
    origin: Annotated[str | None, "Which versions networks were taken over from."] = None
    looks_before: Annotated[
        int | None,
        Range(0),
        "Evaluations on the test films before this version, of networks that were taken over or that taught.",
    ] = None
    drawn: Annotated[
        tuple[str, ...] | None,
        "Networks whose validation kappa by epoch is drawn in figures/training.png; of NAME@SIZE only the epochs at"
        " that size; from 0.8.0.",
    ] = None


@dataclass(frozen=True, kw_only=True)
class CalibrationEvidence:
    """What was fitted on validation films."""

    fitted_on: Annotated[Literal["val", "train+val"], "The splits."]
    films: Annotated[FiveCounts | None, "Films of each grade, 0 to 4, that it was fitted on; from 0.15.0."] = None
    temperature: Annotated[Estimate, "The logarithms of the probabilities are divided by it."]
    decision_rule: Annotated[
        Literal["argmax", "median", "expected"], "How the reported grade follows from the probabilities."
    ]
    decision_thresholds: Annotated[tuple[float, ...], "Where the expected grade is cut; from 0.2.0."] = ()
    decision_tried: Annotated[
        dict[str, Agreement],
        "By rule that was tried, its agreement on the films that the rule was chosen on; from 0.2.0.",
    ] = field(default_factory=dict)
    conformal_threshold: Annotated[Estimate, "Probability mass at which a prediction set stops growing."]
    other_levels: Annotated[
        dict[str, dict[str, LevelEvidence]], "By set of films and by level, such as 0.8; from 0.3.0."
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExportEvidence:
    """Facts of the exported graph."""

    onnx_keras_difference: Annotated[
        Estimate, "Largest difference of ONNX and Keras over all outputs, on validation films."
    ]
    onnx_megabytes: Annotated[Estimate, "Size of model.onnx in MB."]
    parameters: Annotated[Estimate, "Number of parameters of the Keras model with all networks."]


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The bundle that an adapted bundle was made from."""

    name: Annotated[str, "Name in its bundle.json."]
    address: Annotated[str, "Its address as it was given."]
    revision: Annotated[str, "Its revision."]
    recalibrated_only: Annotated[bool, "Whether the weights stayed and only the calibration changed."]
