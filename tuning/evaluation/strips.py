"""Strips that show two knees under one grade are measured here; no training and no main measure uses them."""

from collections.abc import Sequence
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
from ..data.table import SEVERAL_KNEES, AuditedFilm, read_films
from .calibration import Calibration, calibrated_predictions
from .metrics import measure
from .outputs import predict
from .seen import leakage_groups

LEAST_STRIPS = 10
"""With fewer strips, a measure would be noise."""


def two_knee_strips(
    model: keras.Model, audit: Path, newer: Path, split: str, config: InputConfig, calibration: Calibration
) -> dict[str, StripEvidence]:
    """Return, by DATASET_SPLIT, how the grade of a strip's worse knee agrees with the grade of the strip.

    Empty for an ensemble that frames knees: the rule that cuts a strip in two does not say where the joints are.

    Args:
        model: The uncalibrated ensemble.
        audit: The audit that the networks were trained on.
        newer: The audit whose leakage groups count: a strip is left out whose knee another training film shows.
        split: "val" or "test".
        config: The ensemble's input.
        calibration: What was fitted for grading.
    """
    if config.crop == "frame":
        return {}
    films = read_films(audit)
    groups = leakage_groups(films, read_films(newer))
    trained = {groups[film.dataset, film.file] for film in films if film.trains}
    strips = [
        film
        for film in films
        if film.split == split and film.use == SEVERAL_KNEES and groups[film.dataset, film.file] not in trained
    ]
    found = {}
    for dataset in sorted({film.dataset for film in strips}):
        halves = _halves([film for film in strips if film.dataset == dataset], config)
        if len(halves) >= 2 * LEAST_STRIPS:
            outputs = predict(model, halves, f"evaluate: strips of two knees, {split}")
            predictions = calibrated_predictions(outputs.probabilities, halves, calibration)
            worse = predictions.grade.reshape(-1, 2).argmax(1) + np.arange(0, len(halves), 2)
            found[f"{dataset}_{split}"] = measure(StripEvidence, predictions.take(worse))
    return found


def _halves(strips: Sequence[AuditedFilm], config: InputConfig) -> Knees:
    """Both knees of every strip, one after the other, each with the strip's grade.

    A strip that can't be read or cut in two is left out.
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
