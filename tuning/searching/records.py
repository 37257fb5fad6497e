"""A search leaves its trials on disk, whether it has ended or not; they are read here."""

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError

from ..networks.architecture import Architecture
from ..run import steps
from ..training.search_result import Trial
from .oracle import ENDED
from .settings import OBJECTIVES, SearchSettings
from .space import point_of

COUNTS = ("parameters", "bytes")
"""These measures are whole numbers."""
SPACE = "search space: "
"""This comes before the name of a choice, whose values a search records too."""
OF_FOLDS = ("folds_log_loss", "folds_log_loss_error", "folds_qwk", "folds_qwk_error")
"""Trials that were trained on folds too have these measures."""
EARLIER: dict[str, Any] = {"objective": "qwk", "named": False, "least_epochs": 1}
"""Searches had these options before they recorded them; others that a record lacks had the default of today."""


def as_begun(search: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a search as its folder would record them, which an earlier release may have begun.

    Args:
        search: Its folder, which may be new.
        options: Its options as this release records them.

    Raises:
        DataError: An earlier release began it with another value of an option that it did not record.
    """
    if not (search / steps.RECORD).is_file() or steps.read_json(search / steps.RECORD).get("step") != "search":
        return options
    before = steps.settings_of(search)
    default = json.loads(json.dumps(asdict(SearchSettings()))) | EARLIER
    default |= {f"{SPACE}{name}": [str(value)] for name, value in asdict(Architecture()).items()}
    for name in options.keys() - before.keys():
        if name not in default or options[name] != default[name]:
            had = f"had {name} {default[name]!r}" if name in default else f"did not have {name}"
            raise DataError(
                f"An earlier release began the search in {search}, and {had}, not {options[name]!r}. Give that value to"
                " go on, or another --out."
            )
    return {name: value for name, value in options.items() if name in before}


def settings_of(search: Path) -> SearchSettings:
    """Return the options of the search in a folder. Raises DataError when it holds another step."""
    record = steps.read_json(search / steps.RECORD)
    if record.get("step") != "search":
        raise DataError(f"{search} holds the step {record.get('step')!r}; give the --out of `python -m tuning search`.")
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
        DataError: A trial.json is damaged.
    """
    trials = [
        _trial(path, state, settings) for path, state in _states(tuner) if _of(path, state, "status") == "COMPLETED"
    ]
    return sorted(trials, key=lambda trial: (*_rank(trial, settings.objective), trial.trial))


def _rank(trial: Trial, objective: str) -> tuple[bool, float]:
    sign = -1 if OBJECTIVES[objective] == "max" else 1
    folds: float | None = getattr(trial, f"folds_{objective}")
    return folds is None, sign * (getattr(trial, f"val_{objective}") if folds is None else folds)


def count_failed(tuner: Path) -> int:
    """Return how many trials have failed. Raises DataError when a trial.json is damaged."""
    return sum(_of(path, state, "status") == "FAILED" for path, state in _states(tuner))


def _states(tuner: Path) -> list[tuple[Path, Any]]:
    return [(path, steps.read_json(path)) for path in sorted(tuner.glob("trial_*/trial.json"))]


def _of(path: Path, state: Any, name: str) -> Any:
    if not isinstance(state, dict) or name not in state:
        raise _damaged(path, f"it has no {name}")
    return state[name]


def _trial(path: Path, state: dict[str, Any], settings: SearchSettings) -> Trial:
    try:
        metrics = {
            name: float(kept["observations"][-1]["value"][0]) for name, kept in state["metrics"]["metrics"].items()
        }
        if not math.isfinite(metrics[f"val_{settings.objective}"]):
            raise ValueError(f"val_{settings.objective} is not a number")
        values = state["hyperparameters"]["values"]
        point = point_of(values)
        measures: dict[str, Any] = {
            name: round(metrics[name]) if name in COUNTS else metrics[name]
            for name in (*MEASURES, *OF_FOLDS)
            if name in metrics
        }
        return Trial(
            trial=str(state["trial_id"]),
            val_qwk=metrics["val_qwk"],
            epochs=int(values.get("tuner/epochs", settings.epochs)),
            bracket=int(values["tuner/bracket"]) if "tuner/bracket" in values else "",
            architecture=point.architecture,
            teacher=point.teacher,
            recipe=point.recipe,
            **dict.fromkeys(MEASURES) | measures,
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, repr(error)) from None


MEASURES = ("val_log_loss", "log_loss_error", "qwk_error", "milliseconds", "seconds", ENDED, *COUNTS)
"""A trial may lack these measures."""


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path} is damaged ({problem}); give `python -m tuning search` once more as before, which writes it anew from"
        f" {path.parent.parent / 'oracle.json'}."
    )
