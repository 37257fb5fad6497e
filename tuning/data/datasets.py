"""Audited films as arrays: gray, aspect kept, fitted to the input, cached beside the audit."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, FilmError
from kneeoa_hub.files import replacing
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.gate import to_upright
from kneeoa_hub.imaging.letterbox import letterbox, standardise

from ..run import steps
from .exposure import brightness
from .sources import FilmReader
from .table import AuditedFilm, read_films


@dataclass(frozen=True)
class Knees:
    """Knees of one split, one row each.

    pixels: [N,H,W] uint8, letterboxed. contents: [N,4] their content boxes. films: their rows of films.csv.
    """

    pixels: np.ndarray
    contents: np.ndarray
    films: tuple[AuditedFilm, ...]

    def __len__(self) -> int:
        return len(self.films)

    @property
    def grades(self) -> np.ndarray:
        """[N] int."""
        return np.array([film.grade for film in self.films], int)

    @property
    def groups(self) -> np.ndarray:
        """[N] str: what a split or a bootstrap must keep together."""
        return np.array([film.together for film in self.films], str)

    @property
    def datasets(self) -> np.ndarray:
        return np.array([film.dataset for film in self.films], str)

    def take(self, rows: np.ndarray) -> "Knees":
        """The knees of an index or mask [N]."""
        rows = np.arange(len(self))[rows]
        return Knees(self.pixels[rows], self.contents[rows], tuple(self.films[row] for row in rows))

    def of(self, datasets: Collection[str]) -> "Knees":
        """The knees of these datasets; of all when none is named. Raises DataError for one that is not there."""
        if missing := set(datasets) - set(self.datasets):
            raise DataError(
                f"There is no film of {', '.join(sorted(missing))}; choose among"
                f" {', '.join(sorted(set(self.datasets)))}."
            )
        return self.take(self.within(datasets))

    def within(self, datasets: Collection[str]) -> np.ndarray:
        """[N] bool: the rows of these datasets; all when none is named."""
        return np.isin(self.datasets, list(datasets or self.datasets))

    def inputs(self) -> np.ndarray:
        """[N,H,W,1] float32, as `kneeoa_hub` feeds the network."""
        batch = np.empty((*self.pixels.shape, 1), np.float32)
        for row, (pixels, content) in enumerate(zip(self.pixels, self.contents, strict=True)):
            batch[row, ..., 0] = standardise(pixels, tuple(content))
        return batch


def bright_bone(reader: FilmReader, film: AuditedFilm) -> np.ndarray:
    """[H,W] float32: the film's pixels, put right when the audit found its grays inverted, as the gate of a bundle
    would.
    """
    pixels = decode(reader.read(film.source, film.file)).pixels
    return to_upright(pixels, (0, True)) if film.inverted else pixels


def exposures(knees: Knees) -> np.ndarray | None:
    """[N]: mean gray of each film as it was decoded, with bright bone; canvases are stretched by percentiles and don't
    tell it.

    Where an audit did not note it, the films are read again; None when that is no longer possible.
    """
    try:
        with FilmReader() as reader:
            films = [film if film.brightness is not None else _measured(reader, film) for film in knees.films]
    except (DataError, FilmError):
        return None
    return np.array([film.exposure for film in films], float)


def _measured(reader: FilmReader, film: AuditedFilm) -> AuditedFilm:
    return replace(film, brightness=brightness(decode(reader.read(film.source, film.file)).pixels)[0])


def load_knees(audit: Path, split: str, config: InputConfig) -> Knees:
    """The films of a split that the audit lets be used. Raises DataError when there is none."""
    films = tuple(film for film in read_films(audit) if film.split == split and film.use == "yes")
    if not films:
        raise DataError(f"{audit} has no film in the split {split!r}; give more films, or a CSV with that split.")
    crop = "" if config.crop == "fit" else f"-{config.crop}"
    name = f"{split}-{config.height}x{config.width}-{config.low:g}-{config.high:g}{crop}.npz"
    cache = audit / "canvases" / name
    if cache.exists():
        with np.load(cache) as arrays:
            return Knees(arrays["pixels"], arrays["contents"], films)
    pixels = np.empty((len(films), config.height, config.width), np.uint8)
    contents = np.empty((len(films), 4), np.int16)
    with FilmReader() as reader:
        for row, film in enumerate(steps.progress(films, f"load {split} {config.height} px")):
            fitted = letterbox(bright_bone(reader, film), (0, 0, film.width, film.height), config)
            pixels[row], contents[row] = fitted.pixels, fitted.content
    cache.parent.mkdir(exist_ok=True)
    with replacing(cache) as part:
        np.savez(part, pixels=pixels, contents=contents)
    return Knees(pixels, contents, films)


def stratified_subset(knees: Knees, count: int, seed: int = 0) -> Knees:
    """At most `count` knees, the grades in their proportions, the same ones every time."""
    if count >= len(knees):
        return knees
    shuffled = np.random.default_rng(seed).permutation(len(knees))
    grades = knees.grades[shuffled]
    rank = np.empty(len(knees))
    for grade in range(NUM_GRADES):
        mine = np.flatnonzero(grades == grade)
        rank[mine] = (np.arange(len(mine)) + 0.5) / max(len(mine), 1)
    return knees.take(np.sort(shuffled[np.argsort(rank, kind="stable")[:count]]))


def usable_films(audit: Path, split: str) -> dict[str, list[np.ndarray]]:
    """The usable single-knee films of a split, by dataset."""
    rows = [film for film in read_films(audit) if film.split == split and film.use == "yes"]
    if not rows:
        raise DataError(f"{audit} has no film in the split {split!r}; give more films, or a CSV with that split.")
    films: dict[str, list[np.ndarray]] = {}
    with FilmReader() as reader:
        for film in steps.progress(rows, f"gate: load {split}"):
            films.setdefault(film.dataset, []).append(bright_bone(reader, film))
    return films
