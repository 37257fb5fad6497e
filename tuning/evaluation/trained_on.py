"""The films that networks were trained on are compared with those that they are to be measured on."""

from collections.abc import Collection, Iterable

from kneeoa_hub.errors import DataError

from ..data.datasets import Knees
from ..data.table import AuditedFilm


def check_held_out(trained: Collection[str], films: Iterable[AuditedFilm], measured: Iterable[Knees]) -> None:
    """Check film by film that nothing is measured on what was trained on.

    Args:
        trained: sha256 of every film that a network was trained on, in whichever training.
        films: All films of the audit.
        measured: The sets to measure on.

    Raises:
        DataError: A film to measure on, or another film of its knee or patient, was trained on.
    """
    groups = {film.leakage_group for film in films if film.sha256 in trained}
    for knees in measured:
        shown = [film for film in knees.films if film.sha256 in trained or film.leakage_group in groups]
        if shown:
            raise DataError(
                f"{len(shown)} of {len(knees)} films in the split {shown[0].split!r} were trained on, or show a knee or"
                f" patient that was; the first is {shown[0].file}. Train again on this audit, with a new --out."
            )
