"""Plots of the search and of the evidence; matplotlib is loaded when the first is drawn."""

from pathlib import Path
from typing import Any

COLOUR = "#1f5f8b"


def plot_search(trials: list[dict[str, Any]], path: Path) -> None:
    """One panel a choice: each trial's validation kappa, the longest-trained ones largest."""
    pyplot = _pyplot()
    names = [name for name in trials[0] if name not in ("trial", "val_qwk", "epochs", "bracket")]
    names = [name for name in names if len({trial[name] for trial in trials}) > 1] or names[:1]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.4 * columns, 2.9 * rows), squeeze=False, sharey=True)
    longest = max(trial["epochs"] for trial in trials) or 1
    for axis, name in zip(axes.flat, names, strict=False):
        values = sorted({trial[name] for trial in trials}, key=lambda value: (isinstance(value, str), value))
        for trial in trials:
            size = 15 + 60 * trial["epochs"] / longest
            axis.scatter(values.index(trial[name]), trial["val_qwk"], s=size, alpha=0.55, color=COLOUR, linewidths=0)
        axis.set_xticks(range(len(values)), [str(value) or "none" for value in values], rotation=30, ha="right", fontsize=8)
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.grid(alpha=0.25)
    for axis in axes[:, 0]:
        axis.set_ylabel("validation QWK")
    for axis in list(axes.flat)[len(names) :]:
        axis.set_visible(False)
    figure.suptitle("Every trial of the search; larger dots trained longer", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
