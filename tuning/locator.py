"""The finder: trained on films composed from training knees, measured on strips, crops and films composed from
validation knees.

A step beside the loop: it needs the audit alone, and `export --locator` puts what it wrote into a bundle.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import FindingEvidence, Grader
from kneeoa_hub.files import replacing
from kneeoa_hub.grader import from_pretrained
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, Joint, Locator, locator_input
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film

from .data.datasets import bright_bone, usable_films
from .data.sources import FilmReader
from .data.table import AuditedFilm, read_films
from .evaluation import refusal_metrics
from .evaluation.locator_metrics import measure
from .networks.locator_net import build, loss, targets, write_onnx
from .run import steps
from .synthetic.compose import TRAINING, Knee, as_knee, compose
from .training.schedule import warmup_cosine

LARGEST_MEGABYTES = 2.0
THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
CHOOSING_SHARE = 15
"""The threshold is chosen on as many composed films as this part of those of the training."""
COMPOSED = "examples.npz"
"""Kept until the step has ended, so that a run that was stopped need not compose again."""
MOST_CUT = 0.12
"""A crop in training loses up to this share of itself on each side, so that a joint that the film cuts is known too."""


@dataclass(frozen=True)
class LocatorSettings:
    """films: composed for training; a third as many crops, and a few synthetic films, are seen beside them. test_films:
    composed to measure on.

    made_films: of each kind that is to be refused or put right, to measure on.
    """

    films: int = 4500
    epochs: int = 12
    batch: int = 32
    learning_rate: float = 2e-3
    side: int = 192
    test_films: int = 1500
    made_films: int = 200
    seed: int = 0
    grader: str | None = None


@dataclass(frozen=True)
class Examples:
    """images: [N,H,W,1] float16 as the locator sees films; joints: [K,3] of each, in input pixels."""

    images: np.ndarray
    joints: tuple[np.ndarray, ...]


def locator(audit: Path, out: Path, settings: LocatorSettings = LocatorSettings()) -> Path:
    """Train, choose the threshold, measure; write locator.onnx and locator.json to `out`; returns it.

    Raises DataError when the audit has no crops of single knees to compose films from.
    """
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "locator", str(audit), asdict(settings))
    if (out / "locator.json").exists():
        return out
    films = read_films(audit)
    crops = {
        split: [film for film in films if film.split == split and film.use == "yes" and is_crop(film)]
        for split in ("train", "val")
    }
    for split, found in crops.items():
        if not found:
            raise DataError(
                f"{audit} has no film of one tight joint in the split {split!r}; a finder is trained on films composed"
                " from such."
            )
    config = InputConfig(settings.side, settings.side)
    if not (out / LOCATOR).exists():
        _train(crops["train"], out, config, settings)
    size = (out / LOCATOR).stat().st_size / 1e6
    if size > LARGEST_MEGABYTES:
        raise DataError(f"{out / LOCATOR} has {size:.1f} MB; at most {LARGEST_MEGABYTES} are let through.")
    knees = read_knees(crops["val"])
    strips = [film for film in films if film.split == "val" and film.width >= TWO_KNEES_FROM * film.height]
    chosen = LocatorConfig(config, threshold(out / LOCATOR, knees, strips, config, settings))
    grader = from_pretrained(settings.grader)
    figures = measure(
        Locator(out / LOCATOR, chosen), grader, films, knees, crops["val"], settings.test_films, settings.seed
    )
    figures |= refusal_metrics.measure(grader, usable_films(audit, "val"), settings.made_films)
    finding = FindingEvidence(**figures, grader=Grader(name=grader.model, revision=grader.revision))
    steps.write_json(out / "locator.json", {"locator": asdict(chosen), "megabytes": size, "finding": finding})
    (out / COMPOSED).unlink(missing_ok=True)
    return out


def _train(films: Sequence[AuditedFilm], out: Path, config: InputConfig, settings: LocatorSettings) -> None:
    """Write locator.onnx; what a stopped run has composed is taken up."""
    composed = out / COMPOSED
    if not composed.exists():
        _keep(examples(read_knees(films), config, settings), composed)
    model = train(_kept(composed), config, settings)
    with replacing(out / LOCATOR) as part:
        write_onnx(model, part)


def _keep(seen: Examples, path: Path) -> None:
    counts = [len(joints) for joints in seen.joints]
    with replacing(path) as part:
        np.savez(part, images=seen.images, joints=np.concatenate(seen.joints), counts=counts)


def _kept(path: Path) -> Examples:
    with np.load(path) as arrays:
        return Examples(arrays["images"], tuple(np.split(arrays["joints"], np.cumsum(arrays["counts"])[:-1])))


def is_crop(film: AuditedFilm) -> bool:
    """Whether a film shows one tight joint as far above and below as beside it, and is no strip."""
    return film.knees == 1 and film.width < TWO_KNEES_FROM * film.height


def read_knees(films: Sequence[AuditedFilm]) -> list[Knee]:
    """The films as what `compose` draws with."""
    with FilmReader() as reader:
        return [
            as_knee(bright_bone(reader, film), film.side) for film in steps.progress(films, "locator: reading knees")
        ]


def examples(knees: Sequence[Knee], config: InputConfig, settings: LocatorSettings) -> Examples:
    """Composed films, crops, and synthetic films, as the network sees them; the same for the same seed."""
    rng = np.random.default_rng(settings.seed)
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    for number in steps.progress(range(settings.films), "locator: composing"):
        film = compose(knees, TRAINING, settings.seed * 1_000_003 + number)
        shown.append((film.pixels, film.joints))
    shown += [_cut(knees[index], rng) for index in rng.choice(len(knees), settings.films // 3, replace=True)]
    shown += [_synthetic(number, rng) for number in range(settings.films // 15)]
    images = np.empty((len(shown), config.height, config.width, 1), np.float16)
    joints = []
    for row, (pixels, of_film) in enumerate(shown):
        images[row], scale, (left, top) = locator_input(pixels, config)
        joints.append(of_film * scale + np.array([left, top, 0], np.float32))
    return Examples(images, tuple(joints))


def train(seen: Examples, config: InputConfig, settings: LocatorSettings) -> keras.Model:
    """The network after `settings.epochs` over the examples, each time mirrored, exposed and blurred by noise anew."""
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    model = build(config)
    batches = max(1, len(seen.joints) // settings.batch)
    optimizer = keras.optimizers.AdamW(
        warmup_cosine(settings.learning_rate, settings.epochs * batches), weight_decay=0.01, clipnorm=5.0
    )
    model.compile(optimizer, loss, jit_compile=False)  # compiling takes longer than it saves in so short a training
    order = np.concatenate(
        [rng.permutation(len(seen.joints))[: batches * settings.batch] for _ in range(settings.epochs)]
    )
    for rows in steps.progress(order.reshape(-1, min(settings.batch, len(seen.joints))), "locator: training"):
        model.train_on_batch(*_varied(seen, rows, config, rng))
    return model


def threshold(
    graph: Path, knees: Sequence[Knee], strips: Sequence[AuditedFilm], config: InputConfig, settings: LocatorSettings
) -> float:
    """The heat from which a peak is a joint: the one that counts best on validation films.

    Half the weight have films composed in the training's style from validation knees, half the real strips of that
    split.
    """
    lowest = Locator(graph, LocatorConfig(config, THRESHOLDS[0]))
    composed = [compose(knees, TRAINING, 10**9 + number) for number in range(max(1, settings.films // CHOOSING_SHARE))]
    shares = [_counted_right([(lowest.joints(film.pixels), len(film.joints)) for film in composed])]
    if strips:
        with FilmReader() as reader:
            found = [lowest.joints(bright_bone(reader, film)) for film in strips]
        shares.append(_counted_right([(joints, film.knees) for joints, film in zip(found, strips, strict=True)]))
    right = np.mean(shares, axis=0)
    best = np.flatnonzero(right == right.max())
    return THRESHOLDS[best[len(best) // 2]]


def _counted_right(films: Sequence[tuple[Sequence[Joint], int]]) -> list[float]:
    """By each of THRESHOLDS, the share of the films with as many joints above it as there are."""
    return [
        float(np.mean([sum(joint.score >= value for joint in found) == true for found, true in films]))
        for value in THRESHOLDS
    ]


def _cut(knee: Knee, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A crop as it is, or with some of it cut off."""
    side = len(knee.crop)
    left, top, right, bottom = (rng.uniform(0, MOST_CUT, 4) * side * (rng.random() < 0.5)).astype(int)
    pixels = knee.crop[top : side - bottom, left : side - right]
    if rng.random() < 0.03:  # as some films of an archive are
        pixels = 1 - pixels
    return pixels, np.array([[side / 2 - left, side / 2 - top, side]], np.float32)


