"""The report of a search has these figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.plots import COLOUR, DPI, SECOND_COLOUR, pyplot
from ..training.search_result import Trial
from .importance import Importance, shown, sorted_values, value_of, varied_choices

TITLES = {"log_loss": "validation log loss", "qwk": "validation QWK"}
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
"""A value that stands on the lines of trials has this ground, so that it can be read."""
WIDE = 3.0
"""Times from a shortest one to one of three times as much have even ticks, and others 1, 2 and 5."""


def plot_progress(trials: Sequence[Trial], objective: str, lower: bool, path: Path) -> None:
    """Draw the best trial so far against the minutes of training of all trials together.

    Args:
        trials: Finished trials with their seconds, in the order in which they ended.
        objective: A key of TITLES.
        lower: Whether a lower value is better.
        path: The PNG file to write.
    """
    minutes = np.cumsum([trial.seconds or 0.0 for trial in trials]) / 60
    values = np.array([getattr(trial, f"val_{objective}") for trial in trials])
    best = np.minimum.accumulate(values) if lower else np.maximum.accumulate(values)
    figure, axis = pyplot().subplots(figsize=(6.2, 3.4))
    axis.scatter(minutes, values, s=18, alpha=0.5, color=COLOUR, linewidths=0, label="a trial")
    axis.step(minutes, best, where="post", color=SECOND_COLOUR, label="best so far")
    axis.set(xlabel="minutes of training, all trials together", ylabel=TITLES[objective])
    axis.legend(fontsize=8)
    _save(figure, axis, path)


def plot_choices(trials: Sequence[Trial], objective: str, path: Path) -> None:
    """Draw each trial's result, one panel per choice that varies; larger dots trained longer.

    Args:
        trials: Finished trials.
        objective: A key of TITLES.
        path: The PNG file to write.
    """
    names = [name for name in varied_choices(trials) if name != "epochs"] or ["size"]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = pyplot().subplots(rows, columns, figsize=(3.4 * columns, 2.9 * rows), squeeze=False, sharey=True)
    longest = max(trial.epochs for trial in trials)
    for axis, name in zip(axes.flat, names, strict=False):
        values = sorted_values(trials, name)
        for trial in trials:
            at, size = values.index(value_of(trial, name)), 15 + 60 * trial.epochs / longest
            axis.scatter(at, getattr(trial, f"val_{objective}"), s=size, alpha=0.55, color=COLOUR, linewidths=0)
        axis.set_xticks(range(len(values)), [shown(value) for value in values], rotation=30, ha="right", fontsize=8)
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.grid(alpha=0.25)
    for axis in axes[:, 0]:
        axis.set_ylabel(TITLES[objective])
    for axis in list(axes.flat)[len(names) :]:
        axis.set_visible(False)
    figure.suptitle("Every trial of the search; larger dots trained longer", fontsize=11)
    _save(figure, None, path)


def plot_importance(found: Importance, path: Path) -> None:
    """Draw the importance of each choice, the greatest on top."""
    names, values, deviations = zip(*reversed(found.choices), strict=True)
    figure, axis = pyplot().subplots(figsize=(6.2, 0.8 + 0.27 * len(names)))
    axis.barh([name.replace("_", " ") for name in names], values, xerr=deviations, color=COLOUR, alpha=0.85)
    axis.set_xlabel("growth of the surrogate's mean error")
    _save(figure, axis, path)


def plot_parallel(trials: Sequence[Trial], objective: str, lower: bool, path: Path) -> None:
    """Draw every trial as a line through its values of all choices; a darker line is a better trial.

    Args:
        trials: Finished trials.
        objective: A key of TITLES.
        lower: Whether a lower value is better.
        path: The PNG file to write.
    """
    names = varied_choices(trials) or ["size"]
    results = np.array([getattr(trial, f"val_{objective}") for trial in trials])
    ranks = np.argsort(np.argsort(-results if lower else results)) / max(1, len(trials) - 1)
    figure, axis = pyplot().subplots(figsize=(1.0 * len(names) + 2.5, 4.2))
    colours = pyplot().get_cmap("viridis_r")
    for number, name in enumerate(names):
        values = sorted_values(trials, name)
        for value in values:
            at = (number + 0.03, _height(values, value))
            axis.text(*at, shown(value), fontsize=7, va="center", zorder=4, bbox=BEHIND)
    for trial, rank in sorted(zip(trials, ranks, strict=True), key=lambda pair: pair[1]):
        heights = [_height(sorted_values(trials, name), value_of(trial, name)) for name in names]
        axis.plot(range(len(names)), heights, color=colours(0.2 + 0.8 * rank), alpha=0.35 + 0.55 * rank, linewidth=1.2)
    axis.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=40, ha="right", fontsize=8)
    axis.set_yticks([])
    axis.set_xlim(-0.2, len(names) - 0.2)
    for number in range(len(names)):
        axis.axvline(number, color="gray", linewidth=0.5)
    _save(figure, None, path)


def plot_front(trials: Sequence[Trial], front: Sequence[Trial], objective: str, path: Path) -> None:
    """Draw quality against milliseconds of one film; the area of a dot grows with the bytes of the network.

    Args:
        trials: Finished trials whose cost was measured.
        front: Those of them that no other one beats in quality, time and size together.
        objective: A key of TITLES.
        path: The PNG file to write.
    """
    figure, axis = pyplot().subplots(figsize=(6.2, 3.8))
    largest = max(trial.bytes or 1 for trial in trials)
    for trial in trials:
        colour = SECOND_COLOUR if trial in front else COLOUR
        x, y = trial.milliseconds, trial.result(objective)
        error = getattr(trial, f"{objective}_error" if trial.folds_qwk is None else f"folds_{objective}_error")
        axis.errorbar(x, y, error or 0.0, color=colour, alpha=0.35, linewidth=1)
        axis.scatter(x, y, s=12 + 120 * (trial.bytes or 0) / largest, color=colour, alpha=0.7, linewidths=0)
        if trial in front:
            axis.annotate(trial.trial, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
    title = TITLES[objective] if trials[0].folds_qwk is None else f"{TITLES[objective]}, mean over folds"
    axis.set(xlabel="milliseconds of one film, one thread", ylabel=title, xscale="log")
    _tick_plainly(axis.xaxis, [trial.milliseconds or 0.0 for trial in trials])
    _save(figure, axis, path)


def _tick_plainly(axis: Any, values: Sequence[float]) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, and not as powers of ten."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    wide = max(values) > WIDE * min(values)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _height(values: list[Any], value: Any) -> float:
    return values.index(value) / max(1, len(values) - 1)


def _save(figure: Any, axis: Any, path: Path) -> None:
    if axis is not None:
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)
