"""Audited films become gray arrays in the shape of a network's input, decoded once and kept beside the audit."""

import hashlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, FilmError
from kneeoa_hub.files import replacing
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging import frame
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.frame import Framed
from kneeoa_hub.imaging.gate import to_upright
from kneeoa_hub.imaging.letterbox import Letterboxed, letterbox, standardise
from kneeoa_hub.imaging.locate import clipped

from ..run import steps
from ..run.content import fingerprint
from ..run.folder import with_room
from .cut import cut_borders
from .exposure import brightness
from .sources import FilmReader
from .table import AuditedFilm, read_films

CACHE = "arrays"
"""This folder beside an audit's films.csv holds the films as arrays. The name of a file follows from what it was made
of: FITTING, the films, their joints and the input."""
FITTING = 3
"""This number grows when films are fitted in another way, so that arrays of an earlier way are made again."""


@dataclass(frozen=True)
class Knees:
    """The knees are N audited films of one split, as arrays.

    Attributes:
        pixels: [N,H,W] uint8, letterboxed.
        contents: [N,4] int, the box of each knee's pixels that is not padding: left, top, right, bottom.
        films: Their rows of films.csv.
        framed: Whether they are brought into the frame of `imaging.frame`.
    """

    pixels: np.ndarray
    contents: np.ndarray
    films: tuple[AuditedFilm, ...]
    framed: bool = False

    def __len__(self) -> int:
        return len(self.films)

    @property
    def grades(self) -> np.ndarray:
        """[N] int: the readers' grades."""
        return np.array([film.grade for film in self.films], int)

    @property
    def groups(self) -> np.ndarray:
        """[N] str: the leakage groups, which a bootstrap sample must keep together."""
        return np.array([film.leakage_group for film in self.films], str)

    @property
    def datasets(self) -> np.ndarray:
        """[N] str: the name of each knee's dataset."""
        return np.array([film.dataset for film in self.films], str)

    def take(self, rows: np.ndarray) -> "Knees":
        """Return the knees of an index or mask [N]."""
        rows = np.arange(len(self))[rows]
        return Knees(self.pixels[rows], self.contents[rows], tuple(self.films[row] for row in rows), self.framed)

    def of_datasets(self, names: Collection[str]) -> "Knees":
        """Return the knees of these datasets, or all when none is named. Raises DataError for an unknown dataset."""
        check_datasets(names, set(self.datasets))
        return self.take(self.in_datasets(names))

    def in_datasets(self, names: Collection[str]) -> np.ndarray:
        """Return [N] bool: whether a knee belongs to one of these datasets; all do when none is named."""
        return np.isin(self.datasets, list(names or self.datasets))

    def letterboxed(self) -> list[Letterboxed]:
        """Return the N knees one by one."""
        return [
            Letterboxed(pixels, tuple(content), self.framed)
            for pixels, content in zip(self.pixels, self.contents.tolist(), strict=True)
        ]

    def inputs(self) -> np.ndarray:
        """Return [N,H,W,1] float32, as `kneeoa_hub` feeds the network."""
        if self.framed:
            return frame.network_values(self.pixels)
        batch = np.empty((*self.pixels.shape, 1), np.float32)
        for row, (pixels, content) in enumerate(zip(self.pixels, self.contents, strict=True)):
            batch[row, ..., 0] = standardise(pixels, tuple(content))
        return batch


def check_datasets(names: Collection[str], known: Collection[str]) -> None:
    """Raise DataError when a named dataset is not among those that are known."""
    if missing := set(names) - set(known):
        raise DataError(
            f"There is no film of {', '.join(sorted(missing))}; choose among {', '.join(sorted(set(known)))}."
        )


def load_knees(audit: Path, split: str, config: InputConfig) -> Knees:
    """Return the usable films of a split in the shape of an input; they are made once and kept beside the audit.

    Args:
        audit: Output folder of the audit.
        split: "train", "val" or "test".
        config: The network's input.

    Raises:
        DataError: The split has no usable film, or a film can't be read.
        OutputError: They can't be kept, as on a full disk.
    """
    films = usable_rows(audit, split)
    crop, framed = "" if config.crop == "fit" else f"-{config.crop}", config.crop == "frame"
    reach = "" if config.reach == 1 else f"-{config.reach:g}"
    kind = f"{split}-{config.height}x{config.width}-{config.low:g}-{config.high:g}{crop}{reach}"
    rows = [(film.sha256, film.inverted, *(astuple(film.place) if framed or not film.alone else ())) for film in films]
    made_of = fingerprint([FITTING, rows])
    cache = audit / CACHE / f"{kind}-of-{made_of[:16]}.npy"
    row = np.dtype([("pixels", np.uint8, (config.height, config.width)), ("content", np.int16, 4)])
    if (kept := mapped(cache, row, (len(films),))) is None:
        made = np.empty(len(films), row)
        with FilmReader() as reader:
            for number, film in enumerate(steps.progress(films, f"load {split} {config.height} px")):
                fitted = fitted_knee(bright_bone(reader, film), film, config)
                made[number] = fitted.pixels, fitted.content
        _keep(cache, made, kind)
        kept = made if (again := mapped(cache, row, (len(films),))) is None else again
    return Knees(kept["pixels"], kept["content"], films, framed)


