"""The plots of the evidence are drawn here; matplotlib is loaded when the first plot is drawn."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.evidence import Estimate, RobustnessEvidence
from kneeoa_hub.sources import collection_title, title

from ..run.estimates import grouped_proportion
from .metrics import Predictions
from .occlusion import MeanMaps

COLOUR, SECOND_COLOUR = "#1f5f8b", "#c2571a"
DPI = 110


def plot_confusion(tables: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw, one panel per set of films, how the knees of each reader's grade are reported.

    Args:
        tables: The [5,5] counts of each set; rows: reader's grade, columns: reported grade.
        path: The PNG file to write.
    """
    plot = pyplot()
    figure, axes = plot.subplots(1, len(tables), figsize=(3.5 * len(tables), 3.8), squeeze=False)
    for axis, (name, counts) in zip(axes.flat, tables.items(), strict=True):
        proportions = counts / counts.sum(1, keepdims=True).clip(1)
        axis.imshow(proportions, cmap="Blues", vmin=0, vmax=1)
        for truth in range(len(counts)):
            for grade in range(len(counts)):
                ink = "white" if proportions[truth, grade] > 0.5 else "black"
                axis.text(grade, truth, counts[truth, grade], ha="center", va="center", fontsize=9, color=ink)
        axis.set(
            title=title(name),
            xlabel="grade of the model",
            ylabel="grade of the reader",
            xticks=range(5),
            yticks=range(5),
        )
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def plot_calibration(sets: Mapping[str, Predictions], path: Path) -> None:
    """Draw, one panel per set of films, how often a grade is right by the probability that it was given.

    Bins hold equal numbers of films. Bars are 95% intervals by bootstrap over leakage groups, as in the card's tables.

    Args:
        sets: The reported predictions of each set.
        path: The PNG file to write.
    """
    plot = pyplot()
    figure, axes = plot.subplots(1, len(sets), figsize=(3.3 * len(sets), 3.6), squeeze=False, sharey=True)
    for axis, (name, predictions) in zip(axes.flat, sets.items(), strict=True):
        axis.plot([0, 1], [0, 1], "--", color="gray", linewidth=1, label="perfect")
        likeliest = predictions.probabilities.max(1), predictions.probabilities.argmax(1) == predictions.truth
        reported = predictions.confidence, predictions.grade == predictions.truth
        for label, colour, (confidence, right) in (
            ("likeliest grade", COLOUR, likeliest),
            ("reported grade", SECOND_COLOUR, reported),
        ):
            bins = np.array_split(np.argsort(confidence), max(2, min(8, len(confidence) // 25)))
            estimates = [grouped_proportion(right[b], predictions.groups[b]) for b in bins]
            x, (y, bars) = [confidence[b].mean() for b in bins], _with_bars(estimates)
            axis.errorbar(x, y, bars, fmt="o-", markersize=4, linewidth=1, capsize=2, color=colour, label=label)
        axis.set(xlabel="probability given to the grade", xlim=(0, 1), ylim=(0, 1))
        axis.set_title(f"{title(name)}, {len(predictions)} films", fontsize=10)
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("proportion right")
    axes[0, 0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def plot_prediction_sets(
    sets: Mapping[str, Predictions], coverages: Mapping[str, Mapping[str, Estimate]], level: float, path: Path
) -> None:
    """Draw, one column per set of films, the coverage of the prediction sets by grade, and their sizes.

    Args:
        sets: The reported predictions of each set of films.
        coverages: The coverage that the card's table shows, by set of films and grade.
        level: The coverage level.
        path: The PNG file to write.
    """
    plot = pyplot()
    figure, axes = plot.subplots(2, len(sets), figsize=(3.3 * len(sets), 5.4), squeeze=False, sharey="row")
    for (above, below), (name, predictions) in zip(axes.T, sets.items(), strict=True):
        y, bars = _with_bars(coverages[name].values())
        above.errorbar([int(grade) for grade in coverages[name]], y, bars, fmt="o", capsize=3, color=COLOUR)
        above.axhline(level, linestyle="--", color="gray", linewidth=1)
        above.set(xlabel="grade of the reader", xticks=range(5), ylim=(0, 1.03))
        above.set_title(f"{title(name)}, {len(predictions)} films", fontsize=10)
        counts = np.bincount(predictions.set_size, minlength=6)[1:6]
        below.bar(range(1, 6), counts / counts.sum(), color=COLOUR, alpha=0.8)
        below.set(xlabel="grades in the set", xticks=range(1, 6), ylim=(0, 1))
        for axis in (above, below):
            axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("proportion of knees\nwith that grade\nin the set")
    axes[1, 0].set_ylabel("proportion of knees")
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def plot_history(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw the validation kappa by epoch, one line per member.

    Args:
        histories: The rows of each member, see `checkpoint.read_history`.
        path: The PNG file to write.
    """
    plot = pyplot()
    figure, axis = plot.subplots(figsize=(5.2, 3.4))
    for name, rows in histories.items():
        axis.plot([float(row["val_qwk"]) for row in rows], label=name)
    axis.set(xlabel="epoch", ylabel="validation QWK")
    if histories:
        axis.legend(fontsize=8)
    axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def plot_maps(maps: MeanMaps, path: Path) -> None:
    """Draw the mean activation map of each reported grade, with the joint space in a dashed frame.

    Args:
        maps: See `occlusion.mean_maps`.
        path: The PNG file to write.
    """
    plot = pyplot()
    left, top, right, bottom = maps.joint
    figure, axes = plot.subplots(
        1, len(maps.by_grade), figsize=(2.1 * len(maps.by_grade) + 0.9, 2.9), squeeze=False, layout="constrained"
    )
    for axis, (grade, values) in zip(axes.flat, sorted(maps.by_grade.items()), strict=True):
        axis.imshow(values, cmap="inferno", vmin=0, vmax=1, interpolation="bilinear", extent=(0, 1, 1, 0))
        axis.add_patch(
            plot.Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor="white", linestyle="--", linewidth=1
            )
        )
        axis.set(title=f"graded {grade}, {maps.knees[grade]} knees", xticks=[], yticks=[])
        axis.title.set_fontsize(10)
        axis.set_xlabel("lateral - medial", fontsize=8)
    scale = figure.colorbar(axes[0, 0].images[0], ax=list(axes.flat), fraction=0.05, pad=0.02, ticks=(0, 0.5, 1))
    scale.set_label("mean over the knees;\neach map from 0 to 1", fontsize=8)
    scale.ax.tick_params(labelsize=8)
    figure.supxlabel("dashed frame: the joint space, where the peaks are counted", fontsize=8)
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def plot_films(
    films: np.ndarray, maps: np.ndarray, captions: Sequence[str], columns: int, title: str, path: Path
) -> None:
    """Draw films with their activation maps over them.

    Args:
        films: [N,H,W] uint8.
        maps: [N,h,w].
        captions: The caption of each film.
        columns: Films in a row.
        title: The title of the sheet.
        path: The PNG file to write.
    """
    plot = pyplot()
    height, width = films.shape[1:]
    rows = -(-len(films) // columns) or 1
    figure, axes = plot.subplots(
        rows, columns, figsize=(2.4 * columns, 2.4 * rows * height / width + 0.35 * rows + 0.4), squeeze=False
    )
    for axis, film, activation_map, caption in zip(axes.flat, films, maps, captions, strict=False):
        axis.imshow(film, cmap="gray", extent=(0, width, height, 0))
        low, high = float(activation_map.min()), float(activation_map.max())
        heatmap = (activation_map - low) / max(high - low, 1e-6)
        extent = (0, width, height, 0)
        axis.imshow(heatmap, cmap="inferno", alpha=0.5 * heatmap, extent=extent, interpolation="bilinear")
        axis.set_title(caption, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def _with_bars(estimates: Iterable[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Return values, and lengths of the error bars below and above, as matplotlib takes them."""
    estimates = list(estimates)
    below = [one.value - one.low for one in estimates]
    above = [one.high - one.value for one in estimates]
    return [one.value for one in estimates], [below, above]


def plot_robustness(evidence: RobustnessEvidence, path: Path) -> None:
    """Draw, by change and collection, how many films keep their grade, the shift of severity and how many are refused.

    Args:
        evidence: The rows of each collection, the first without a change.
        path: The PNG file to write.
    """
    plot = pyplot()
    names = evidence.changes[1:]
    figure, axes = plot.subplots(1, 3, figsize=(10, 1.2 + 0.2 * len(names)), sharey=True)
    panels = {"same": "proportion of same grade", "bias": "shift of severity, grades", "refused": "proportion refused"}
    for axis, (name, heading) in zip(axes, panels.items(), strict=True):
        for number, (collection, rows) in enumerate(evidence.collections.items()):
            colour, offset = (COLOUR, SECOND_COLOUR)[number % 2], 0.3 * number
            found = [(names.index(row.change) + offset, getattr(row, name)) for row in rows[1:]]
            places, estimates = [place for place, _ in found], [estimate for _, estimate in found]
            spread = [(one.low, one.high) for one in estimates]
            axis.hlines(places, *zip(*spread, strict=True), color=colour, alpha=0.35, linewidth=2)
            values, name_of = [one.value for one in estimates], collection_title(collection)
            axis.plot(values, places, "o", color=colour, markersize=3, label=name_of)
        axis.set_title(heading, fontsize=10)
        axis.grid(alpha=0.25)
    axes[1].axvline(0, color="black", linewidth=0.6)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylim(len(names) - 0.3, -0.7)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=9)
    figure.savefig(path, dpi=DPI)
    plot.close(figure)


def pyplot() -> Any:
    """Return matplotlib's module, which draws to files alone."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as loaded

    return loaded
