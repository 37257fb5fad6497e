"""Outside the loop: train the gate, a small network that accepts upright frontal knees and names what else films show.

    python -m tuning gate --data runs/audit --out runs/gate

Trains on the audit's training films and on synthetic films made of them, fits its limits on validation films, and
measures on these and on 250 synthetic films of each kind, some of kinds that it was not trained on. Writes gate.onnx,
gate.json and gate.md. It needs only the audit; `export --gate` puts it into a bundle.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import GATE, GateConfig, InputConfig, read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import GateEvidence, GateKnees, Outcomes
from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.gate import BLURRED, CLASSES, CUT_OFF, NOT_A_KNEE, POSES, UPRIGHT, Pose, Verdict, verdict
from kneeoa_hub.imaging.letterbox import network_input
from kneeoa_hub.imaging.phantom import knee_film, sample_films

from .data.datasets import usable_films
from .networks.gate_net import build, with_mirror, write_onnx
from .run import steps
from .run.estimates import exact, proportion
from .run.weights import save_weights
from .synthetic import negatives
from .synthetic.negatives import Films
from .training.schedule import optimizer

SIDE = 128
"""The input of the network has 128 pixels per side."""
RESULT, WEIGHTS = "gate.json", "gate.weights.h5"
BATCH = 64
LEARNING_RATE = 2e-3
KNEES, POSED, OTHER, CUT, BLUR = 0.3, 0.26, 0.24, 0.1, 0.1
"""The training pictures show upright knees, knees in other poses, no knees, and cut off and blurred knees in these
proportions."""
PHANTOMS = 300
"""Of the training films, 300 are synthetic knees."""
FIRST_SEED = 5000
"""The first of these has this seed; the synthetic films of the documentation have other seeds."""
FALSE_REFUSALS = 0.01
"""The gate may refuse at most 1% of the upright validation knees of a dataset."""
CERTAIN = 0.6
"""A film is put right when the probability of its pose is at least this high; it is checked again afterwards, and
refused if it then is not an upright knee."""
LEAST_UPRIGHT = 0.05
"""The limit is never lower, however odd the films of a small validation set are: below it the gate would be open."""
MEASURED = 250
"""The gate is measured on 250 synthetic films of each kind."""

Predict = Callable[[Sequence[np.ndarray]], np.ndarray]
"""A function of this type maps films [H,W] to probabilities of CLASSES [N,11]."""


@dataclass(frozen=True)
class GateSettings:
    """These are the options of the gate's training.

    Attributes:
        pictures: Training pictures.
        epochs: Passes over them.
        seed: Seed of the pictures and the weights.
    """

    pictures: int = 40000
    epochs: int = 16
    seed: int = 0


@dataclass(frozen=True)
class GateResult:
    """The file gate.json holds the limits of the gate and its figures."""

    config: GateConfig
    figures: GateEvidence


def gate(audit: Path, out: Path, settings: GateSettings = GateSettings()) -> Path:
    """Write gate.onnx, gate.json and gate.md to `out`, and return it.

    Args:
        audit: Output folder of the audit.
        out: A new folder, or one in which the same step was stopped.
        settings: The options of the training.

    Raises:
        DataError: The audit has no training or no validation film.
    """
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "gate", str(audit), asdict(settings))
    if (out / RESULT).exists():
        return out
    films = {split: usable_films(audit, split) for split in ("train", "val")}
    if not (out / WEIGHTS).exists():  # otherwise a run was stopped while it measured
        _train(*_training_pictures(films["train"], settings), out, settings)
    model = build(SIDE)
    model.load_weights(out / WEIGHTS)
    model = with_mirror(model)
    write_onnx(model, out / GATE)

    def predict(pictures: Sequence[np.ndarray]) -> np.ndarray:
        inputs = np.stack([_input(picture) for picture in pictures])
        return np.asarray(model.predict(inputs, batch_size=BATCH, verbose=0))  # pyright: ignore[reportArgumentType]

    knees = {dataset: predict(mine) for dataset, mine in films["val"].items()}
    config = fit_limits(list(knees.values()))
    evidence = _measure(predict, config, films["val"], knees, model.count_params())
    (out / "gate.md").write_text(report(evidence), "utf-8")
    steps.write_json(out / RESULT, {"config": config, "figures": evidence})
    return out


@dataclass(frozen=True)
class GatePart:
    """A bundle takes a gate in this form.

    Attributes:
        graph: Its gate.onnx.
        config: Its limits.
        evidence: Its measures.
    """

    graph: Path
    config: GateConfig
    evidence: GateEvidence


def gate_part(folder: Path) -> GatePart:
    """Return the gate of the step's output folder, or of a bundle. Raises DataError when neither has one."""
    if (folder / "bundle.json").is_file():
        bundle = read_bundle(folder)
        evidence = bundle.evidence.refusal.gate
        if not bundle.config.gate or not evidence:
            raise DataError(
                f"{folder} is a bundle without a gate and its figures; give the --out of `python -m tuning gate`."
            )
        return GatePart(folder / GATE, bundle.config.gate, evidence)
    folder = steps.find_input(folder, "gate")
    result = steps.typed(GateResult, steps.read_json(folder / RESULT), folder / RESULT)
    return GatePart(folder / GATE, result.config, result.figures)


