"""Outside the loop: the reader of burnt-in markers, a small network that finds the letters R and L on a film.

    python -m tuning markers --data runs/audit --out runs/markers

Trains on markers that are laid on films composed from training knees, and measures on other fonts, on films composed
from validation knees. Writes markers.onnx and markers.json. The package has the network at
kneeoa_hub/imaging/markers.onnx; no bundle has it, since no grade follows from it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.markers import INPUT, Marker, MarkerReader

from .data.table import read_films
from .locator import single_knees
from .networks.markers_net import build, loss, write_onnx
from .run import steps
from .synthetic.locator_examples import read_knees
from .synthetic.markers import MarkedFilm, backgrounds, marked, targets
from .training.schedule import warmup_cosine

GRAPH, RESULT = "markers.onnx", "markers.json"
KNEES = 400
"""Knees from which films are composed."""
THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Probabilities from which a letter may be read. `imaging.markers.SURE` is chosen by the results."""
NEAR = 0.6
"""A letter is found where it is read within this proportion of its height."""


@dataclass(frozen=True)
class MarkerSettings:
    """The options of the training.

    Attributes:
        films: Films composed for training.
        parts: Parts of these, with markers.
        side: Pixels of such a part.
        epochs: Passes over the parts.
        batch: Parts of one step.
        learning_rate: The highest learning rate.
        test_films: Films composed to measure on, with markers on one part of each.
        seed: Of the draws and the weights.
    """

    films: int = 200
    parts: int = 5000
    side: int = 192
    epochs: int = 6
    batch: int = 8
    learning_rate: float = 3e-3
    test_films: int = 60
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """What the reader makes of markers.

    Attributes:
        sure: Probability from which a letter counts.
        letters: Letters that were laid on films.
        found: Of these, as the right letter.
        confused: Of these, as the other letter.
        films: The films.
        invented: Letters that were read where there is none.
    """

    sure: float
    letters: int
    found: int
    confused: int
    films: int
    invented: int


def markers(audit: Path, out: Path, settings: MarkerSettings = MarkerSettings()) -> Path:
    """Train, measure, and write markers.onnx and markers.json to `out`; return it.

    Args:
        audit: Output folder of the audit.
        out: A new folder, or one in which the same step was stopped.
        settings: The options.

    Raises:
        DataError: The audit has no crops of single knees to compose films from.
    """
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "markers", str(audit), asdict(settings))
    if (out / RESULT).exists():
        return out
    films, rng = read_films(audit), np.random.default_rng(settings.seed)
    knees = {}
    for split in ("train", "val"):
        found = single_knees(audit, films, split)
        knees[split] = read_knees([found[place] for place in rng.permutation(len(found))[:KNEES]])
    if not (out / GRAPH).exists():
        model = train(backgrounds(knees["train"], "train", settings.films, settings.seed), settings)
        with replacing(out / GRAPH) as part:
            write_onnx(model, part)
    composed = backgrounds(knees["val"], "val", settings.test_films, settings.seed)
    steps.write_json(out / RESULT, [asdict(one) for one in measure(out / GRAPH, composed, rng)])
    return out


def train(films: Sequence[np.ndarray], settings: MarkerSettings) -> keras.Model:
    """Return the network after `settings.epochs` over parts of the films with markers, with new grays every time."""
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    places = rng.integers(0, len(films), settings.parts)
    drawn = steps.progress(places, "markers: drawing")
    parts = [marked(films[place], "train", settings.side, rng) for place in drawn]
    wanted = targets(parts, settings.side)
    model = build()
    batches = max(1, settings.parts // settings.batch)
    schedule = warmup_cosine(settings.learning_rate, settings.epochs * batches)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=5.0)  # pyright: ignore[reportArgumentType]
    model.compile(optimizer, loss, jit_compile=False)  # pyright: ignore[reportArgumentType]
    order = [rng.permutation(settings.parts)[: batches * settings.batch] for _ in range(settings.epochs)]
    for rows in steps.progress(np.concatenate(order).reshape(-1, settings.batch), "markers: training"):
        images = np.stack([_standardised(parts[row].pixels, rng) for row in rows])[..., None]
        model.train_on_batch(images, wanted[rows])
    return model


def measure(graph: Path, films: Sequence[np.ndarray], rng: np.random.Generator) -> list[Reading]:
    """Return what the reader makes of markers in the fonts of the validation, by each of THRESHOLDS.

    Args:
        graph: Its network.
        films: Composed films, each of which is read once, with markers on it.
        rng: Draws the markers.
    """
    reader = MarkerReader(path=graph, sure=THRESHOLDS[0])
    parts = [marked(film, "val", INPUT.height, rng) for film in films]
    read = [reader(part.pixels) for part in steps.progress(parts, "markers: measuring")]
    return [_reading(parts, read, sure) for sure in THRESHOLDS]


def _reading(parts: Sequence[MarkedFilm], read: Sequence[Sequence[Marker]], sure: float) -> Reading:
    """Return what was read of markers, counting letters that are at least so probable."""
    letters = found = confused = invented = 0
    for part, every in zip(parts, read, strict=True):
        left = [marker for marker in every if marker.probability >= sure]
        for letter, x, y, height in part.letters:
            near = [one for one in left if np.hypot(one.x - x, one.y - y) <= NEAR * height]
            found += any(one.letter == letter for one in near)
            confused += any(one.letter != letter for one in near)
            left = [one for one in left if one not in near]
        letters, invented = letters + len(part.letters), invented + len(left)
    return Reading(sure, letters, found, confused, len(parts), invented)


def _standardised(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a part as the network sees it, with a mean and a deviation as they are in other parts of a film."""
    deviation = max(float(pixels.std()), rng.uniform(0.12, 0.25))
    return ((pixels - pixels.mean()) / deviation * rng.uniform(0.75, 1.25) + rng.normal(0, 0.4)).astype(np.float32)
