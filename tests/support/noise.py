"""Films that show noise."""

import numpy as np

from tuning.data.datasets import Knees
from tuning.data.table import AuditedFilm


def noise_films(count: int, seed: int) -> Knees:
    """Films of 32 pixels per side that show noise, so that a training depends on their order alone."""
    rows = (
        AuditedFilm("noise", "", f"{n}.png", n % 5, str(n), "", "train", "", "", 32, 32, 1, 0, "yes")
        for n in range(count)
    )
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32)).astype(np.uint8)
    return Knees(pixels, np.tile(np.array([0, 0, 32, 32], np.int16), (count, 1)), tuple(rows))