def _synthetic(number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first, second = (int(grade) for grade in rng.integers(0, 5, 2))
    if number % 2:
        film = knee_film(first, 50_000 + number, side=str(rng.choice(["left", "right"])))
        return film.pixels, np.array([[112, 112, 224]], np.float32)
    film = two_knee_film((first, second), 50_000 + number)
    boxes = np.array(film.boxes, np.float32)
    side = boxes[:, 2] - boxes[:, 0]
    return film.pixels, np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, side], 1)


def _varied(
    seen: Examples, rows: np.ndarray, config: InputConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A batch: images [N,H,W,1] float32 and their targets."""
    images = seen.images[rows].astype(np.float32)
    joints = [seen.joints[row].copy() for row in rows]
    for number in np.flatnonzero(rng.random(len(rows)) < 0.5):
        images[number] = images[number, :, ::-1]
        joints[number][:, 0] = config.width - joints[number][:, 0]
    images *= rng.uniform(0.75, 1.3, (len(rows), 1, 1, 1))
    images += rng.normal(0, 0.15, (len(rows), 1, 1, 1))
    images += rng.uniform(0, 0.12, (len(rows), 1, 1, 1)) * rng.standard_normal(images.shape, np.float32)
    return images.astype(np.float32), targets(joints, config)
