"""Random changes of training films keep the grade; a training reads the changed films in batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.frame import network_values
from kneeoa_hub.imaging.letterbox import standardise

from .datasets import Knees

ROTATION, ZOOM, SHIFT, GAMMA = 12.0, 0.15, 0.08, 0.5
"""These are the largest changes at strength 1: degrees, the logarithm of the scale, a fraction of the side, and the
logarithm of the exponent."""
OCCLUDED = 0.1, 0.4
"""An occlusion covers at least the first and at most the second fraction of a side."""
LEVELS = np.linspace(0, 1, 256)
"""These are the gray levels of a film of 8 bits, scaled to 0 to 1."""


def augment(pixels: np.ndarray, content: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a changed copy of a letterboxed film as float32 [H,W], standardised.

    Args:
        pixels: [H,W] uint8.
        content: [4], the box without padding: left, top, right, bottom.
        strength: Strength of the changes, 0 to 1; at 0 half of the films are mirrored, and nothing else changes.
        rng: Random generator of the draws.
    """
    left, top, right, bottom = (int(edge) for edge in content)
    if rng.random() < 0.5:
        pixels, left, right = pixels[:, ::-1], pixels.shape[1] - right, pixels.shape[1] - left
    if not strength:
        return standardise(pixels, (left, top, right, bottom))
    gamma = math.exp(rng.uniform(-GAMMA, GAMMA) * strength)
    exposed = np.rint(255 * LEVELS**gamma).astype(np.uint8)[pixels]
    inside = exposed[top:bottom, left:right]
    mean, deviation = float(inside.mean()), max(float(inside.std()), 1.0)
    return (_moved(exposed, strength, rng, round(mean)) - mean) / deviation


