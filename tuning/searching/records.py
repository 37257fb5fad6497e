"""A search leaves its trials on disk, whether it has ended or not; they are read here."""

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.hub.pull_push import pull
from kneeoa_hub.typed_json import FieldError, Key, from_json

from ..networks.architecture import Architecture
from ..run import steps
from ..run.content import sha256
from ..run.extensions import loaded_content
from ..training.search_result import Trial
from .durable import ENDED, STATE
from .settings import FACTOR, OBJECTIVES, SearchSettings, trained_epochs
from .space import Space, point_of, space_of
from .state import State, TrialFile

T = TypeVar("T")

COUNTS = ("parameters", "bytes")
"""These measures are whole numbers."""
MEASURES = ("val_log_loss", "log_loss_error", "qwk_error", "milliseconds", "seconds", ENDED, *COUNTS)
"""A trial may lack these measures."""
SPACE = "search space: "
"""This comes before the name of a choice, whose values a search records too."""
TEACHER_BUNDLE = "manifest of the teacher "
"""This comes before the address of a teacher, of whose bundle a search records the fingerprint."""
WITH = "files given by --with"
"""Under this name, a search records the fingerprints of the files that add to its search space."""
OF_FOLDS = ("folds_log_loss", "folds_log_loss_error", "folds_qwk", "folds_qwk_error")
"""Trials that were trained on folds too have these measures."""
EARLIER: dict[str, Any] = {"objective": "qwk", "named": False, "least_epochs": 1}
"""Searches had these options before they recorded them; others that a record lacks had the default of today."""


class DamagedTrial(DataError):
    """A trial.json can't be read, or is not what a search writes."""


@dataclass(frozen=True)
class _Rung:
    """Hyperband adds the epochs of a trial, and the number of its rung in its bracket, to its values."""

    epochs: Annotated[int | None, Key("tuner/epochs")] = None
    number: Annotated[int | None, Key("tuner/round")] = None

    def bracket(self, longest: int) -> int | str:
        """Return the bracket: the rungs before and after this one; "" with another tuner.

        Of a trial that goes on, searches of earlier releases recorded the bracket that was drawn from at that time.

        Args:
            longest: Epochs of the longest rung.
        """
        lengths = [math.ceil(longest / FACTOR**after) for after in range(longest)]
        if self.number is None or self.epochs not in lengths:
            return ""
        return self.number + lengths.index(self.epochs)


def options_of(settings: SearchSettings, space: Space) -> dict[str, Any]:
    """Return the options of a search as its folder records them, and what its teachers and its --with files are.

    The answers of teachers on an accelerator are part of its pack.
    """
    record: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    record |= {f"{SPACE}{name}": [str(value) for value in choices] for name, choices in space.items()}
    record[WITH] = loaded_content()
    teachers = () if settings.accelerated else settings.teachers
    return record | {f"{TEACHER_BUNDLE}{address}": sha256(pull(address) / "manifest.json") for address in teachers}


