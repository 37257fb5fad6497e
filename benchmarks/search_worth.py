"""What a search is worth: three tuners against each other and against networks designed by hand, on equal compute.

    python -m benchmarks.search_worth --data runs/audit --out runs/worth --seeds 0,1,2 --epochs 9 --full-epochs 40

Three questions are answered on validation films; no test film is used.

1. Curves: Hyperband, Bayesian optimisation and random draws plan as many epochs as each other, with every seed. What
   the best trial so far reaches is drawn against minutes of training. Networks designed by hand have the same length of
   training as a full trial. All are compared after as many minutes as the shortest search took.
2. In full: the best trial of each search, and the networks designed by hand, are trained on all films.
3. Ranks: the same networks, drawn at random, are trained for each length of a rung, and in full. Kendall's tau says
   whether a short training puts them in the order of the full one. Its 95% interval is by bootstrap over networks.

Writes worth.json, worth.md and worth.png. A run that was stopped goes on: every training is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kneeoa_hub.agreement import INTERVAL
from kneeoa_hub.evidence import Estimate
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

if TYPE_CHECKING:
    from tuning.searching.settings import SearchSettings
    from tuning.searching.trial import TrialTrainer

BY_HAND = ("folded", "baseline-2023")
"""Networks of architecture.NAMED that searches are compared with."""
ALL_FILMS = 10**9
BOOTSTRAPS = 1000
SUFFICIENT_TAU = 0.6
"""The tau above which a rung puts networks in a useful order."""


@dataclass(frozen=True)
class Curve:
    """What the best trial so far of one search reaches, after each trial: minutes of training, log loss and kappa."""

    name: str
    seed: int
    minutes: tuple[float, ...]
    log_loss: tuple[float, ...]
    qwk: tuple[float, ...]

    def at(self, minutes: float) -> tuple[float, float]:
        """Return log loss and kappa of the best trial after so many minutes."""
        number = max(0, int(np.searchsorted(self.minutes, minutes, side="right")) - 1)
        return self.log_loss[number], self.qwk[number]


@dataclass(frozen=True)
class Full:
    """One training on all films: what was trained, with which seed, and what it reaches."""

    name: str
    seed: int
    log_loss: float
    qwk: float
    minutes: float


@dataclass(frozen=True)
class Rung:
    """How well trainings of so many epochs order networks: minutes of one, and tau to the order of full ones."""

    epochs: int
    minutes: float
    tau: Estimate


@dataclass(frozen=True)
class Worth:
    """Everything that was measured."""

    settings: dict[str, Any]
    minutes: float
    curves: tuple[Curve, ...]
    full: tuple[Full, ...]
    rungs: tuple[Rung, ...]


class Trainings:
    """Trainings of single points, each kept in a file, so that none is repeated."""

    def __init__(self, audit: Path, folder: Path):
        self.audit, self.folder = audit, folder
        self._trainers: dict[tuple[int, int, int], TrialTrainer] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def train(self, values: dict[str, str], epochs: int, settings: SearchSettings) -> dict[str, float]:
        """Return the measures of a training.

        Args:
            values: Of the point's choices.
            epochs: Epochs to train.
            settings: Which films, and the seed.
        """
        from tuning.searching.trial import TrialTrainer

        kind = settings.films, settings.validation_films, settings.seed
        path = self.folder / f"{steps.hash_of([values, epochs, kind])[:16]}.json"
        if not path.exists():
            if kind not in self._trainers:
                self._trainers = {kind: TrialTrainer(self.audit, replace(settings, epochs=0))}  # no cost is measured
            named = values.get("backbone") or values.get("block")
            print(f"   training: {named}, {epochs} epochs, seed {settings.seed}", flush=True)
            steps.write_json(path, self._trainers[kind].train(values, epochs, ()))
        return json.loads(path.read_text("utf-8"))


def curve_of(name: str, seed: int, search: Path, settings: SearchSettings) -> Curve:
    """Return the course of a finished search, by its objective.

    Args:
        name: Of the tuner.
        seed: Of the search.
        search: Its output folder.
        settings: Its options.
    """
    from tuning.searching.oracle import FOLDER
    from tuning.searching.records import read_trials
    from tuning.searching.settings import OBJECTIVES

    trials = sorted(read_trials(search / FOLDER, settings), key=lambda trial: trial.ended or 0)
    sign = -1 if OBJECTIVES[settings.objective] == "max" else 1
    best = [
        min(trials[: count + 1], key=lambda trial: sign * getattr(trial, f"val_{settings.objective}"))
        for count in range(len(trials))
    ]
    minutes = np.cumsum([trial.seconds or 0.0 for trial in trials]) / 60
    return Curve(
        name,
        seed,
        tuple(minutes.tolist()),
        tuple(float(trial.val_log_loss or 0) for trial in best),
        tuple(trial.val_qwk for trial in best),
    )


def searches(audit: Path, out: Path, settings: SearchSettings, seeds: Sequence[int]) -> list[Curve]:
    """Run every tuner with every seed, as many epochs each, and return their courses.

    Args:
        audit: Output folder of the audit.
        out: Folder of the measurement.
        settings: Of the searches.
        seeds: Of the searches.
    """
    from tuning.search import search
    from tuning.searching.settings import TUNERS, planned_epochs

    trials = max(1, round(planned_epochs(replace(settings, tuner="hyperband")) / settings.epochs))
    curves = []
    for tuner in TUNERS:
        for seed in seeds:
            mine = replace(settings, tuner=tuner, trials=trials, seed=seed, named=False)
            curves.append(curve_of(tuner, seed, search(audit, out / "searches" / f"{tuner}-{seed}", mine), mine))
    return curves


def by_hand(trainings: Trainings, settings: SearchSettings, seeds: Sequence[int]) -> list[Curve]:
    """Train the networks designed by hand as full trials, and return each as a course of one trial.

    Args:
        trainings: What trains them.
        settings: Of the searches.
        seeds: Of the trainings.
    """
    curves = []
    for name in BY_HAND:
        for seed in seeds:
            measures = trainings.train(named_values(name), settings.epochs, replace(settings, seed=seed))
            minutes, log_loss, qwk = (measures[key] for key in ("seconds", "val_log_loss", "val_qwk"))
            curves.append(Curve(name, seed, (minutes / 60,), (log_loss,), (qwk,)))
    return curves


def in_full(trainings: Trainings, out: Path, settings: SearchSettings, epochs: int, seeds: Sequence[int]) -> list[Full]:
    """Train the best trial of each search, and the networks designed by hand, on all films.

    Args:
        trainings: What trains them.
        out: Folder of the measurement.
        settings: Of the searches.
        epochs: Of a full training.
        seeds: Of the searches and trainings.
    """
    from tuning.searching.settings import TUNERS
    from tuning.training.search_result import read_result

    found = []
    for seed in seeds:
        points = {name: named_values(name) for name in BY_HAND}
        for tuner in TUNERS:
            best = read_result(out / "searches" / f"{tuner}-{seed}").architecture
            points[tuner] = {choice: str(value) for choice, value in best.items()}
        for name, values in points.items():
            measures = trainings.train(values, epochs, on_all_films(settings, seed))
            found.append(Full(name, seed, measures["val_log_loss"], measures["val_qwk"], measures["seconds"] / 60))
    return found


def ranks(trainings: Trainings, settings: SearchSettings, epochs: int, networks: int) -> list[Rung]:
    """Train the same networks for each length of a rung and in full, and compare their order.

    Args:
        trainings: What trains them.
        settings: Of the searches.
        epochs: Of a full training.
        networks: Their number.
    """
    from tuning.searching.settings import rungs

    points = drawn(settings, networks)
    full = [trainings.train(point, epochs, on_all_films(settings, settings.seed)) for point in points]
    losses = np.array([one["val_log_loss"] for one in full])
    found = []
    for length in sorted({length for _, length in rungs(replace(settings, tuner="hyperband"))}):
        short = [trainings.train(point, length, settings) for point in points]
        minutes = float(np.mean([one["seconds"] for one in short])) / 60
        found.append(Rung(length, minutes, tau(np.array([one["val_log_loss"] for one in short]), losses)))
    return found


def tau(short: np.ndarray, full: np.ndarray) -> Estimate:
    """Return Kendall's tau of two measures [N] of the same networks, with its interval by bootstrap over networks."""
    from scipy.stats import kendalltau

    from tuning.run.estimates import estimate

    rng = np.random.default_rng(0)
    samples = (rng.integers(0, len(full), len(full)) for _ in range(BOOTSTRAPS))
    values = [kendalltau(short[rows], full[rows])[0] for rows in samples if len(set(rows.tolist())) > 1]
    low, high = np.nanpercentile(values, INTERVAL)
    value: Any = kendalltau(short, full)[0]
    return estimate(value, low, high, len(full))


