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
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, Locator

from ..run import steps
from .datasets import bright_bone
from .sources import FilmReader
from .table import NO_JOINT, SEVERAL_KNEES, AuditedFilm

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
    """Return the films with the joint of the graded knee, as the locator finds it; others are left out.

    A strip that shows one knee by its columns stays where nothing is found: its joint is in the middle.
    """
    located = []
    with FilmReader() as reader:
        for film in steps.progress(films, "audit: locating joints"):
            located.append(_located(film, joints(bright_bone(reader, film), locator)) if film.usable else film)
    return located


def joints(pixels: np.ndarray, locator: Locator) -> list[Place]:
    """Return the joints of a film [H,W] with bright bone, from left to right."""
    left, top, right, bottom = without_borders(pixels)
    found = locator.joints(pixels[top:bottom, left:right])
    return [Place(round(one.x + left, 2), round(one.y + top, 2), round(one.side, 2)) for one in found]


def _located(film: AuditedFilm, found: Sequence[Place]) -> AuditedFilm:
    """Return a film with the joint that its grade is of; the right knee is at the left of the picture."""
    if not found:
        return film if film.width >= TWO_KNEES_FROM * film.height else replace(film, use=NO_JOINT)
    if len(found) == 1:
        return replace(film, joint=found[0])
    film = replace(film, knees=len(found))
    (first, *_, last) = found
    if film.side and len(found) == 2 and last.x - first.x > abs(last.y - first.y):
        return replace(film, joint=first if film.side == "right" else last)
    return replace(film, use=SEVERAL_KNEES)