def augment_frame(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a changed copy of a framed film as a network's input, float32 [H,W]; see `augment`.

    Args:
        pixels: The framed film [H,W] uint8.
        strength: The strength of the changes; 0 mirrors only.
        rng: Draws the changes.
    """
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return network_values(_moved(pixels, strength, rng, 0) if strength else pixels)[..., 0]


def _moved(pixels: np.ndarray, strength: float, rng: np.random.Generator, fill: int) -> np.ndarray:
    """Return a film [H,W] turned, scaled and shifted, as float32; what comes in has the gray `fill`."""
    height, width = pixels.shape
    angle = math.radians(rng.uniform(-ROTATION, ROTATION) * strength)
    scale = math.exp(rng.uniform(-ZOOM, ZOOM) * strength)
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2) * strength * (width, height)
    a, b = math.cos(angle) / scale, math.sin(angle) / scale
    cx, cy = width / 2, height / 2
    matrix = (a, b, cx - a * (cx + dx) - b * (cy + dy), -b, a, cy + b * (cx + dx) - a * (cy + dy))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    moved = image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill)
    return np.asarray(moved, np.float32)


@dataclass(frozen=True)
class Mixing:
    """These changes of batches keep a long training from memorising its films; they slow down short trials.

    Attributes:
        mixup: Parameter of the Beta distribution from which the weight of a second film is drawn, whose grade is equal
            or next to it; 0 is none (Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018).
        occlusion: Proportion of the films in which a rectangle is blanked (Zhong et al., "Random erasing", AAAI 2020).
    """

    mixup: float = 0.0
    occlusion: float = 0.0


class TrainingBatches(keras.utils.PyDataset):
    """These batches of images [B,H,W,1] float32 and targets [B,...,5] are shuffled and changed anew in every epoch.

    Call `fit` with shuffle=False: Keras would shuffle the batches again, by a generator that a resumed training
    restarts.
    """

    def __init__(
        self,
        knees: Knees,
        batch: int,
        strength: float,
        seed: int,
        mixing: Mixing = Mixing(),
        targets: np.ndarray | None = None,
        variants: np.ndarray | None = None,
    ):
        """Make the batches of the first epoch.

        Args:
            knees: N films.
            batch: Films of one batch.
            strength: Strength of the random changes, see `augment`.
            seed: Seed of order and changes.
            mixing: Further changes of a long training.
            targets: [N,5] or, by protocol, [N,P,5] probabilities of the grades, in place of the knees' own grades.
            variants: [N,V,H,W] uint8, see `variants.load_variants`; each epoch shows one of each knee.
        """
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self.mixing = mixing
        self.knees, self.batch, self.strength, self.seed, self.epoch = knees, batch, strength, seed, 0
        self.order = np.random.default_rng(seed).permutation(len(knees))
        self.variants = variants
        self.targets = one_hot(knees.grades) if targets is None else targets.astype(np.float32)

    def __len__(self) -> int:
        return max(1, len(self.knees) // self.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        images = np.stack([self._image(row, rng) for row in rows])
        targets = self.targets[rows]
        if self.mixing.occlusion:
            occlude(images, self.mixing.occlusion, rng)
        if self.mixing.mixup:
            images, targets = mix(images, targets, self.mixing.mixup, rng)
        return images[..., None], targets

    def _image(self, row: int, rng: np.random.Generator) -> np.ndarray:
        if self.variants is not None:
            return augment_frame(self.variants[row, int(rng.integers(self.variants.shape[1]))], self.strength, rng)
        if self.knees.framed:
            return augment_frame(self.knees.pixels[row], self.strength, rng)
        return augment(self.knees.pixels[row], self.knees.contents[row], self.strength, rng)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch."""
        self.start_epoch(self.epoch + 1)

    def start_epoch(self, epoch: int) -> None:
        """Set the epoch. Batches depend only on it and the seed, so that a resumed training sees the same ones."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.knees))


def occlude(images: np.ndarray, proportion: float, rng: np.random.Generator) -> None:
    """Blank a rectangle in some of the images, in place; see OCCLUDED for its size.

    Args:
        images: The batch [B,H,W], which is changed.
        proportion: The proportion of the images that is blanked, 0 to 1.
        rng: Draws the images and the rectangles.
    """
    height, width = images.shape[1:]
    for index in np.flatnonzero(rng.random(len(images)) < proportion):
        image = images[index]
        h, w = (max(1, round(side * rng.uniform(*OCCLUDED))) for side in (height, width))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        image[top : top + h, left : left + w] = 0.0


def mix(
    images: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return each image and target mixed with those of another film whose grade is equal or next to it.

    Args:
        images: [B,H,W].
        targets: [B,5] or [B,P,5].
        alpha: Parameter of the Beta distribution of the weights.
        rng: Random generator of the draws.
    """
    grades = (targets.sum(1) if targets.ndim > 2 else targets).argmax(-1)
    near = np.abs(grades[:, None] - grades[None, :]) <= 1
    partners = np.array([rng.choice(np.flatnonzero(row)) for row in near])
    weights = rng.beta(alpha, alpha, len(images)).astype(np.float32)
    weights = np.minimum(weights, 1 - weights)  # the other film counts for half at most
    return (
        images + weights[:, None, None] * (images[partners] - images),
        targets + weights.reshape(-1, *(1,) * (targets.ndim - 1)) * (targets[partners] - targets),
    )


def by_protocol(targets: np.ndarray, datasets: np.ndarray, protocols: Sequence[str]) -> np.ndarray:
    """Return the targets as [N,P,5]: a film has one for the protocol of its dataset, and zeros for the others.

    Args:
        targets: The probability of each grade [N,5].
        datasets: The dataset of each film [N].
        protocols: The P datasets that a classifier exists for.
    """
    own = np.array(protocols)[None] == datasets[:, None]
    return (own[..., None] * targets[:, None]).astype(np.float32)


def one_hot(grades: np.ndarray) -> np.ndarray:
    """Return grades [N] int as targets [N,5] float32."""
    return np.eye(NUM_GRADES, dtype=np.float32)[grades]