def drawn(settings: SearchSettings, count: int) -> list[dict[str, str]]:
    """Return different points of the search space, drawn at random."""
    from tuning.searching.space import hyperparameters, space_of

    space, rng = space_of(settings), np.random.default_rng(settings.seed)
    points: list[dict[str, str]] = []
    for _ in range(100 * count):
        hp = hyperparameters(space)
        hp.values = {name: str(values[rng.integers(len(values))]) for name, values in space.items()}
        hp.ensure_active_values()
        if hp.values not in points:
            points.append(dict(hp.values))
        if len(points) == count:
            break
    return points


def named_values(name: str) -> dict[str, str]:
    """Return a network designed by hand as values of the choices."""
    from tuning.networks.architecture import NAMED

    return {choice: str(value) for choice, value in asdict(NAMED[name]).items()}


def on_all_films(settings: SearchSettings, seed: int) -> SearchSettings:
    """Return the settings of a full training."""
    return replace(settings, films=ALL_FILMS, validation_films=ALL_FILMS, seed=seed)


def measure(
    audit: Path, out: Path, settings: SearchSettings, seeds: Sequence[int], epochs: int, networks: int
) -> Worth:
    """Answer the three questions; what `out` holds already is not trained again.

    Args:
        audit: Output folder of the audit.
        out: Folder for the searches and trainings.
        settings: Of the searches; the tuner and the seed are set here.
        seeds: Seeds of the searches and trainings.
        epochs: Epochs of a full training.
        networks: Number of networks whose ranks are compared.

    Raises:
        DataError: `out` was begun with other films or settings.
    """
    kept = {**asdict(settings), "seeds": list(seeds), "full_epochs": epochs, "networks": networks}
    steps.begin(out, "search_worth", str(audit), json.loads(json.dumps(kept)))
    trainings = Trainings(audit, out / "trainings")
    curves = [*searches(audit, out, settings, seeds), *by_hand(trainings, settings, seeds)]
    shortest = min(curve.minutes[-1] for curve in curves if curve.name not in BY_HAND)
    full = in_full(trainings, out, settings, epochs, seeds)
    rungs = ranks(trainings, settings, epochs, networks)
    return Worth(kept, shortest, tuple(curves), tuple(full), tuple(rungs))