def fitted_knee(pixels: np.ndarray, film: AuditedFilm, config: InputConfig) -> Letterboxed | Framed:
    """Return the knee of a film in the shape of an input: framed at its joint, or the whole film letterboxed.

    Of a film of two knees, the box of the joint is letterboxed. Plain borders are cut off first, as a grader cuts them.

    Args:
        pixels: The film [H,W].
        film: Its row in the audit, with the place of the joint.
        config: The input that the knee has to fit.
    """
    pixels, place = cut_borders(pixels, film.place)
    if config.crop == "frame":
        return frame.frame(pixels, place, config.height, (config.low, config.high), config.reach)
    half = place.side / 2
    box = (0, 0, pixels.shape[1], pixels.shape[0])
    if not film.alone:
        box = clipped((place.x - half, place.y - half, place.x + half, place.y + half), pixels.shape)
    return letterbox(pixels, box, config)


def check_grades(training: np.ndarray, validation: np.ndarray) -> None:
    """Check the grades [N] of training films, and those of validation films.

    Raises DataError where one kind has a single grade: nothing can be learnt, or no network is the better.
    """
    for grades, kind, why in (
        (training, "training", "there is nothing to learn"),
        (validation, "validation", "no kappa can be measured"),
    ):
        if len(set(grades.tolist())) < 2:
            raise DataError(
                f"All {len(grades)} {kind} films have one grade, so {why}; give {kind} films of several grades."
            )


def mapped(cache: Path, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a kept array, memory-mapped, so that processes share it; None where there is none, or it is damaged.

    Args:
        cache: The file.
        kind: The type that its values must have.
        shape: The shape that it must have.
    """
    try:
        kept = np.load(cache, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    return kept if (kept.dtype, kept.shape) == (kind, shape) else None


def _keep(cache: Path, made: np.ndarray, kind: str) -> None:
    """Write films to the cache, in place of those of this kind that an earlier state of the audit had."""
    with with_room(cache.parent):
        cache.parent.mkdir(exist_ok=True)
    with with_room(cache), replacing(cache) as part, part.open("wb") as file:
        np.save(file, made)
    for older in {*cache.parent.glob(f"{kind}-of-*.npy"), cache.with_name(f"{kind}.npz")} - {cache}:
        with suppress(OSError):  # another process may have it open
            older.unlink()


def usable_films(audit: Path, split: str) -> dict[str, list[np.ndarray]]:
    """Return the usable films of a split that show a single knee by dataset, each [H,W] float32 with bright bone.

    Raises DataError when there is none.
    """
    films: dict[str, list[np.ndarray]] = {}
    rows = [film for film in usable_rows(audit, split) if film.alone]
    if not rows:
        raise DataError(f"{audit} has no film of a single knee in the split {split!r}; give films that are cut to one.")
    with FilmReader() as reader:
        for film in steps.progress(rows, f"gate: load {split}"):
            films.setdefault(film.dataset, []).append(bright_bone(reader, film))
    return films


def usable_rows(audit: Path, split: str) -> tuple[AuditedFilm, ...]:
    """Return the rows of a split's usable films. Raises DataError when there is none."""
    films = tuple(film for film in read_films(audit) if film.split == split and film.usable)
    if not films:
        raise DataError(f"{audit} has no film in the split {split!r}; give more films, or a CSV with that split.")
    return films


def bright_bone(reader: FilmReader, film: AuditedFilm) -> np.ndarray:
    """Return a film's pixels [H,W] float32, inverted where the audit found inverted grays, as a bundle's gate does."""
    pixels = decode(_audited_content(reader, film)).pixels
    return to_upright(pixels, (0, True)) if film.inverted else pixels


def _audited_content(reader: FilmReader, film: AuditedFilm) -> bytes:
    """Return the bytes of a film. Raises DataError where they are not those that were audited.

    Its grade, its split and its copies are those of the audited film.
    """
    content = reader.read(film.source, film.file)
    if hashlib.sha256(content).hexdigest() != film.sha256:
        raise DataError(
            f"{film.file} in {film.source} is another film than the one that was audited; bring that one back, or audit"
            " again."
        )
    return content


def exposures(knees: Knees) -> np.ndarray | None:
    """Return [N] the mean gray of each decoded film with bright bone, 0 to 1.

    Letterboxed pixels are stretched by percentiles and no longer show it. Where an audit did not measure it, the films
    are read again; the result is None when that is no longer possible.
    """
    try:
        with FilmReader() as reader:
            films = [film if film.brightness is not None else _measured(reader, film) for film in knees.films]
    except (DataError, FilmError):
        return None
    return np.array([film.exposure for film in films], float)


def stratified_subset(knees: Knees, count: int, seed: int = 0) -> Knees:
    """Return some of the knees, with the grades in their proportions.

    Args:
        knees: The knees to choose from.
        count: The number of knees to keep at most.
        seed: One seed always gives the same knees.
    """
    return knees if count >= len(knees) else knees.take(stratified_rows(knees.grades, count, seed))


def stratified_rows(grades: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the rows of some knees, with the grades in their proportions.

    Args:
        grades: The grades of all knees [N].
        count: The number of knees to keep at most.
        seed: One seed always gives the same knees.
    """
    if count >= len(grades):
        return np.arange(len(grades))
    shuffled = np.random.default_rng(seed).permutation(len(grades))
    rank = np.empty(len(grades))
    for grade in range(NUM_GRADES):
        mine = np.flatnonzero(grades[shuffled] == grade)
        rank[mine] = (np.arange(len(mine)) + 0.5) / max(len(mine), 1)
    return np.sort(shuffled[np.argsort(rank, kind="stable")[:count]])


def _measured(reader: FilmReader, film: AuditedFilm) -> AuditedFilm:
    return replace(film, brightness=brightness(decode(_audited_content(reader, film)).pixels))
