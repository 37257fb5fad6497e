"""Makes synthetic films: single knees, both knees, the named samples, and whole folders to try the loop on."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import FilmError
from ...grades import NUM_GRADES
from ..letterbox import Box
from .anatomy import CROP_MM, attenuation
from .exposure import expose

LEG_MM = 136.0
"""A film of both knees shows tissue of this width of each leg, with air on both sides, in mm."""
FIRST_PATIENT = 900_001
"""The first synthetic patient has this number, which no real collection uses."""
PATIENTS_PER_SEED = 100_000
"""One seed has room for 100,000 patients, so two seeds never give the same patient."""
SPLITS = ("train", "train", "train", "val", "test")
"""The patients of every block of five go to these splits. Each block holds every grade once."""
SAMPLES = {"normal": 5, "doubtful": 9, "mild": 4, "moderate": 2, "severe": 13}
"""The samples of one knee have these seeds, in the order of their grades."""
LEAST_SIDE = 16
"""A film has at least 16 pixels on each side."""


@dataclass(frozen=True)
class Phantom:
    """Holds a synthetic film.

    Attributes:
        pixels: [H,W] uint8 or uint16 with bright bone.
        grades: The Kellgren-Lawrence grade of each knee, from left to right in the picture.
        boxes: The box of each knee.
        sides: The patient's side of each knee, "left" or "right".
        seed: The seed that the film was drawn from.
    """

    pixels: np.ndarray
    grades: tuple[int, ...]
    boxes: tuple[Box, ...]
    sides: tuple[str, ...]
    seed: int


def knee_film(
    grade: int, seed: int, *, side: str = "right", height: int = 224, width: int = 224, bits: int = 8
) -> Phantom:
    """Draw one knee that fills its film, as the crops of a dataset do.

    Args:
        grade: The Kellgren-Lawrence grade, 0 to 4.
        seed: The patient; the same seed gives both knees of one.
        side: The patient's side, "left" or "right".
        height: Rows in pixels.
        width: Columns in pixels.
        bits: 8 or 16.

    Returns:
        The film with its grade, box and side.

    Raises:
        FilmError: The grade, side, size or bit depth cannot be drawn.
    """
    _check((grade,), (side,), height, width, bits)
    shadow, box = attenuation(grade, seed, side, height, width, CROP_MM)
    return Phantom(expose(shadow, seed, width / CROP_MM, bits), (int(grade),), (box,), (side,), int(seed))


def two_knee_film(grades: tuple[int, int], seed: int, *, height: int = 240, width: int = 480, bits: int = 8) -> Phantom:
    """Draw both knees of a patient with air between the legs; the patient's right is at the picture's left.

    Args:
        grades: The Kellgren-Lawrence grades of the right and of the left knee.
        seed: The patient.
        height: Rows in pixels.
        width: Columns in pixels.
        bits: 8 or 16.

    Returns:
        The film with the grades, boxes and sides of its knees.

    Raises:
        FilmError: A grade, the size or the bit depth cannot be drawn.
    """
    sides = ("right", "left")
    _check(grades, sides, height, width, bits)
    cut = width // 2
    right, right_box = attenuation(grades[0], seed, "right", height, cut, LEG_MM)
    left, left_box = attenuation(grades[1], seed, "left", height, width - cut, LEG_MM)
    boxes = (right_box, (left_box[0] + cut, left_box[1], left_box[2] + cut, left_box[3]))
    pixels = expose(np.hstack([right, left]), seed, cut / LEG_MM, bits)
    return Phantom(pixels, (int(grades[0]), int(grades[1])), boxes, sides, int(seed))


def sample_films() -> dict[str, Phantom]:
    """Draw the samples that documentation and demonstrations show, by name.

    They are chosen: the shipped model grades each of them as it was drawn, which it does with half of all phantoms.
    A process draws them once, which takes half a second, and gives a copy of the pixels to each caller.
    """
    return {name: replace(film, pixels=film.pixels.copy()) for name, film in _samples().items()}


@cache
def _samples() -> dict[str, Phantom]:
    films = {
        name: knee_film(grade, seed, side=("right", "left")[grade % 2], height=448, width=448)
        for grade, (name, seed) in enumerate(SAMPLES.items())
    }
    films["both-knees"] = two_knee_film((2, 3), 4, height=400, width=800)
    films["sixteen-bit"] = knee_film(2, 3, height=448, width=448, bits=16)
    return films


def write_films(
    folder: Path,
    count: int,
    seed: int = 0,
    *,
    bits: int = 8,
    progress: Callable[[Collection[int], str], Iterable[int]] | None = None,
) -> None:
    """Write a folder of labelled films, as folder/train/0/900001L.png.

    Grades are balanced. Of the patients 60% are in train, 20% in val and 20% in test, with two films each. From 50
    films on, every split holds every grade.

    Args:
        folder: The folder of the films. It is made if it is missing.
        count: About how many films to write.
        seed: Which patients to draw.
        bits: 8 or 16.
        progress: A function that wraps the patients' numbers under a title, as tqdm does.

    Raises:
        FilmError: The count or seed has no films, or the bit depth cannot be drawn.
    """
    patients = (count + 1) // 2
    if not 1 <= patients < PATIENTS_PER_SEED or seed < 0:
        raise FilmError(
            f"{count} films of seed {seed} were asked for; ask for 1 to {2 * PATIENTS_PER_SEED - 2} films, and for a"
            " seed of 0 or more."
        )
    numbers = range(patients)
    for index in progress(numbers, "synthetic films") if progress else numbers:
        block, grade = divmod(index, NUM_GRADES)
        split = SPLITS[(grade + block) % len(SPLITS)]
        patient = FIRST_PATIENT + seed * PATIENTS_PER_SEED + index
        # In every second block of five patients the other knee has a neighbouring grade, which keeps the balance.
        other = (1, 0, 3, 2, 4)[grade] if block % 2 else grade
        for side, knee_grade in (("left", grade), ("right", other)):
            film = knee_film(knee_grade, patient, side=side, bits=bits)
            path = Path(folder) / split / str(knee_grade) / f"{patient}{side[0].upper()}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(film.pixels).save(path)


def grades_picture(seed: int = 11, size: int = 224) -> Image.Image:
    """Draw the five grades side by side: the same knee and exposure, so that the grade alone differs."""
    films = [knee_film(grade, seed, height=size, width=size).pixels for grade in range(NUM_GRADES)]
    gap = np.full((size, 6), 255, np.uint8)
    return Image.fromarray(np.hstack([part for film in films for part in (gap, film)][1:]))


def _check(grades: Iterable[int], sides: Iterable[str], height: int, width: int, bits: int) -> None:
    for grade in grades:
        if grade not in range(NUM_GRADES):
            raise FilmError(f"grade is {grade!r}; a synthetic film needs a whole number from 0 to {NUM_GRADES - 1}.")
    for side in sides:
        if side not in ("left", "right"):
            raise FilmError(f"side is {side!r}; a synthetic film needs 'left' or 'right'.")
    if bits not in (8, 16):
        raise FilmError(f"bits is {bits!r}; a synthetic film has 8 or 16.")
    if min(height, width) < LEAST_SIDE:
        raise FilmError(
            f"A synthetic film of {width}x{height} px can't be drawn; each side needs {LEAST_SIDE} px or more."
        )
