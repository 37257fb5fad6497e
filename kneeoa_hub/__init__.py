"""Grades knee radiographs by the Kellgren-Lawrence scale, with pretrained weights and one call.

This is research software, not a medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dataset import grade_dataset
    from .errors import KneeOAError
    from .grader import KneeGrader
    from .hub.presets import list_pretrained
    from .hub.pull_push import pull, push
    from .knee import KneeGrade
    from .opening import from_pretrained
    from .report import FilmReport

__version__ = "0.14.0"
__all__ = [
    "FilmReport",
    "KneeGrade",
    "KneeGrader",
    "KneeOAError",
    "from_pretrained",
    "grade_dataset",
    "list_pretrained",
    "pull",
    "push",
]

_MODULE_OF = {
    "FilmReport": "report",
    "KneeGrade": "knee",
    "KneeGrader": "grader",
    "KneeOAError": "errors",
    "from_pretrained": "opening",
    "grade_dataset": "dataset.grade",
    "list_pretrained": "hub.presets",
    "pull": "hub.pull_push",
    "push": "hub.pull_push",
}


def __getattr__(name: str) -> Any:
    """Resolve a public name when it is first used, so that importing the package loads nothing heavy."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the public names only, so that notebooks and shells complete them before they are first used."""
    return [*__all__, "__version__"]
