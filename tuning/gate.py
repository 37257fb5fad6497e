"""The gate of a bundle: a small network that tells an upright frontal knee from one that is turned or inverted, and
from what is none.

    python -m tuning gate --data runs/audit --out runs/gate

Trains on the audit's training films and on negatives made of them, fits its limits on validation films, and measures on
those and on 200 and more made films of each kind, some of kinds that it was not trained on. Writes gate.onnx, gate.json
and gate.md.
"""

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kneeoa_hub.bundle import GateConfig, InputConfig
from kneeoa_hub.evidence import GateEvidence, GateKnees, Outcomes
from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.gate import BLURRED, CLASSES, CUT_OFF, NOT_A_KNEE, POSES, UPRIGHT, Verdict, verdict
from kneeoa_hub.imaging.letterbox import network_input
from kneeoa_hub.imaging.phantom import knee_film, sample_films
from kneeoa_hub.runtime import GATE_OUTPUT

from .data.datasets import usable_films
from .run import steps
from .run.figures import number, share
from .synthetic import negatives
from .synthetic.negatives import Films
from .training.schedule import warmup_cosine

SIZE = 128
WEIGHTS = "gate.weights.h5"
BATCH = 64
WIDTHS = (16, 32, 64, 96)
KNEES, TURNED, OTHER, CUT, BLUR = 0.3, 0.26, 0.24, 0.1, 0.1
"""Shares of the training pictures."""
PHANTOMS = 300
FIRST_SEED = 5000
"""Of synthetic films for training; those that the documentation shows have other seeds."""
FALSE_REFUSALS = 0.01
"""The largest share of a dataset's upright validation knees that may be refused."""
CERTAIN = 0.6
"""A film is put right when its position is at least as sure as this; it is looked at again afterwards, and refused if
it is then no upright knee."""
LEAST_UPRIGHT = 0.05
"""The limit is no lower, however odd a small validation set's films are: below it the gate would be open."""
MEASURED = 250
"""Made films of each kind."""


@dataclass(frozen=True)
class GateSettings:
    pictures: int = 40000
    epochs: int = 16
    seed: int = 0


def gate(audit: Path, out: Path, settings: GateSettings = GateSettings()) -> Path:
    """Write gate.onnx, gate.json and gate.md to `out`; returns it."""
    audit = steps.find_input(audit, "audit")
    steps.begin(
        out, "gate", str(audit), {"pictures": settings.pictures, "epochs": settings.epochs, "seed": settings.seed}
    )
    if (out / "gate.json").exists():
        return out
    config = InputConfig(SIZE, SIZE)
    films = {split: usable_films(audit, split) for split in ("train", "val")}
    if not (out / WEIGHTS).exists():  # else a run that was stopped while it measured
        _train(*_training(films["train"], config, settings), out, settings)
    model = build()
    model.load_weights(out / WEIGHTS)
    model = both_ways(model)
    _export(model, out / "gate.onnx", config)

    def answered(made: list[np.ndarray]) -> np.ndarray:
        inputs = np.stack([_input(film, config) for film in made])
        return np.asarray(model.predict(inputs, batch_size=BATCH, verbose=0))

    knees = {dataset: answered(list(mine)) for dataset, mine in films["val"].items()}
    limits = _limits(list(knees.values()))
    made = _made(answered, limits, [film for mine in films["val"].values() for film in mine])
    figures = GateEvidence(
        knees={f"{dataset}_val": _refused(limits, values) for dataset, values in knees.items()},
        made=made,
        headline=negatives.headline(made),
        samples_refused=number(
            sum(not verdict(row, limits).accepted for row in answered([f.pixels for f in _whole_samples()])),
            n=len(_whole_samples()),
        ),
        parameters=number(model.count_params()),
    )
    steps.write_json(
        out / "gate.json",
        {
            "config": {"size": SIZE, "min_upright": limits.min_upright, "min_certain": limits.min_certain},
            "figures": figures,
        },
    )
    (out / "gate.md").write_text(report(figures), "utf-8")
    return out


def _training(
    films: dict[str, list[np.ndarray]], config: InputConfig, settings: GateSettings
) -> tuple[np.ndarray, np.ndarray]:
    """float16 [N,SIZE,SIZE,1] as the network gets them, and their classes [N]."""
    rng = np.random.default_rng(settings.seed)
    knees = [film for mine in films.values() for film in mine]
    knees += [
        knee_film(n % 5, FIRST_SEED + n, side=("left", "right")[n % 2]).pixels.astype(np.float32)
        for n in range(PHANTOMS)
    ]
    counts = rng.multinomial(settings.pictures, (KNEES, TURNED, OTHER, CUT, BLUR))
    classes = np.concatenate(
        [
            np.zeros(counts[0], int),
            rng.integers(1, len(POSES), counts[1]),
            *(np.full(count, kind) for count, kind in zip(counts[2:], (NOT_A_KNEE, CUT_OFF, BLURRED), strict=True)),
        ]
    )
    makers = {NOT_A_KNEE: negatives.other, CUT_OFF: negatives.cut_off, BLURRED: negatives.blurred}
    pictures = np.empty((len(classes), config.height, config.width, 1), np.float16)
    for row in steps.progress(range(len(classes)), "gate: make pictures"):
        kind = int(classes[row])
        film = (
            makers[kind](knees, rng)
            if kind in makers
            else negatives.positioned(negatives.knee(knees, rng), *POSES[kind])
        )
        pictures[row] = _input(film, config)
    return pictures, classes


