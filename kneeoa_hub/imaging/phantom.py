"""Synthetic frontal knee radiographs: made for trying the whole loop, never for judging a model.

`anatomy` draws them; the Kellgren-Lawrence grade changes what it changes in a knee, and all else comes from the seed.
Run `python -m kneeoa_hub.imaging.phantom --grades-picture OUT.png` for a picture of the five grades.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import FilmError
from ..grades import NUM_GRADES
from .anatomy import CROP_MM, attenuation, exposed
from .letterbox import Box

LEG_MM = 136.0
"""Width of tissue for each leg of a two-knee film: the leg with air on both sides."""
FIRST_PATIENT = 900_001
PATIENTS_PER_SEED = 100_000
SPLITS = ("train", "train", "train", "val", "test")


@dataclass(frozen=True)
class Phantom:
    """A synthetic film. pixels: [H,W] uint8 or uint16, bright bone. `grades`, `boxes` and `sides` (the patient's,
    "left" | "right") hold one entry a knee, left to right in the picture; boxes are (left, top, right, bottom)."""

    pixels: np.ndarray
    grades: tuple[int, ...]
    boxes: tuple[Box, ...]
    sides: tuple[str, ...]
    seed: int


def knee_film(
    grade: int, seed: int, *, side: str = "right", height: int = 224, width: int = 224, bits: int = 8
) -> Phantom:
    """One knee, filling the film as the crops of a dataset do. The same seed gives the two knees of one patient.

    Raises FilmError for a grade outside 0..4, a side that is neither, bits other than 8 and 16, an empty size.
    """
    _check((grade,), (side,), height, width, bits)
    shadow, box = attenuation(grade, seed, side, height, width, CROP_MM)
    return Phantom(exposed(shadow, seed, width / CROP_MM, bits), (int(grade),), (box,), (side,), int(seed))


def two_knee_film(grades: tuple[int, int], seed: int, *, height: int = 240, width: int = 480, bits: int = 8) -> Phantom:
    """Both knees of one patient with air between the legs; the picture's left is the patient's right.

    Raises FilmError as `knee_film` does.
    """
    sides = ("right", "left")
    _check(grades, sides, height, width, bits)
    cut = width // 2
    right, right_box = attenuation(grades[0], seed, "right", height, cut, LEG_MM)
    left, left_box = attenuation(grades[1], seed, "left", height, width - cut, LEG_MM)
    boxes = (right_box, (left_box[0] + cut, left_box[1], left_box[2] + cut, left_box[3]))
    pixels = exposed(np.hstack([right, left]), seed, cut / LEG_MM, bits)
    return Phantom(pixels, (int(grades[0]), int(grades[1])), boxes, sides, int(seed))


def sample_films() -> dict[str, Phantom]:
    """The named films that the documentation and the demonstrations show."""
    films = {
        name: knee_film(grade, 7 + grade, side=("right", "left")[grade % 2], height=448, width=448)
        for grade, name in enumerate(("normal", "doubtful", "mild", "moderate", "severe"))
    }
    films["both-knees"] = two_knee_film((1, 3), 21, height=400, width=800)
    films["sixteen-bit"] = knee_film(2, 16, height=448, width=448, bits=16)
    return films


def write_films(
    folder: Path,
    count: int,
    seed: int = 0,
    *,
    bits: int = 8,
    progress: Callable[[Iterable[int], str], Iterable[int]] | None = None,
) -> None:
    """Write about `count` films, balanced over the grades, as folder/train/0/900001L.png: 60% of the patients in
    train, 20% in val, 20% in test, two films each. From 50 films on every split holds every grade.

    progress(items, title) wraps the patients' numbers, as tqdm does. Raises FilmError for a count that has no
    film or too many for one seed, or for bad bits.
    """
    patients = (count + 1) // 2
    if not 1 <= patients < PATIENTS_PER_SEED or seed < 0:
        raise FilmError(
            f"{count} films of seed {seed} were asked for; ask for 1 to {2 * PATIENTS_PER_SEED - 2}, of a seed of 0 or"
            " more."
        )
    numbers = range(patients)
    for index in progress(numbers, "synthetic films") if progress else numbers:
        block, grade = divmod(index, NUM_GRADES)
        split = SPLITS[(grade + block) % len(SPLITS)]
        patient = FIRST_PATIENT + seed * PATIENTS_PER_SEED + index
        # In every second block of five patients the other knee has a neighbouring grade; balance is kept.
        other = (1, 0, 3, 2, 4)[grade] if block % 2 else grade
        for side, knee_grade in (("left", grade), ("right", other)):
            film = knee_film(knee_grade, patient, side=side, bits=bits)
            path = Path(folder) / split / str(knee_grade) / f"{patient}{side[0].upper()}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(film.pixels).save(path)


def _check(grades: Iterable[int], sides: Iterable[str], height: int, width: int, bits: int) -> None:
    for grade in grades:
        if grade not in range(NUM_GRADES):
            raise FilmError(f"grade is {grade!r}; a synthetic film needs a whole number from 0 to {NUM_GRADES - 1}.")
    for side in sides:
        if side not in ("left", "right"):
            raise FilmError(f"side is {side!r}; a synthetic film needs 'left' or 'right'.")
    if bits not in (8, 16):
        raise FilmError(f"bits is {bits!r}; a synthetic film has 8 or 16.")
    if min(height, width) < 16:
        raise FilmError(f"a synthetic film of {width}x{height} px can't be drawn; each side needs 16 px or more.")


def grades_picture(seed: int = 11, size: int = 224) -> Image.Image:
    """The five grades beside each other: the same knee and exposure, so that the grade alone differs."""
    films = [knee_film(grade, seed, height=size, width=size).pixels for grade in range(NUM_GRADES)]
    gap = np.full((size, 6), 255, np.uint8)
    return Image.fromarray(np.hstack([part for film in films for part in (gap, film)][1:]))


def main() -> None:
    """Write the picture of the grades."""
    parser = argparse.ArgumentParser(description="Synthetic knee radiographs.")
    parser.add_argument("--grades-picture", type=Path, required=True, metavar="OUT.png")
    grades_picture().save(parser.parse_args().grades_picture)


if __name__ == "__main__":
    main()
