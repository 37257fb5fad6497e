"""Plots of the search and of the evidence; matplotlib is loaded when the first is drawn."""

from pathlib import Path
from typing import Any

from kneeoa_hub.card.sources import title

from ..run.figures import grouped_share

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
        axis.set_xticks(
            range(len(values)), [str(value) or "none" for value in values], rotation=30, ha="right", fontsize=8
        )
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
    figure, axes = pyplot.subplots(1, len(tables), figsize=(3.5 * len(tables), 3.8), squeeze=False)
    for axis, (name, counts) in zip(axes.flat, tables.items(), strict=True):
        shares = counts / counts.sum(1, keepdims=True).clip(1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for truth in range(len(counts)):
            for grade in range(len(counts)):
                ink = "white" if shares[truth, grade] > 0.5 else "black"
                axis.text(grade, truth, counts[truth, grade], ha="center", va="center", fontsize=9, color=ink)
        axis.set(title=title(name), xlabel="graded", ylabel="given", xticks=range(5), yticks=range(5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_calibration(measured: dict[str, Any], path: Path) -> None:
    """One panel a set: share of right answers by confidence, of the likeliest and of the reported grade, in bins of
    equal numbers of films.

    Bars: 95% intervals by bootstrap over patients, as in the card's tables.
    """
    pyplot = _pyplot()
    import numpy as np

    figure, axes = pyplot.subplots(1, len(measured), figsize=(3.3 * len(measured), 3.6), squeeze=False, sharey=True)
    for axis, (name, predictions) in zip(axes.flat, measured.items(), strict=True):
        axis.plot([0, 1], [0, 1], "--", color="gray", linewidth=1, label="perfect")
        likeliest = predictions.probabilities.max(1), predictions.probabilities.argmax(1) == predictions.truth
        reported = predictions.confidence, predictions.grade == predictions.truth
        for label, colour, (confidence, right) in (
            ("likeliest grade", COLOUR, likeliest),
            ("reported grade", "#c2571a", reported),
        ):
            bins = np.array_split(np.argsort(confidence), max(2, min(8, len(confidence) // 25)))
            shares = [grouped_share(right[b], predictions.groups[b]) for b in bins]
            places = [confidence[b].mean() for b in bins]
            axis.errorbar(
                places, *_with_ends(shares), fmt="o-", markersize=4, linewidth=1, capsize=2, color=colour, label=label
            )
        axis.set(xlabel="probability given to the grade", xlim=(0, 1), ylim=(0, 1))
        axis.set_title(f"{title(name)}, {len(predictions.truth)} films", fontsize=10)
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("share right")
    axes[0, 0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_sets(measured: dict[str, Any], covered: dict[str, Any], level: float, path: Path) -> None:
    """One column a set: how many knees of each grade have it in their grade set, and how large the sets are.

    covered: of each set, `metrics.coverages`: what the card's table shows.
    """
    pyplot = _pyplot()
    import numpy as np

    figure, axes = pyplot.subplots(2, len(measured), figsize=(3.3 * len(measured), 5.4), squeeze=False, sharey="row")
    for (above, below), (name, predictions) in zip(axes.T, measured.items(), strict=True):
        above.errorbar(
            [int(grade) for grade in covered[name]],
            *_with_ends(covered[name].values()),
            fmt="o",
            capsize=3,
            color=COLOUR,
        )
        above.axhline(level, linestyle="--", color="gray", linewidth=1)
        above.set(xlabel="given grade", xticks=range(5), ylim=(0, 1.03))
        above.set_title(f"{title(name)}, {len(predictions.truth)} films", fontsize=10)
        counts = np.bincount(predictions.set_size, minlength=6)[1:6]
        below.bar(range(1, 6), counts / counts.sum(), color=COLOUR, alpha=0.8)
        below.set(xlabel="grades in the set", xticks=range(1, 6), ylim=(0, 1))
        for axis in (above, below):
            axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("share of knees with\ntheir grade in the set")
    axes[1, 0].set_ylabel("share of knees")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _with_ends(shares: Any) -> tuple[list[float], list[list[float]]]:
    """Figures of the evidence as matplotlib's error bars take them."""
    return [one.value for one in shares], [
        [one.value - one.low for one in shares],
        [one.high - one.value for one in shares],
    ]


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


def plot_maps(maps: Any, path: Path) -> None:
    """One panel a grade: its mean activation map over the canvas, of `occlusion.mean_maps`; the frame is the joint
    space.
    """
    pyplot = _pyplot()
    left, top, right, bottom = maps.joint
    figure, axes = pyplot.subplots(
        1, len(maps.by_grade), figsize=(2.1 * len(maps.by_grade) + 0.9, 2.9), squeeze=False, layout="constrained"
    )
    for axis, (grade, values) in zip(axes.flat, sorted(maps.by_grade.items()), strict=True):
        axis.imshow(values, cmap="inferno", vmin=0, vmax=1, interpolation="bilinear", extent=(0, 1, 1, 0))
        axis.add_patch(
            pyplot.Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor="white", linestyle="--", linewidth=1
            )
        )
        axis.set(title=f"graded {grade}, {maps.knees[grade]} knees", xticks=[], yticks=[])
        axis.title.set_fontsize(10)
        axis.set_xlabel("lateral - medial", fontsize=8)
    scale = figure.colorbar(axes[0, 0].images[0], ax=list(axes.flat), fraction=0.05, pad=0.02, ticks=(0, 0.5, 1))
    scale.set_label("mean over the knees;\neach map from 0 to 1", fontsize=8)
    scale.ax.tick_params(labelsize=8)
    figure.supxlabel("dashed: the joint space, where the peaks are counted", fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_films(films: Any, maps: Any, captions: list[str], columns: int, title: str, path: Path) -> None:
    """Films [N,H,W] with their activation maps [N,h,w] over them, `columns` in a row."""
    pyplot = _pyplot()
    height, width = films.shape[1:]
    rows = -(-len(films) // columns) or 1
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(2.4 * columns, 2.4 * rows * height / width + 0.35 * rows + 0.4), squeeze=False
    )
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
