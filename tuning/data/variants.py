"""Each training film is framed several times with other changes; the variants are made once and kept on disk.

Changing a film costs as much as a training step on two cores, so that a training draws among changes that are there.
"""

import os
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.frame import Place, frame

from ..run import steps
from ..run.content import fingerprint
from .cut import cut_borders
from .datasets import CACHE, Knees, bright_bone, mapped
from .sources import FilmReader
from .variation import gray_bytes, vary

CHANGES = 4
"""This number grows when films are changed in another way, so that variants of an earlier way are made again."""
VARIANTS, PLAIN = 6, 2
"""Each film has VARIANTS copies; the first PLAIN of them differ only in a moved frame. Of the others every second one
is changed twice: several changes come together on real films, and strong changes are rare among single ones."""
MOVED, SCALED = 0.025, 0.05
"""A frame's middle and the logarithm of its side have these deviations, as a locator errs; the first is in sides of the
joint."""
MOST = 3.0
"""A change is at most three of these deviations."""


def load_variants(audit: Path, knees: Knees, config: InputConfig, count: int = VARIANTS, seed: int = 0) -> np.ndarray:
    """Return [N,count,S,S] uint8 of N framed training knees, memory-mapped; make them where they are not kept.

    Args:
        audit: Output folder of the audit, beside whose table they are kept.
        knees: The knees.
        config: The network's input, which frames.
        count: Variants of each knee.
        seed: Seed of the changes.
    """
    made_of = fingerprint(
        [CHANGES, [[film.sha256, film.inverted, film.place.x, film.place.y, film.place.side] for film in knees.films]]
    )
    reach = "" if config.reach == 1 else f"-{config.reach:g}"
    name = f"variants-{config.height}-{config.low:g}-{config.high:g}{reach}-{count}-{seed}-{made_of}.npy"
    path = audit / CACHE / name
    shape = (len(knees), count, config.height, config.width)
    if (kept := mapped(path, np.dtype(np.uint8), shape)) is not None:
        return kept
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        made = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        _reserve(part)
        _fill(made, knees, config, seed)
        made.flush()
    return np.load(path, mmap_mode="r")


def _reserve(path: Path) -> None:
    """Take a file's room on the disk. Raises OSError where there is none: to write to a mapped file on a full disk ends
    the process."""
    if hasattr(os, "posix_fallocate"):  # not on Windows, whose files have their room
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def moved(place: Place, rng: np.random.Generator) -> Place:
    """Return a place off by as much as a locator errs."""
    across, down, larger = np.clip(rng.standard_normal(3), -MOST, MOST)
    x, y = place.x + MOVED * across * place.side, place.y + MOVED * down * place.side
    return Place(x, y, place.side * float(np.exp(SCALED * larger)))


def _fill(made: np.ndarray, knees: Knees, config: InputConfig, seed: int) -> None:
    with FilmReader() as reader:
        for row, film in enumerate(steps.progress(knees.films, f"vary films, {config.height} px")):
            pixels = gray_bytes(bright_bone(reader, film))
            for number in range(made.shape[1]):
                made[row, number] = _variant(
                    pixels, film.place, config, np.random.default_rng([seed, row, number]), number
                )


def _variant(
    pixels: np.ndarray, place: Place, config: InputConfig, rng: np.random.Generator, number: int
) -> np.ndarray:
    if number >= PLAIN:
        varied = vary(pixels, place, rng)
        if (number - PLAIN) % 2:
            varied = vary(varied.pixels, varied.place, rng)
        pixels, place = varied.pixels, varied.place
    pixels, place = cut_borders(pixels, place)
    return frame(pixels, moved(place, rng), config.height, (config.low, config.high), config.reach).pixels
