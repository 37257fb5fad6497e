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


def plot_confusion(tables: dict[str, Any], path: Path) -> None:
    """One panel a set: shares of each true grade's films by the grade that was answered."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(tables), figsize=(3.5 * len(tables), 3.6), squeeze=False)
    for axis, (name, counts) in zip(axes.flat, tables.items(), strict=True):
        shares = counts / counts.sum(1, keepdims=True).clip(1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for truth in range(len(counts)):
            for grade in range(len(counts)):
                ink = "white" if shares[truth, grade] > 0.5 else "black"
                axis.text(grade, truth, counts[truth, grade], ha="center", va="center", fontsize=9, color=ink)
        axis.set(title=name.replace("_", " "), xlabel="graded", ylabel="given", xticks=range(5), yticks=range(5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_calibration(measured: dict[str, Any], path: Path) -> None:
    """Share of right answers by confidence, one line a set, in bins of equal numbers of films."""
    pyplot = _pyplot()
    import numpy as np

    figure, axis = pyplot.subplots(figsize=(4.6, 4.4))
    axis.plot([0, 1], [0, 1], "--", color="gray", linewidth=1, label="perfect")
    for name, answers in measured.items():
        confidence = answers.probabilities.max(1)
        right = answers.probabilities.argmax(1) == answers.truth
        bins = np.array_split(np.argsort(confidence), max(2, min(10, len(confidence) // 20)))
        axis.plot([confidence[b].mean() for b in bins], [right[b].mean() for b in bins], "o-", markersize=4, label=name.replace("_", " "))
    axis.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    axis.legend(fontsize=8)
    axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_history(histories: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Validation kappa by epoch, one line a member."""
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(5.2, 3.4))
    for name, rows in histories.items():
        axis.plot([float(row["val_qwk"]) for row in rows], label=name)
    axis.set(xlabel="epoch", ylabel="validation QWK")
    if histories:
        axis.legend(fontsize=8)
    axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_maps(maps: dict[int, Any], path: Path) -> None:
    """One panel a grade: its mean activation map over the canvas."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(maps), figsize=(2.1 * len(maps), 2.5), squeeze=False)
    for axis, (grade, values) in zip(axes.flat, sorted(maps.items()), strict=True):
        axis.imshow(values, cmap="inferno", vmin=0, vmax=1, interpolation="bilinear")
        axis.set(title=f"graded {grade}", xticks=[], yticks=[])
        axis.set_xlabel("lateral - medial", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_films(films: Any, maps: Any, captions: list[str], columns: int, title: str, path: Path) -> None:
    """Films [N,H,W] with their activation maps [N,h,w] over them, `columns` in a row."""
    pyplot = _pyplot()
    height, width = films.shape[1:]
    rows = -(-len(films) // columns) or 1
    figure, axes = pyplot.subplots(rows, columns, figsize=(2.4 * columns, 2.4 * rows * height / width + 0.35 * rows + 0.4), squeeze=False)
    for axis, film, places, caption in zip(axes.flat, films, maps, captions, strict=False):
        axis.imshow(film, cmap="gray", extent=(0, width, height, 0))
        heat = (places - places.min()) / max(float(places.max() - places.min()), 1e-6)
        axis.imshow(heat, cmap="inferno", alpha=0.5 * heat, extent=(0, width, height, 0), interpolation="bilinear")
        axis.set_title(caption, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
