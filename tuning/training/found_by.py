"""A training keeps the reports of the searches that found its members."""

from pathlib import Path

from ..run import steps
from .members import read_record

FOLDER = "searches"
"""This folder of a training has a folder for each search that found members which joined it, with its report."""
REPORT = "report.md"
"""This file is the report in the folder of a search, and in each folder of `FOLDER`."""


def reports_of(training: Path) -> tuple[Path, ...]:
    """Return the reports of the searches that found a training's members: of its own, then of those that joined.

    A search of an earlier release left no report, and an adapted bundle has none.
    """
    record = read_record(training)
    own = [steps.find_input(training, "search")] if record.best_json_sha256 and not record.base else []
    folders = (*own, *sorted((training / FOLDER).glob("*")))
    return tuple(folder / REPORT for folder in folders if (folder / REPORT).is_file())
