"""A locator finds the joint of each audited film, so that training frames knees as a grader does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import LOCATOR, LocatorConfig, read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import FindingEvidence
from kneeoa_hub.hub.pull_push import pull
from kneeoa_hub.imaging.borders import without_borders
from kneeoa_hub.imaging.frame import Place
from kneeoa_hub.imaging.locate import Locator

from ..run import steps
from .datasets import bright_bone
from .sources import FilmReader
from .table import AuditedFilm

RESULT = "locator.json"
"""The step `locator` leaves this file beside its network."""


@dataclass(frozen=True)
class LocatorResult:
    """The file locator.json holds the settings of the locator and its figures."""

    locator: LocatorConfig
    finding: FindingEvidence


def read_result(folder: Path) -> LocatorResult:
    """Return what the step `locator` has left in a folder. Raises DataError for a file that it did not write."""
    return steps.typed(LocatorResult, steps.read_json(folder / RESULT), folder / RESULT)


def open_locator(address: str) -> Locator:
    """Return the locator of a bundle, or of the output folder of the step `locator`.

    Raises DataError when there is none.
    """
    folder = Path(address)
    if (folder / RESULT).is_file():
        return Locator(folder / LOCATOR, read_result(folder).locator)
    bundle = read_bundle(pull(address))
    if bundle.config.locator is None:
        raise DataError(f"{address} has no locator; give the output of `python -m tuning locator`, or a bundle.")
    return Locator(bundle.folder / LOCATOR, bundle.config.locator)


def with_joints(films: Sequence[AuditedFilm], locator: Locator) -> list[AuditedFilm]:
    """Return the films with the joint that the locator finds in each usable one; a film without a find stays."""
    located = []
    with FilmReader() as reader:
        for film in steps.progress(films, "audit: locating joints"):
            place = locate(bright_bone(reader, film), locator) if film.usable else None
            located.append(film if place is None else replace(film, joint=place))
    return located


def locate(pixels: np.ndarray, locator: Locator) -> Place | None:
    """Return the surest joint of a film [H,W] with bright bone, or None where the locator finds none."""
    left, top, right, bottom = without_borders(pixels)
    found = max(locator.joints(pixels[top:bottom, left:right]), key=lambda joint: joint.score, default=None)
    if found is None:
        return None
    return Place(round(found.x + left, 2), round(found.y + top, 2), round(found.side, 2))
