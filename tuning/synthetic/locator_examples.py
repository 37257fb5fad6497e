"""The locator learns from composed films, crops and phantoms, each with the joints that it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.frame import Place
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, locator_input
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film

from ..data.cut import cut_borders
from ..data.datasets import bright_bone
from ..data.sources import FilmReader
from ..data.table import AuditedFilm
from ..data.variation import vary
from ..networks.locator_net import targets
from ..run import steps
from ..run.arrays import read_arrays, write_arrays
from .compose import TRAINING, Knee, as_knee, compose

PHANTOMS = 15
"""One phantom is shown beside every 15 composed films."""
INVERTED = 0.03
"""The grays of 3% of the crops are inverted, as in some archives."""
FIRST_SEED = 50_000
"""The first phantom has this seed."""
SEEDS_PER_RUN = 1_000_003
"""The seeds of composed films are this far apart between two seeds of the locator, so that none repeats."""


@dataclass(frozen=True)
class Examples:
    """Examples are N films as the locator receives them.

    Attributes:
        images: [N,H,W,1] float16.
        joints: For each film, [K,3]: centre x, centre y and side of each joint's box in pixels of the input.
    """

    images: np.ndarray
    joints: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def save(self, path: Path) -> None:
        """Write the examples to an .npz file."""
        counts = np.array([len(joints) for joints in self.joints])
        write_arrays(path, images=self.images, joints=np.concatenate(self.joints), counts=counts)


def load_examples(path: Path) -> Examples:
    """Return the examples of an .npz file. Raises DataError for a file that is damaged."""
    arrays = read_arrays(path, ("images", "joints", "counts"))
    images, joints, counts = arrays["images"], arrays["joints"], arrays["counts"]
    if counts.dtype.kind not in "iu" or counts.shape != images.shape[:1] or counts.sum() != len(joints):
        raise DataError(f"{path} is damaged; remove it, and it is made again.")
    return Examples(images, tuple(np.split(joints, np.cumsum(counts)[:-1])))


def is_crop(film: AuditedFilm) -> bool:
    """Return whether a film shows one tight joint, and as much of the leg above and below as beside it."""
    return film.alone and film.width < TWO_KNEES_FROM * film.height


def read_knees(films: Sequence[AuditedFilm]) -> list[Knee]:
    """Return crops as `compose` takes them."""
    with FilmReader() as reader:
        return [
            as_knee(bright_bone(reader, film), film.side) for film in steps.progress(films, "locator: reading knees")
        ]


def make_examples(knees: Sequence[Knee], config: InputConfig, films: int, seed: int) -> Examples:
    """Return composed films, as many crops, and phantoms; the same arguments give the same examples.

    Args:
        knees: Knees from which films are composed.
        config: The locator's input.
        films: Number of composed films.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    for number in steps.progress(range(films), "locator: composing"):
        film = compose(knees, TRAINING, seed * SEEDS_PER_RUN + number)
        shown.append((film.pixels, film.joints))
    shown += [
        _crop(knees[index], rng)
        for index in steps.progress(rng.choice(len(knees), films, replace=True), "locator: crops")
    ]
    shown += [_phantom(number, rng) for number in range(films // PHANTOMS)]
    images = np.empty((len(shown), config.height, config.width, 1), np.float16)
    joints = []
    for row, (pixels, of_film) in enumerate(shown):
        images[row], scale, (left, top) = locator_input(pixels, config)
        joints.append(of_film * scale + np.array([left, top, 0], np.float32))
    return Examples(images, tuple(joints))


def varied_batch(
    examples: Examples, rows: np.ndarray, config: InputConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return images [N,H,W,1] float32, mirrored, exposed and blurred by noise at random, and their targets.

    Args:
        examples: The films.
        rows: [N] int, which of them.
        config: The locator's input.
        rng: Random generator of the changes.
    """
    images = examples.images[rows].astype(np.float32)
    joints = [examples.joints[row].copy() for row in rows]
    for number in np.flatnonzero(rng.random(len(rows)) < 0.5):
        images[number] = images[number, :, ::-1]
        joints[number][:, 0] = config.width - joints[number][:, 0]
    images *= rng.uniform(0.75, 1.3, (len(rows), 1, 1, 1))
    images += rng.normal(0, 0.15, (len(rows), 1, 1, 1))
    images += rng.uniform(0, 0.12, (len(rows), 1, 1, 1)) * rng.standard_normal(images.shape, np.float32)
    return images.astype(np.float32), targets(joints, config)


def _crop(knee: Knee, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop changed at random, without its plain borders, and its joint, which may reach beyond the film."""
    side = len(knee.crop)
    varied = vary(np.rint(255 * knee.crop).astype(np.uint8), Place(side / 2, side / 2, side), rng)
    pixels, place = cut_borders(varied.pixels, varied.place)
    if rng.random() < INVERTED:
        pixels = 255 - pixels
    return pixels, np.array([[place.x, place.y, place.side]], np.float32)


def _phantom(number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a phantom of one or of two knees, in turn, and its joints."""
    first, second = (int(grade) for grade in rng.integers(0, 5, 2))
    if number % 2:
        film = knee_film(first, FIRST_SEED + number, side=str(rng.choice(["left", "right"])))
        return film.pixels, np.array([[112, 112, 224]], np.float32)
    film = two_knee_film((first, second), FIRST_SEED + number)
    boxes = np.array(film.boxes, np.float32)
    side = boxes[:, 2] - boxes[:, 0]
    return film.pixels, np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, side], 1)
