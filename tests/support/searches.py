"""A search's folder is made without a search: its trials are the architectures that a test gives."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.run import steps

if TYPE_CHECKING:
    from tuning.networks.architecture import Architecture


def write_search(
    folder: Path, audit: Path, architectures: Sequence["Architecture"], teachers: Sequence[str] = ()
) -> Path:
    """Write the folder of a search on an audit whose trials 0000, 0001, ... are these architectures; return it.

    Args:
        folder: The folder of the search.
        audit: The audit.
        architectures: One for each trial.
        teachers: The teacher of each trial, in a search that draws teachers.
    """
    out = steps.begin(folder, "search", str(audit), {"validation_films": 10, "teachers": list(filter(None, teachers))})
    taught = teachers or [""] * len(architectures)
    with (out / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["trial", *asdict(architectures[0]), "teacher"])
        writer.writeheader()
        writer.writerows(
            {"trial": f"{number:04}", **asdict(one), "teacher": taught[number]}
            for number, one in enumerate(architectures)
        )
    best = {"architecture": asdict(architectures[0]), "val_qwk": 0.5, "trials": len(architectures), "tuner": "random"}
    steps.write_json(out / "best.json", {**best, "teacher": taught[0]})
    return out
