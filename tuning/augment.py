"""Random changes of training films that leave the grade alone, and the batches that training reads."""

import math

import keras
import numpy as np
from PIL import Image

from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.normalise import standardise

from .datasets import Knees

ROTATION, ZOOM, SHIFT, GAMMA = 12.0, 0.15, 0.08, 0.5
"""At strength 1: degrees; log of the scale; share of the side; log of the exponent."""
LEVELS = np.linspace(0, 1, 256)


def augment(pixels: np.ndarray, content: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A changed copy of one canvas as float32 [H,W], standardised; at strength 0 only mirrored half of the time.

    pixels: uint8 [H,W]; content: its box without the padding; strength: 0 to 1.
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
    height, width = pixels.shape
    angle = math.radians(rng.uniform(-ROTATION, ROTATION) * strength)
    scale = math.exp(rng.uniform(-ZOOM, ZOOM) * strength)
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2) * strength * (width, height)
    a, b = math.cos(angle) / scale, math.sin(angle) / scale
    cx, cy = width / 2, height / 2
    matrix = (a, b, cx - a * (cx + dx) - b * (cy + dy), -b, a, cy + b * (cx + dx) - a * (cy + dy))
    moved = Image.fromarray(exposed).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=round(mean)
    )
    return (np.asarray(moved, np.float32) - mean) / deviation


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled batches of (image [B,H,W,1] float32, one-hot grade [B,5]); every epoch has its own random changes."""

    def __init__(self, knees: Knees, batch: int, strength: float, seed: int):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self.knees, self.batch, self.strength, self.seed, self.epoch = knees, batch, strength, seed, 0
        self.order = np.random.default_rng(seed).permutation(len(knees))
        self.targets = one_hot(knees.grades)

    def __len__(self) -> int:
        return max(1, len(self.knees) // self.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        images = [augment(self.knees.pixels[row], self.knees.contents[row], self.strength, rng) for row in rows]
        return np.stack(images)[..., None], self.targets[rows]

    def on_epoch_end(self) -> None:
        self.start_epoch(self.epoch + 1)

    def start_epoch(self, epoch: int) -> None:
        """Batches depend on seed and epoch alone, so a resumed training sees what an unbroken one would."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.knees))


def one_hot(grades: np.ndarray) -> np.ndarray:
    """[N,5] float32."""
    return np.eye(NUM_GRADES, dtype=np.float32)[grades]
