"""What every step shares: an output folder that says which step made it, from what, and with which arguments."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from kneeoa_hub.errors import DataError, OutputError

T = TypeVar("T")
RECORD = "step.json"


def progress(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """A progress bar on standard error; tqdm shows none where there is no terminal unless it is slow."""
    from tqdm import tqdm

    return iter(tqdm(items, desc=f"{title:<22}", total=total, file=sys.stderr, mininterval=0.5, ncols=88))


def begin(out: Path, step: str, data: str, settings: dict[str, Any]) -> Path:
    """Make the output folder and record the step in it. Raises DataError when another run is already in it.

    A folder with the same step, input and settings is taken up where it was left.
    """
    record = {"step": step, "input": str(Path(data).absolute()) if data else "", "settings": settings}
    record["hash"] = hash_of(record)
    try:
        out.mkdir(parents=True, exist_ok=True)
        existing = out / RECORD
        if existing.exists():
            before = json.loads(existing.read_text("utf-8"))
            if before.get("hash") != record["hash"]:
                raise DataError(
                    f"{out} holds {before.get('step')!r} made with other input or settings; give another --out, or remove it."
                )
        elif any(out.iterdir()):
            raise DataError(f"{out} is not empty and no step of this loop made it; give another --out.")
        write_json(existing, record)
    except OSError as error:
        raise OutputError(f"{out} can't be written ({error.strerror}); give an --out with room and permission.") from None
    return out


def find_input(folder: str | Path, step: str) -> Path:
    """The output folder of `step`, at `folder` or along the chain of inputs behind it."""
    place = Path(folder)
    while (place / RECORD).is_file():
        record = json.loads((place / RECORD).read_text("utf-8"))
        if record["step"] == step:
            return place
        place = Path(record["input"])
    raise DataError(f"{folder} does not come from the step {step!r}; run `python -m tuning {step}` first and give its --out.")


def settings_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RECORD).read_text("utf-8"))["settings"]


def read_json(path: Path) -> dict[str, Any]:
    """Raises DataError when the step before did not finish."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{path} is missing or unreadable: the step that writes it has not finished; run it again.") from None


def write_json(path: Path, document: Any) -> None:
    """Written beside and renamed, so that a kill leaves the old file or the new one."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(document, indent=1, default=float) + "\n", "utf-8")
    beside.replace(path)


def hash_of(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