def _input(film: np.ndarray, config: InputConfig) -> np.ndarray:
    return network_input(film.astype(np.float32), (0, 0, film.shape[1], film.shape[0]), config)


def build() -> keras.Model:
    """image [N,SIZE,SIZE,1] -> probabilities of CLASSES [N,11]."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = image
    for width in WIDTHS:
        for stride in (2, 1):
            x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.Activation("relu")(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dropout(0.3)(x)
    return keras.Model(image, layers.Dense(len(CLASSES), activation="softmax")(x), name="gate")


def both_ways(model: keras.Model) -> keras.Model:
    """The same of a film and its mirror image, averaged: a knee and its mirror image stand alike, but for quarter
    turns, which change places.
    """
    swapped = [
        CLASSES.index((-kind[0] % 4, kind[1])) if isinstance(kind, tuple) else place
        for place, kind in enumerate(CLASSES)
    ]
    mirrored = ops.take(model(ops.flip(model.input, axis=2)), swapped, axis=1)
    return keras.Model(model.input, (model.output + mirrored) / 2, name="gate")


def _train(pictures: np.ndarray, classes: np.ndarray, out: Path, settings: GateSettings) -> None:
    """Write WEIGHTS."""
    keras.utils.set_random_seed(settings.seed)
    model = build()
    steps_each = max(1, len(classes) // BATCH)
    model.compile(
        keras.optimizers.AdamW(warmup_cosine(2e-3, settings.epochs * steps_each), weight_decay=0.01, clipnorm=5.0),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.02),
        metrics=["accuracy"],
    )
    targets = np.eye(len(CLASSES), dtype=np.float32)[classes]
    for epoch in steps.progress(range(settings.epochs), "gate: train"):
        order = (
            np.random.default_rng((settings.seed, epoch))
            .permutation(len(classes))[: steps_each * BATCH]
            .reshape(steps_each, -1)
        )
        for rows in order:
            model.train_on_batch(pictures[rows].astype(np.float32), targets[rows])
    with replacing(out / WEIGHTS) as part:
        model.save_weights(part)


def _export(model: keras.Model, path: Path, config: InputConfig) -> None:
    # by which ONNX names it
    model = keras.Model(model.input, {GATE_OUTPUT: layers.Activation("linear", name=GATE_OUTPUT)(model.output)})
    # Keras exports only a model that has been called
    model.predict_on_batch(np.zeros((1, config.height, config.width, 1), np.float32))
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(path, format="onnx", verbose=False)


def _limits(knees: Sequence[np.ndarray]) -> GateConfig:
    """From the answers [N,11] for each dataset's upright validation knees: as strict as the share of them that may be
    refused allows, in each dataset.
    """
    lowest = min(float(np.sort(answers[:, UPRIGHT])[int(FALSE_REFUSALS * len(answers))]) for answers in knees)
    return GateConfig(SIZE, math.floor(1e4 * min(0.5, max(LEAST_UPRIGHT, lowest))) / 1e4, CERTAIN)


def _refused(limits: GateConfig, answers: np.ndarray) -> GateKnees:
    """Of real upright knees: the shares that are refused, or wrongly put right."""
    verdicts = [verdict(row, limits) for row in answers]
    refused = np.array([not v.accepted and v.pose is None for v in verdicts])
    moved = np.array([v.pose is not None for v in verdicts])
    return GateKnees(refused=share(refused), wrongly_put_right=share(moved))


def _made(answered: Callable[[list[np.ndarray]], np.ndarray], limits: GateConfig, films: Films) -> dict[str, Outcomes]:
    """By kind of made film: how many were refused, put right, or let through."""
    table = {}
    for name, (make, pose) in negatives.measured(films, np.random.default_rng(99)).items():
        made = [make() for _ in range(MEASURED)]
        if pose:
            made = [negatives.positioned(film, *pose) for film in made]
        table[name] = _outcomes([verdict(row, limits) for row in answered(made)], pose)
    return table


def _outcomes(verdicts: list[Verdict], pose: tuple[int, bool] | None) -> Outcomes:
    """put_right: turned or inverted as it should be. let_through: accepted as it is, or put wrong."""
    right = np.array([v.pose is not None and v.pose == pose for v in verdicts])
    refused = np.array([not v.accepted and v.pose is None for v in verdicts])
    return Outcomes(refused=share(refused), put_right=share(right), let_through=share(~(refused | right)))


def _whole_samples() -> list[Any]:
    """The synthetic films of one knee that the documentation shows."""
    return [film for film in sample_films().values() if len(film.grades) == 1]


def report(figures: GateEvidence) -> str:
    """Returns the figures as Markdown."""
    lines = ["| knees, as they are | films | refused | wrongly put right |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {row.refused.n} | {row.refused:.1%} | {row.wrongly_put_right:.1%} |"
        for name, row in figures.knees.items()
    ]
    lines += ["", "| made film | films | refused | put right | let through |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {row.refused.n} | {row.refused:.1%} | {row.put_right:.1%} | {row.let_through:.1%} |"
        for name, row in figures.made.items()
    ]
    lines += ["", f"All but {' and '.join(negatives.NO_HEADLINE)}, refused or put right: {figures.headline:.1%}."]
    return "\n".join(lines) + "\n"
