"""Fingerprints of what a step reads of the step before show a later change of it, which is then named."""

import csv
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError

CONTENT = "content"
"""Under this key, the record of a step has the fingerprint of each part of its input. Records of earlier releases have
none, and are not checked."""
READ_BY_LATER_STEPS = {
    "search": ("best.json", "trials.csv"),
    "train": ("train.json", "seen.json", "member-*.weights.h5"),
    "evaluate": ("calibration.json", "evidence.json"),
    "locator": ("locator.json", "locator.onnx"),
    "gate": ("gate.json", "gate.onnx"),
}
TABLE = "films.csv"
TABLE_PARTS = {
    "films": ("dataset", "file", "sha256"),
    "grades": ("dataset", "file", "grade"),
    "splits": ("dataset", "file", "split", "use"),
    "groups": ("dataset", "file", "group", "kin"),
}
"""Each part of an audit is the content of these columns of its table."""


def content_of(folder: Path, record: dict[str, Any]) -> dict[str, str]:
    """Return the fingerprints of a step's output, by part.

    Args:
        folder: Output folder of the step.
        record: Its step.json. What the step was itself made from counts too.
    """
    if record.get("step") == "audit":
        found = _table(folder / TABLE)
    else:
        names = READ_BY_LATER_STEPS.get(str(record.get("step")), ())
        found = {path.name: sha256(path) for name in names for path in sorted(folder.glob(name))}
    return found | ({"the input of that step": fingerprint(record[CONTENT])} if record.get(CONTENT) else {})


def check_same(before: dict[str, str] | None, now: dict[str, str], made: Path, source: str, step: str) -> None:
    """Raise DataError when the input of a step has changed since the step was begun.

    Args:
        before: Fingerprints that the step recorded; None in a record of an earlier release.
        now: Fingerprints of its input as it is now.
        made: Output folder of the step.
        source: Its input, for the error.
        step: Its name.
    """
    if before is None or not now or before == now:
        return
    changed = ", ".join(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))
    raise DataError(
        f"{source} has changed since {made} was made from it ({changed}), so what is there would be mixed with it. Give"
        f" `python -m tuning {step}` a new --out, and go on from that; or bring the old input back."
    )


def fingerprint(document: Any) -> str:
    """Return the first 16 hex digits of the sha256 of a document as JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Return the first 16 hex digits of a file's sha256."""
    state = path.stat()
    return _sha256(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _table(path: Path) -> dict[str, str]:
    """Return the fingerprints of an audit's table; none where it can't be read, which its reader says better."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return {}
    parts = {
        part: fingerprint(sorted([str(row.get(column)) for column in columns] for row in rows))
        for part, columns in TABLE_PARTS.items()
    }
    return {"number of films": str(len(rows)), TABLE: sha256(path)} | parts
