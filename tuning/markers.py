"""Outside the loop: train the networks for burnt-in markers, two small ones that find and read the letters R and L.

    python -m tuning markers --data runs/audit --out runs/markers

Trains on markers that are laid on films composed from training knees, and measures on other fonts, on films composed
from validation knees. Writes markers_find.onnx, markers_read.onnx and markers.json. The package has the networks in
kneeoa_hub/imaging; no bundle has them, since no grade follows from them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.markers import (
    LETTERS,
    LETTERS_NETWORK,
    PLACES_NETWORK,
    SIDE,
    STRIDE,
    Marker,
    MarkerReader,
    peaks,
)

from .data.table import read_films
from .locator import single_knees
from .networks import markers_net
from .run import steps
from .synthetic import markers as synthetic
from .synthetic.locator_examples import read_knees
from .synthetic.markers import REDUCED, MarkedFilm, backgrounds, marked
from .training import short

RESULT = "markers.json"
KNEES = 400
"""Films are composed from 400 knees."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""A letter may be read from one of these probabilities on. `imaging.markers.SURE` is chosen by the results."""
NEAR = 0.8
"""A letter is found where it is read within 80% of its height, and 6 pixels."""
AT_ONCE = 64
"""Letters are looked for in 64 parts of films at once."""
EVEN_FAINT = 0.1
"""The letters network learns from a place that has at least this probability in the places network."""
JITTER = 5.0
"""A window may be up to five pixels beside the found place."""

READING = short.ShortTraining(epochs=7, batch=64, learning_rate=3e-3, seed=0)
"""The letters network is trained with these settings."""


@dataclass(frozen=True)
class MarkerSettings(short.ShortTraining):
    """These are the options of the places network's training, and of both.

    Attributes:
        films: Films composed for training.
        parts: Parts of these, with markers.
        side: Pixels of such a part.
        reading: The options of the training of the letters network.
        test_films: Films composed to measure on, with markers on one part of each.
    """

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 4e-3
    seed: int = 0
    films: int = 150
    parts: int = 5000
    side: int = 192
    reading: short.ShortTraining = READING
    test_films: int = 80


@dataclass(frozen=True)
class MarkerResult:
    """Says how well markers are read.

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


@dataclass(frozen=True)
class LabelledPlace:
    """A place lies on a part of a film and has the class of the window about it."""

    part: int
    x: float
    y: float
    letter: int


def markers(audit: Path, out: Path, settings: MarkerSettings = MarkerSettings()) -> Path:
    """Train, measure, and write the networks and markers.json to `out`; return it.

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
    if not (out / LETTERS_NETWORK).exists():
        train(backgrounds(knees["train"], "train", settings.films, settings.seed), out, settings)
    composed = backgrounds(knees["val"], "val", settings.test_films, settings.seed)
    steps.write_json(out / RESULT, [asdict(one) for one in measure(out, composed, rng)])
    return out


def train(films: Sequence[np.ndarray], out: Path, settings: MarkerSettings) -> None:
    """Write the places network, and then the letters network, which learns from the places that the first one finds.

    Args:
        films: Composed films without markers.
        out: Where the networks go.
        settings: The options.
    """
    rng = np.random.default_rng([settings.seed, 1])
    drawn = steps.progress(rng.integers(0, len(films), settings.parts), "markers: drawing")
    parts = [marked(films[place], "train", settings.side, rng) for place in drawn]
    wanted = synthetic.places_targets(parts, settings.side)

    def places_batch(rows: np.ndarray, rng: np.random.Generator) -> short.Batch:
        return np.stack([synthetic.places_input(parts[row].pixels, rng) for row in rows]), wanted[rows]

    places_network = short.train(
        markers_net.build_places_network, markers_net.places_loss, settings, len(parts), places_batch, "markers: places"
    )
    places = _places(places_network, parts, rng)
    classes = np.eye(1 + len(LETTERS), dtype=np.float32)

    def letters_batch(rows: np.ndarray, rng: np.random.Generator) -> short.Batch:
        chosen = [places[row] for row in rows]
        beside = rng.uniform(-JITTER, JITTER, (len(rows), 2))
        seen = [
            synthetic.letters_input(parts[one.part], one.x + x, one.y + y, rng)
            for one, (x, y) in zip(chosen, beside, strict=True)
        ]
        return np.stack(seen), classes[[one.letter for one in chosen]]

    letters_network = short.train(
        markers_net.build_letters_network,
        markers_net.letters_loss(),
        replace(settings.reading, seed=settings.seed),
        len(places),
        letters_batch,
        "markers: letters",
    )
    for model, name, write in (
        (places_network, PLACES_NETWORK, markers_net.write_places_network),
        (letters_network, LETTERS_NETWORK, markers_net.write_letters_network),
    ):
        with replacing(out / name) as part:
            write(model, part)


def _places(network: keras.Model, parts: Sequence[MarkedFilm], rng: np.random.Generator) -> list[LabelledPlace]:
    """Return the places from which the letters network learns: those found, those laid, and one at random."""
    made, pitch = [], REDUCED * STRIDE
    starts = range(0, len(parts), AT_ONCE)
    for start in steps.progress(starts, "markers: finding"):
        several = parts[start : start + AT_ONCE]
        probabilities = network.predict_on_batch(np.stack([synthetic.places_input(one.pixels, rng) for one in several]))
        for number, (part, of_part) in enumerate(zip(several, np.asarray(probabilities)[..., 0], strict=True), start):
            found = [((x + 0.5) * pitch, (y + 0.5) * pitch) for x, y in peaks(of_part, EVEN_FAINT)]
            found += [(one.x, one.y) for one in part.laid]
            found.append(tuple(rng.uniform(0, part.pixels.shape[0], 2)))
            classes = [(place, synthetic.seen_letter(part, *place)) for place in found]
            made += [LabelledPlace(number, *place, letter) for place, letter in classes if letter is not None]
    return made


def measure(folder: Path, films: Sequence[np.ndarray], rng: np.random.Generator) -> list[MarkerResult]:
    """Return how well markers are read in the fonts of the validation, by each of THRESHOLDS.

    Args:
        folder: The folder of its networks.
        films: Composed films, each of which is read once, with markers on it.
        rng: Draws the markers.
    """
    reader = MarkerReader(folder=folder, sure=THRESHOLDS[0])
    parts = [marked(film, "val", SIDE, rng) for film in films]
    read = [reader(part.pixels.astype(np.float32)) for part in steps.progress(parts, "markers: measuring")]
    return [_reading(parts, read, sure) for sure in THRESHOLDS]


def _reading(parts: Sequence[MarkedFilm], read: Sequence[Sequence[Marker]], sure: float) -> MarkerResult:
    """Return what was read of markers, counting letters that are at least so probable."""
    letters = found = confused = invented = 0
    for part, every in zip(parts, read, strict=True):
        left = [marker for marker in every if marker.probability >= sure]
        for laid in part.letters:
            near = [one for one in left if np.hypot(one.x - laid.x, one.y - laid.y) <= 6 + NEAR * laid.height]
            found += any(one.letter == laid.letter for one in near)
            confused += any(one.letter != laid.letter for one in near)
            left = [one for one in left if one not in near]
        letters, invented = letters + len(part.letters), invented + len(left)
    return MarkerResult(sure, letters, found, confused, len(parts), invented)
