"""Strips that show two knees under one grade: left out of training and of the headline, and measured apart here."""

from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, FilmError
from kneeoa_hub.evidence import StripEvidence
from kneeoa_hub.imaging.letterbox import letterbox
from kneeoa_hub.imaging.locate import find_knees

from ..data.datasets import Knees, bright_bone
from ..data.sources import FilmReader
from ..data.table import SEVERAL, AuditedFilm, read_films
from .calibration import Calibration, predictions
from .metrics import measure
from .subgroups import predict

FIGURES = ("qwk", "accuracy", "mae")
LEAST = 10
"""Strips under which a figure would be noise."""


def two_knee_strips(
    model: keras.Model, audit: Path, newer: Path, split: str, config: InputConfig, calibration: Calibration
) -> dict[str, StripEvidence]:
    """By DATASET_SPLIT, how the grade of a strip's worse knee agrees with the strip's; none of a dataset with too few.

    model: the uncalibrated ensemble. newer: the audit whose kin count: a strip whose knee another film of training
    shows is left out.
    """
    films, leakage_group = read_films(audit), {(film.dataset, film.file): film.together for film in read_films(newer)}
    trained = {leakage_group[film.dataset, film.file] for film in films if film.trains}
    strips = [
        film
        for film in films
        if film.split == split and film.use == SEVERAL and leakage_group[film.dataset, film.file] not in trained
    ]
    figures = {}
    for dataset in sorted({film.dataset for film in strips}):
        halves = _halves([film for film in strips if film.dataset == dataset], config)
        if len(halves) >= 2 * LEAST:
            answered = predictions(
                predict(model, halves, f"evaluate: strips of two knees, {split}")["probabilities"], halves, calibration
            )
            worse = answered.grade.reshape(-1, 2).argmax(1) + np.arange(0, len(halves), 2)
            figures[f"{dataset}_{split}"] = StripEvidence(**measure(answered.take(worse), names=FIGURES))
    return figures


def _halves(strips: list[AuditedFilm], config: InputConfig) -> Knees:
    """Both knees of every strip, one after the other, each with the strip's grade; of what can't be read or cut in two,
    none.
    """
    fitted, films = [], []
    with FilmReader() as reader:
        for film in strips:
            try:
                pixels = bright_bone(reader, film)
            except (DataError, FilmError):
                continue
            if len(boxes := find_knees(pixels)) == 2:
                fitted += [letterbox(pixels, box, config) for box in boxes]
                films += [film, film]
    shape = (0, config.height, config.width)
    pixels = np.stack([one.pixels for one in fitted]) if fitted else np.empty(shape, np.uint8)
    return Knees(pixels, np.array([one.content for one in fitted], np.int16).reshape(-1, 4), tuple(films))