def table(worth: Worth) -> str:
    """Return what was measured as Markdown."""
    lines = [
        f"After {worth.minutes:.1f} minutes of training, mean and range over {len(worth.settings['seeds'])} seeds:",
        "",
        "| | log loss of the best trial | its QWK | log loss in full | QWK in full |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(curve.name for curve in worth.curves):
        at = [curve.at(worth.minutes) for curve in worth.curves if curve.name == name]
        full = [(one.log_loss, one.qwk) for one in worth.full if one.name == name]
        cells = [_spread([pair[number] for pair in pairs]) for pairs in (at, full) for number in (0, 1)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| epochs of a rung | minutes of one training | Kendall's tau to full trainings |", "|---|---|---|"]
    for rung in worth.rungs:
        interval = f"{rung.tau.value:.2f} ({rung.tau.low:.2f} to {rung.tau.high:.2f})"
        lines.append(f"| {rung.epochs} | {rung.minutes:.2f} | {interval}, {rung.tau.n} networks |")
    enough = [rung.epochs for rung in worth.rungs if rung.tau.value > SUFFICIENT_TAU]
    verdict = f"has {enough[0]} epochs" if enough else "is longer than every rung"
    return "\n".join([*lines, "", f"The cheapest training with a tau above {SUFFICIENT_TAU} {verdict}.", ""])


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "-"


def plot(worth: Worth, path: Path) -> None:
    """Draw the courses, with the range over seeds, and the networks designed by hand as lines."""
    from tuning.evaluation.plots import DPI, pyplot

    figure, axes = pyplot().subplots(1, 2, figsize=(10, 3.8))
    grid = np.linspace(0, worth.minutes, 100)
    colours = pyplot().get_cmap("tab10")
    for number, name in enumerate(dict.fromkeys(curve.name for curve in worth.curves)):
        mine = [curve for curve in worth.curves if curve.name == name]
        begun = max(curve.minutes[0] for curve in mine) if name not in BY_HAND else 0.0
        shown = grid[grid >= begun]
        for axis, measure_at in zip(axes, (0, 1), strict=True):
            values = np.array([[curve.at(minutes)[measure_at] for minutes in shown] for curve in mine])
            style = "--" if name in BY_HAND else "-"
            axis.plot(shown, values.mean(0), style, color=colours(number), label=name)
            axis.fill_between(shown, values.min(0), values.max(0), color=colours(number), alpha=0.15, linewidth=0)
    for axis, label in zip(axes, ("log loss of the best trial", "QWK of that trial"), strict=True):
        axis.set(xlabel="minutes of training", ylabel=label)
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the table and the plot; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2", help="default 0,1,2")
    parser.add_argument("--epochs", type=int, default=9, help="of the longest trial (default 9)")
    parser.add_argument("--films", type=int, default=2000, help="training films of a trial (default 2000)")
    parser.add_argument("--full-epochs", type=int, default=40, help="of a full training (default 40)")
    parser.add_argument("--networks", type=int, default=12, help="whose ranks are compared (default 12)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME=V1,V2", help="narrow the search space")
    given = parser.parse_args(arguments)
    console.prepare()
    keep_freed_memory()

    def run() -> None:
        with console.quiet_start():
            from tuning.searching.settings import SearchSettings
            from tuning.training.plan import parse_seeds

        only = {name: values.split(",") for name, _, values in (text.partition("=") for text in given.only)}
        settings = SearchSettings(epochs=given.epochs, films=given.films, only=only or None)
        seeds = parse_seeds(given.seeds)
        worth = measure(given.data, given.out, settings, seeds, given.full_epochs, given.networks)
        (given.out / "worth.json").write_text(steps.as_json(worth), "utf-8")
        (given.out / "worth.md").write_text(table(worth), "utf-8")
        plot(worth, given.out / "worth.png")
        print(table(worth))

    return console.exit_code(run)


if __name__ == "__main__":
    raise SystemExit(main())
