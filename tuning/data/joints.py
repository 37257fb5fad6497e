"""A locator finds the joint of each audited film, so that training frames knees as a grader does."""

from collections import defaultdict
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
from .table import NO_JOINT, ONE_JOINT, SEVERAL_KNEES, USABLE, AuditedFilm

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

    A strip that shows one knee by its columns stays where nothing is found: its joint is in the middle. A film that
    shows two is taken where its row names a side and both joints are found.
    """
    located = []
    with FilmReader() as reader:
        for film in steps.progress(films, "audit: locating joints"):
            wanted = film.usable or film.side
            located.append(_located(film, joints(bright_bone(reader, film), locator)) if wanted else film)
    return _told_apart(located)


def joints(pixels: np.ndarray, locator: Locator) -> list[Place]:
    """Return the joints of a film [H,W] with bright bone, from left to right."""
    left, top, right, bottom = without_borders(pixels)
    found = locator.joints(pixels[top:bottom, left:right])
    return [Place(round(one.x + left, 2), round(one.y + top, 2), round(one.side, 2)) for one in found]


def _located(film: AuditedFilm, found: Sequence[Place]) -> AuditedFilm:
    """Return a film with the joint that its grade is of; the right knee is at the left of the picture."""
    film = replace(film, joints=len(found))
    if film.side and len(found) == 2 and found[1].x - found[0].x > abs(found[1].y - found[0].y):
        return replace(film, use=USABLE, joint=found[0] if film.side == "right" else found[1])
    if not film.alone:
        return replace(film, use=SEVERAL_KNEES)
    if found:
        return replace(film, joint=found[0])
    return film if film.width >= TWO_KNEES_FROM * film.height else replace(film, use=NO_JOINT)


def _told_apart(films: Sequence[AuditedFilm]) -> list[AuditedFilm]:
    """Return the films, and leave out rows of both sides that have the same joint: one has the other knee's grade."""
    sides = defaultdict(set)
    for film in films:
        if film.usable:
            sides[film.pixel_sha256, film.joint].add(film.side)
    return [
        replace(film, use=ONE_JOINT, joint=None)
        if film.usable and sides[film.pixel_sha256, film.joint] >= {"left", "right"}
        else film
        for film in films
    ]
