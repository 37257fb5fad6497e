"""The report shows what was measured, as a table and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.evidence import Estimate

from .ranks import Rung
from .replay import Curve

SUFFICIENT_TAU = 0.6
"""A rung with a greater tau puts networks in a useful order."""
OF_SEARCHES = (
    "A search shows the best of its trials on the validation films that chose it, which is low by chance too. A network"
    " designed by hand was trained once, in less time."
)
"""The table ends with this, since it has both."""


@dataclass(frozen=True)
class Worth:
    """This object holds everything that was measured.

    Attributes:
        settings: Settings of the measurement.
        networks: Number of networks in the pool.
        minutes: Minutes of training that each search had.
        curves: Curves of all searches, and of the networks designed by hand.
        gains: For each tuner, how much lower the log loss of its best trial is than that of random draws, over seeds.
        rungs: The rungs, the shortest first.
    """

    settings: dict[str, Any]
    networks: int
    minutes: float
    curves: tuple[Curve, ...]
    gains: dict[str, Estimate]
    rungs: tuple[Rung, ...]


def table(worth: Worth) -> str:
    """Return what was measured as Markdown."""
    seeds = worth.settings["seeds"]
    lines = [
        f"After {worth.minutes:.1f} minutes of training among {worth.networks} networks, mean and range of {seeds}"
        " searches:",
        "",
        "| | log loss of the best trial | its QWK | lower than random draws by (95% interval) |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(curve.name for curve in worth.curves):
        at = [curve.at(worth.minutes) for curve in worth.curves if curve.name == name]
        cells = [_spread([pair[number] for pair in at]) for number in (0, 1)]
        lines.append(f"| {name} | {' | '.join(cells)} | {_interval(worth.gains.get(name), 3)} |")
    lines += ["", OF_SEARCHES]
    head = "| epochs of a rung | minutes of one training | Kendall's tau to the longest rung | to longer trainings |"
    lines += ["", head, "|---|---|---|---|"]
    for rung in worth.rungs:
        cells = f"{rung.minutes:.2f} | {_interval(rung.tau, 2)} | {_interval(rung.tau_full, 2)}"
        lines.append(f"| {rung.epochs} | {cells} |")
    return "\n".join([*lines, "", verdict(worth.rungs), ""])


def verdict(rungs: Sequence[Rung]) -> str:
    """Return which of the rungs, the shortest first, is the first in a useful order.

    The longest one counts where there are longer trainings: its tau to itself is always 1.
    """
    measured = rungs if rungs[-1].tau_full else rungs[:-1]
    enough = [rung.epochs for rung in measured if (rung.tau_full or rung.tau).value > SUFFICIENT_TAU]
    if not enough:
        return f"No {'' if rungs[-1].tau_full else 'shorter '}rung has a tau above {SUFFICIENT_TAU}."
    return f"The cheapest training with a tau above {SUFFICIENT_TAU} has {enough[0]} epochs."


def _interval(estimate: Estimate | None, digits: int) -> str:
    if estimate is None:
        return "-"
    value, low, high = (f"{one:.{digits}f}" for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def plot(worth: Worth, path: Path) -> None:
    """Draw the courses, with the range over seeds, and the networks designed by hand as lines."""
    from tuning.evaluation.plots import DPI, pyplot

    figure, axes = pyplot().subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    grid = np.linspace(0, worth.minutes, 100)
    colours = pyplot().get_cmap("tab10")
    for number, name in enumerate(dict.fromkeys(curve.name for curve in worth.curves)):
        mine = [curve for curve in worth.curves if curve.name == name]
        begun = max(curve.minutes[0] for curve in mine) if len(mine[0].minutes) > 1 else 0.0
        shown = grid[grid >= begun]
        for axis, measure_at in zip(axes, (0, 1), strict=True):
            values = np.array([[curve.at(minutes)[measure_at] for minutes in shown] for curve in mine])
            style = "--" if len(mine[0].minutes) == 1 else "-"
            axis.plot(shown, values.mean(0), style, color=colours(number), label=name)
            axis.fill_between(shown, values.min(0), values.max(0), color=colours(number), alpha=0.15, linewidth=0)
    for axis, label in zip(axes, ("log loss of the best trial", "QWK of that trial"), strict=True):
        axis.set(xlabel="minutes of training", ylabel=label)
        axis.grid(alpha=0.25)
    # Outside: the ranges over seeds fill both plots.
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)
