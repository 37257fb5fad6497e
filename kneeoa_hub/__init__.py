"""Kellgren-Lawrence grading of knee radiographs: pretrained weights with one call.

Research use; not a medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import KneeOAError
    from .grader import KneeGrader, from_pretrained
    from .hub.presets import list_pretrained
    from .hub.pull_push import pull, push
    from .report import FilmReport, KneeGrade

__version__ = "0.8.0"
__all__ = ["FilmReport", "KneeGrade", "KneeGrader", "KneeOAError", "from_pretrained", "list_pretrained", "pull", "push"]

_HOME = {
    "FilmReport": "report",
    "KneeGrade": "report",
    "KneeGrader": "grader",
    "KneeOAError": "errors",
    "from_pretrained": "grader",
    "list_pretrained": "hub.presets",
    "pull": "hub.pull_push",
    "push": "hub.pull_push",
}


def __getattr__(name: str) -> Any:
    """Names resolve when first used, so that importing the package loads nothing heavy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