def _training_pictures(films: dict[str, list[np.ndarray]], settings: GateSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures [N,SIDE,SIDE,1] float16, as the network receives them, and their classes [N]."""
    rng = np.random.default_rng(settings.seed)
    knees = [film for mine in films.values() for film in mine]
    knees += [
        knee_film(n % 5, FIRST_SEED + n, side=("left", "right")[n % 2]).pixels.astype(np.float32)
        for n in range(PHANTOMS)
    ]
    counts = rng.multinomial(settings.pictures, (KNEES, POSED, OTHER, CUT, BLUR))
    classes = np.concatenate(
        [
            np.zeros(counts[0], int),
            rng.integers(1, len(POSES), counts[1]),
            *(np.full(count, kind) for count, kind in zip(counts[2:], (NOT_A_KNEE, CUT_OFF, BLURRED), strict=True)),
        ]
    )
    makers = {NOT_A_KNEE: negatives.other, CUT_OFF: negatives.cut_off, BLURRED: negatives.blurred}
    pictures = np.empty((len(classes), SIDE, SIDE, 1), np.float16)
    for row in steps.progress(range(len(classes)), "gate: make pictures"):
        kind = int(classes[row])
        make = makers.get(kind, negatives.knee)
        film = make(knees, rng)
        pictures[row] = _input(film if kind in makers else negatives.posed(film, POSES[kind]))
    return pictures, classes


def _input(film: np.ndarray) -> np.ndarray:
    """Return a film as the network receives it."""
    return network_input(film.astype(np.float32), (0, 0, film.shape[1], film.shape[0]), InputConfig(SIDE, SIDE))


def _train(pictures: np.ndarray, classes: np.ndarray, out: Path, settings: GateSettings) -> None:
    """Write WEIGHTS."""
    keras.utils.set_random_seed(settings.seed)
    model = build(SIDE)
    batches = max(1, len(classes) // BATCH)
    model.compile(
        optimizer(LEARNING_RATE, settings.epochs * batches),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.02),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)  # otherwise Keras traces the first step twice
    targets = np.eye(len(CLASSES), dtype=np.float32)[classes]
    for epoch in steps.progress(range(settings.epochs), "gate: train"):
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(classes))
        for rows in order[: batches * BATCH].reshape(batches, -1):
            model.train_on_batch(pictures[rows].astype(np.float32), targets[rows])
    with replacing(out / WEIGHTS) as part:
        save_weights(model, part)


def fit_limits(knees: Sequence[np.ndarray]) -> GateConfig:
    """Return the strictest limits that refuse at most FALSE_REFUSALS of the knees of each dataset.

    knees: for each dataset, the probabilities [N,11] of its upright validation knees.
    """
    lowest = min(float(np.sort(rows[:, UPRIGHT])[int(FALSE_REFUSALS * len(rows))]) for rows in knees)
    return GateConfig(SIDE, math.floor(1e4 * min(0.5, max(LEAST_UPRIGHT, lowest))) / 1e4, CERTAIN)


def _measure(
    predict: Predict,
    config: GateConfig,
    films: dict[str, list[np.ndarray]],
    knees: dict[str, np.ndarray],
    parameters: int,
) -> GateEvidence:
    """Return what the gate does with validation knees, with synthetic films and with the sample films."""
    synthetic = _measure_synthetic(predict, config, [film for mine in films.values() for film in mine])
    samples = [film.pixels for film in sample_films().values() if len(film.grades) == 1]
    refused = sum(not verdict(row, config).accepted for row in predict(samples))
    return GateEvidence(
        knees={f"{dataset}_val": _measure_knees(config, rows) for dataset, rows in knees.items()},
        made=synthetic,
        headline=negatives.headline(synthetic),
        samples_refused=exact(refused, n=len(samples)),
        parameters=exact(parameters),
    )


def _measure_knees(config: GateConfig, probabilities: np.ndarray) -> GateKnees:
    """Return how many real upright knees are refused, or wrongly put right."""
    verdicts = [verdict(row, config) for row in probabilities]
    return GateKnees(
        refused=proportion([not one.accepted and one.pose is None for one in verdicts]),
        wrongly_put_right=proportion([one.pose is not None for one in verdicts]),
    )


def _measure_synthetic(predict: Predict, config: GateConfig, films: Films) -> dict[str, Outcomes]:
    """Return, by kind of synthetic film, how many are refused, put right, or let through."""
    outcomes = {}
    for name, (make, pose) in negatives.measured(films, np.random.default_rng(99)).items():
        made = [make() for _ in range(MEASURED)]
        if pose:
            made = [negatives.posed(film, pose) for film in made]
        outcomes[name] = _outcomes([verdict(row, config) for row in predict(made)], pose)
    return outcomes


def _outcomes(verdicts: Sequence[Verdict], pose: Pose | None) -> Outcomes:
    """Return how many films are refused, turned back from their pose, or neither."""
    right = np.array([one.pose is not None and one.pose == pose for one in verdicts])
    refused = np.array([not one.accepted and one.pose is None for one in verdicts])
    return Outcomes(
        refused=proportion(refused), put_right=proportion(right), let_through=proportion(~(refused | right))
    )


def report(evidence: GateEvidence) -> str:
    """Return the measures as Markdown."""
    lines = [
        "| knees, as they are | films | refused | wrongly put right |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row.refused.n} | {row.refused:.1%} | {row.wrongly_put_right:.1%} |"
            for name, row in evidence.knees.items()
        ),
        "",
        "| synthetic film | films | refused | put right | let through |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {row.refused.n} | {row.refused:.1%} | {row.put_right:.1%} | {row.let_through:.1%} |"
            for name, row in evidence.made.items()
        ),
        "",
        f"Refused or put right, without {' and '.join(negatives.NO_HEADLINE)}: {evidence.headline:.1%}.",
    ]
    return "\n".join(lines) + "\n"
