"""What every step shares: an output folder that says which step made it, from what, and with which arguments."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.files import UNFINISHED, replacing
from kneeoa_hub.typed_json import FieldError, from_json, to_json

from .console import Progress

T = TypeVar("T")
RECORD = "step.json"
RESULTS = {
    "audit": "audit.json",
    "search": "best.json",
    "train": "train.json",
    "locator": "locator.json",
    "gate": "gate.json",
}
"""What each step writes last of what later ones need."""
SEEDS = 2**32
"""Keras takes seeds below it."""


def progress(items: Collection[T], title: str) -> Iterator[T]:
    """The items one by one, with their progress told on standard error."""
    with Progress(title, len(items), note=f"0/{len(items)}") as bar:
        for number, item in enumerate(items, 1):
            yield item
            bar.at(number, f"{number}/{len(items)}")


def begin(out: Path, step: str, data: str, settings: dict[str, Any]) -> Path:
    """Make the output folder and record the step in it. Raises DataError when another run is already in it.

    A folder with the same step, input and settings is taken up where it was left.
    """
    record = {"step": step, "input": str(Path(data).absolute()) if data else "", "settings": settings}
    record["hash"] = hash_of(record)
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        others = [path for path in out.iterdir() if path.name != RECORD and not path.name.startswith(UNFINISHED)]
        if others and not (out / RECORD).exists():
            raise DataError(f"{out} is not empty and no step of this loop made it; give another --out.")
        # A run that failed before it wrote anything stands in nobody's way.
        if others and (before := read_json(out / RECORD)).get("hash") != record["hash"]:
            difference = _difference(before, record)
            raise DataError(
                f"{out} holds {before.get('step')!r} made with other input or settings ({difference}); give another"
                " --out, or remove it."
            )
        write_json(out / RECORD, record)
    except OSError as error:
        if new and out.is_dir():
            out.rmdir()
        raise OutputError(
            f"{out} can't be written ({error.strerror}); give an --out with room and permission."
        ) from None
    return out


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What sets another record apart from this one."""
    if before.get("step") != now["step"]:
        return f"not {now['step']!r}"
    if before.get("input") != now["input"]:
        return f"{before.get('input')}, not {now['input']}"
    old, new = before.get("settings", {}), now["settings"]
    changed = [
        f"{name} {old.get(name)!r}, not {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return "; ".join(changed)


def find_input(folder: str | Path, step: str) -> Path:
    """The output folder of `step`, at `folder` or along the chain of inputs behind it.

    Raises DataError when there is none, or it is not finished.
    """
    place = Path(folder)
    if not place.exists():
        raise DataError(
            f"There is no folder {folder}; give the --out of `python -m tuning {step}` or of a step after it."
        )
    while (place / RECORD).is_file():
        record = read_json(place / RECORD)
        if record.get("step") == step:
            if not (place / RESULTS[step]).is_file():
                raise DataError(
                    f"{place} has no {RESULTS[step]}: its step {step!r} has not finished. Give `python -m tuning"
                    f" {step}` once more as before."
                )
            return place
        if not record.get("input"):
            break
        place = Path(record["input"])
    raise DataError(
        f"{folder} does not come from the step {step!r}; run `python -m tuning {step}` first and give its --out."
    )


def seed_of(text: str) -> int:
    """A seed that a user typed. Raises ValueError for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(SEEDS)) and int(text) < SEEDS):
        raise ValueError(f"{text!r} is not a whole number from 0 to {SEEDS - 1}")
    return int(text)


def settings_of(folder: Path) -> dict[str, Any]:
    return read_json(folder / RECORD)["settings"]


def read_json(path: Path) -> dict[str, Any]:
    """Raises DataError when the step before did not finish."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise DataError(
            f"{path} is missing or unreadable: the step that writes it has not finished; run it again."
        ) from None


def typed(kind: type[T], value: Any, source: Path) -> T:
    """Returns a part of the JSON file `source` as a dataclass. Raises DataError that names the field that is wrong."""
    try:
        return from_json(kind, value)
    except FieldError as error:
        raise DataError(f"{source}: {error}; run the step that writes it again.") from None


def write_json(path: Path, document: Any) -> None:
    """Replace a JSON file; a kill leaves the old file or the new one."""
    with replacing(path) as part:
        part.write_text(as_json(document), "utf-8")


def as_json(document: Any) -> str:
    """Returns the text of a JSON file; dataclasses become objects, and NumPy's numbers become numbers."""
    return json.dumps(document, indent=1, default=lambda one: to_json(one) if is_dataclass(one) else float(one)) + "\n"


def hash_of(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