def as_begun(search: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a search as its folder would record them, which an earlier release may have begun.

    Args:
        search: Its folder, which may be new.
        options: Its options as this release records them.

    Raises:
        DataError: An earlier release began it with another value of an option that it did not record.
    """
    if not (search / steps.RECORD).is_file() or steps.read_record(search)["step"] != "search":
        return options
    before = steps.settings_of(search)
    default = json.loads(json.dumps(asdict(SearchSettings()))) | EARLIER
    default |= {f"{SPACE}{name}": [str(value)] for name, value in asdict(Architecture()).items()}
    for name in options.keys() - before.keys():
        if name == WITH or name.startswith(TEACHER_BUNDLE):  # earlier releases did not record what these were
            continue
        if name not in default or options[name] != default[name]:
            had = f"had {name} {default[name]!r}" if name in default else f"did not have {name}"
            raise DataError(
                f"An earlier release began the search in {search}, and {had}, not {options[name]!r}. Give that value to"
                " go on, or another --out."
            )
    return {name: value for name, value in options.items() if name in before}


def check_worker(search: Path, settings: SearchSettings) -> None:
    """Raise DataError where a worker would not train the trials of its search as another process does.

    It has its options from the folder of the search, but what they stand for from its own release and its own files.

    Args:
        search: The folder.
        settings: The options, as the worker has read them there.
    """
    try:
        differs = steps.difference(
            steps.settings_of(search), as_begun(search, options_of(settings, space_of(settings)))
        )
    except SettingsError as error:  # a value that this process does not know
        differs = error.message.removesuffix(".")
    if differs:
        raise DataError(
            f"This worker would not train what the search in {search} draws ({differs}). Start it from the release of"
            " its chief, and with the same --with before `search`."
        )


def settings_of(search: Path) -> SearchSettings:
    """Return the options of the search in a folder. Raises DataError when it holds another step, or is damaged."""
    record = steps.read_record(search)
    if record["step"] != "search":
        raise DataError(f"{search} holds the step {record['step']!r}; give the --out of `python -m tuning search`.")
    kept = EARLIER | record["settings"]
    names = {field.name for field in fields(SearchSettings)}
    return SearchSettings(**{name: value for name, value in kept.items() if name in names})


def read_trials(tuner: Path, settings: SearchSettings) -> list[Trial]:
    """Return the finished trials that Keras Tuner left on disk, best first.

    Trials that were trained on folds come first, by the mean over these.

    Args:
        tuner: Its folder.
        settings: The options of the search.

    Raises:
        DamagedTrial: A trial.json is damaged.
        DataError: A trial has a choice that this process does not know.
    """
    trials = [_trial(path, kept, settings) for path, kept in _files(tuner) if kept.status == "COMPLETED"]
    return sorted(trials, key=lambda trial: (*_rank(trial, settings.objective), trial.trial))


def _rank(trial: Trial, objective: str) -> tuple[bool, float]:
    sign = -1 if OBJECTIVES[objective] == "max" else 1
    return trial.folds_qwk is None, sign * trial.result(objective)


def all_drawn(tuner: Path) -> bool:
    """Return whether the state of a search says that every trial has been drawn and has ended."""
    with suppress(DataError):
        return steps.typed(State, steps.read_json(tuner / STATE), tuner / STATE).exhausted
    return False


def failed_trials(tuner: Path) -> list[str]:
    """Return the trials that have failed. Raises DataError when a trial.json is damaged."""
    return [kept.trial_id for _, kept in _files(tuner) if kept.status == "FAILED"]


def ended_epochs(tuner: Path, settings: SearchSettings) -> int:
    """Return the epochs, those on folds included, of the trials that have ended, also of those that have failed.

    Args:
        tuner: Keras Tuner's folder.
        settings: The options of the search.

    Raises:
        DataError: A trial.json is damaged.
    """
    found = (
        _typed(_Rung, path, kept.hyperparameters.values).epochs
        for path, kept in _files(tuner)
        if kept.status in ("COMPLETED", "FAILED")
    )
    return sum(trained_epochs(settings.epochs if epochs is None else epochs, settings) for epochs in found)


def _files(tuner: Path) -> list[tuple[Path, TrialFile]]:
    return [(path, _typed(TrialFile, path, _read(path))) for path in sorted(tuner.glob("trial_*/trial.json"))]


def _read(path: Path) -> Any:
    try:
        return steps.read_json(path)
    except DataError:
        raise _damaged(path, "it is not JSON, or can't be read") from None


def _trial(path: Path, kept: TrialFile, settings: SearchSettings) -> Trial:
    latest = {name: one.observations[-1].value[0] for name, one in kept.metrics.metrics.items() if one.observations}
    needed = {"val_qwk", f"val_{settings.objective}"}
    if lacking := sorted(needed - latest.keys()):
        raise _damaged(path, f"it has no {lacking[0]}")
    known = {name: value for name, value in latest.items() if name in {*needed, *MEASURES, *OF_FOLDS}}
    measures: dict[str, Any] = dict.fromkeys(MEASURES) | _typed(dict[str, float], path, known)
    measures |= {name: round(measures[name]) for name in COUNTS if name in known}
    rung = _typed(_Rung, path, kept.hyperparameters.values)
    try:
        point = point_of(kept.hyperparameters.values)
    except ValueError as error:
        raise DataError(
            f"{path}: this process does not know {error}. Give the file that adds it with `python -m tuning --with"
            " FILE`, before the name of the step; or use the release that made the trial."
        ) from None
    return Trial(
        trial=kept.trial_id,
        epochs=settings.epochs if rung.epochs is None else rung.epochs,
        bracket=rung.bracket(settings.epochs),
        architecture=point.architecture,
        teacher=point.teacher,
        recipe=point.recipe,
        **measures,
    )


def _typed(kind: type[T], path: Path, value: Any) -> T:
    try:
        return from_json(kind, value)
    except FieldError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, problem: str) -> DamagedTrial:
    return DamagedTrial(
        f"{path} is damaged ({problem}); give `python -m tuning search` once more as before, which writes it anew from"
        f" {path.parent.parent / 'oracle.json'}."
    )
