"""Every step has an output folder that records which step made it, from what, and with which settings."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.files import UNFINISHED, replacing
from kneeoa_hub.typed_json import FieldError, from_json, to_json

from .console import Progress
from .content import CONTENT, check_same, content_of

T = TypeVar("T")
RECORD = "step.json"
"""This file in the output folder of a step records its options and its input."""
RESULTS = {
    "audit": "audit.json",
    "search": "best.json",
    "train": "train.json",
    "locator": "locator.json",
    "gate": "gate.json",
}
"""Later steps need the last file of each step: it is there when the step has finished."""
SEEDS = 2**32
"""NumPy and Keras take the seeds from 0 to one less than this."""


def begin(out: Path, step: str, data: str, settings: dict[str, Any], content: dict[str, str] | None = None) -> Path:
    """Make the output folder and record the step in it; returns it. The same step is resumed where it was stopped.

    Args:
        out: The output folder.
        step: Name of the step.
        data: Output folder of the step before, or "".
        settings: The options of the step, as JSON can hold them.
        content: Fingerprints of an input that no step made; those of `data` are taken from its folder.

    Raises:
        DataError: The folder holds another step, input or settings, or files that no step made; or its input has
            changed since.
        OutputError: The folder can't be written.
    """
    record = {"step": step, "input": str(Path(data).absolute()) if data else "", "settings": settings}
    record["hash"] = hash_of(record)
    if now := content or (input_content(Path(data)) if data else {}):
        record[CONTENT] = now
    new = not out.exists()
    try:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            kept, path = _checked(out, record), out / RECORD
            if not path.is_file() or path.read_text("utf-8", "replace") != as_json(kept):
                write_json(path, kept)
    except OutputError:
        if new and out.is_dir():
            out.rmdir()
        raise
    return out


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn a failure of the file system inside the block into an OutputError that names the output folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{out} can't be written ({error.strerror}); give an --out with room and permission."
        ) from None


def find_input(folder: str | Path, step: str) -> Path:
    """Return the output folder of a step: `folder` itself, or one in the chain of inputs behind it.

    Raises DataError when there is none, or the step has not finished.
    """
    place = Path(folder)
    if not place.exists():
        raise DataError(
            f"There is no folder {folder}; give the --out of `python -m tuning {step}` or of a step after it."
        )
    seen: set[Path] = set()
    while (place / RECORD).is_file() and place.absolute() not in seen:
        seen.add(place.absolute())
        record = read_record(place)
        if record.get("step") == step:
            if not (place / RESULTS[step]).is_file():
                raise DataError(
                    f"{place} has no {RESULTS[step]}: its step {step!r} has not finished. Give `python -m tuning"
                    f" {step}` once more as before."
                )
            return place
        if not record.get("input"):
            break
        source = Path(record["input"])
        check_same(record.get(CONTENT), input_content(source), place, str(source), str(record.get("step")))
        place = source
    raise DataError(
        f"{folder} does not come from the step {step!r}; run `python -m tuning {step}` first and give its --out."
    )


def input_content(folder: Path) -> dict[str, str]:
    """Return the fingerprints, by part, of a step's output folder as the input of the next step."""
    return content_of(folder, read_record(folder)) if (folder / RECORD).is_file() else {}


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the settings of the step that made a folder."""
    return read_record(folder)["settings"]


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a step. Raises DataError for one that no step wrote."""
    record = read_json(folder / RECORD)
    kinds = {"step": str, "input": str, "settings": dict, "hash": str}
    if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
        raise DataError(f"{folder / RECORD} is not what a step of this loop writes; run the step that made it again.")
    return record


def parse_seed(text: str) -> int:
    """Return a seed from text. Raises ValueError for text that is not a seed."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(SEEDS)) and int(text) < SEEDS):
        raise ValueError(f"{text!r} is not a whole number from 0 to {SEEDS - 1}")
    return int(text)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what differs between the settings of a folder and those of this step, by name; "" for nothing."""
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return "; ".join(f"{name} {old.get(name)!r}, not {new.get(name)!r}" for name in changed)


def progress(items: Collection[T], title: str) -> Iterator[T]:
    """Yield the items one by one, and show the progress on standard error."""
    with Progress(title, len(items), note=f"0/{len(items)}") as bar:
        for number, item in enumerate(items, 1):
            yield item
            bar.at(number, f"{number}/{len(items)}")


def read_json(path: Path) -> Any:
    """Return parsed JSON. Raises DataError when the file is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise DataError(
            f"{path} is missing or unreadable: the step that writes it has not finished; run it again."
        ) from None


def typed(kind: type[T], value: Any, source: Path) -> T:
    """Return parsed JSON as a dataclass.

    Args:
        kind: The dataclass.
        value: The parsed JSON.
        source: The file that it comes from, for the error.

    Raises:
        DataError: A field is missing or of another type; the error names it.
    """
    try:
        return from_json(kind, value)
    except FieldError as error:
        raise DataError(f"{source}: {error}; run the step that writes it again.") from None


def write_json(path: Path, document: Any) -> None:
    """Replace a JSON file by a document, which may hold dataclasses; a kill leaves the old file or the new one."""
    with replacing(path) as part:
        part.write_text(as_json(document), "utf-8")


def as_json(document: Any) -> str:
    """Return the text of a JSON file; dataclasses become objects, and NumPy's numbers become numbers."""
    return json.dumps(document, indent=1, default=lambda one: to_json(one) if is_dataclass(one) else float(one)) + "\n"


def hash_of(document: Any) -> str:
    """Return the sha256 of a document as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _checked(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record to write into a folder: the one that is there, where the same step was begun before.

    Raises DataError when the folder holds something that this step did not make. A run that failed before it wrote
    anything but its record is replaced.
    """
    others = [path for path in out.iterdir() if path.name != RECORD and not path.name.startswith(UNFINISHED)]
    if not others:
        return record
    if not (out / RECORD).exists():
        raise DataError(f"{out} is not empty and no step of this loop made it; give another --out.")
    before = read_record(out)
    if before.get("hash") != record["hash"]:
        raise DataError(
            f"{out} holds {before.get('step')!r} made with other input or settings ({_difference(before, record)});"
            " give another --out, or remove it."
        )
    source = record["input"] or ", ".join(map(str, record["settings"].get("data", ())))
    check_same(before.get(CONTENT), record.get(CONTENT, {}), out, source, record["step"])
    return before


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return what differs between the record of a folder and that of this step."""
    if before.get("step") != now["step"]:
        return f"not {now['step']!r}"
    if before.get("input") != now["input"]:
        return f"{before.get('input')}, not {now['input']}"
    return difference(before.get("settings", {}), now["settings"])
