"""A simulation from measured trial times shows the hours and machine-hours of a search with 1 to 256 workers.

    python -m benchmarks.search_scaling --data runs/search --out runs/scaling

Measured: the seconds of every trial of a finished search, and here the chief's time for each message of a worker, over
its own gRPC service, with its state on disk growing. Simulated: the workers. They ask Keras Tuner's own oracle, as the
search does, so what Hyperband promotes, and when a worker has to wait for a rung, is decided by the code of the search.
A simulated network has the times and the log loss of one of the measured networks. Assumed: trials take as long beside
each other as alone; in a second scenario, one worker in ten is half as fast.

Writes scaling.json, scaling.md and scaling.png.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import heapq
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kneeoa_hub.errors import DataError
from tuning.run import console, steps

if TYPE_CHECKING:
    from tuning.searching.durable import Durable
    from tuning.searching.settings import SearchSettings

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TUNERS = ("hyperband", "random")
SLOW_EVERY, SLOWNESS = 10, 2.0
"""In the second scenario, one worker of so many takes so many times as long."""
MESSAGES = 3
"""A trial has this many messages: a question for it, its measures, and that it has ended."""
MEASURED_TRIALS = 200
"""The chief's messages are timed during this many trials."""


@dataclass(frozen=True)
class Network:
    """A measured network has the seconds of one epoch, and its log loss by the epochs of its trials."""

    seconds: float
    log_loss: dict[int, float]

    def score(self, epochs: int) -> float:
        """Return the log loss of the measured training whose length is the nearest."""
        return self.log_loss[min(self.log_loss, key=lambda length: abs(length - epochs))]


@dataclass(frozen=True)
class Chief:
    """The chief takes these seconds for a message: at first, and for each trial in its state."""

    first: float
    each: float

    def seconds(self, trials: int) -> float:
        """Return the seconds of one message."""
        return self.first + self.each * trials


@dataclass(frozen=True)
class Run:
    """A run is a simulated search.

    Attributes:
        tuner: What drew the trials.
        workers: Their number.
        slow: Whether some workers are slow.
        hours: Until the last trial has ended.
        machine_hours: Machine hours of all workers until then.
        busy: Proportion of the machine-hours in which trials are trained.
        waiting: Proportion in which workers wait for the end of a rung, or have nothing left.
        talking: Proportion in which workers wait for the chief's answers.
        trials: Number of trials.
    """

    tuner: str
    workers: int
    slow: bool
    hours: float
    machine_hours: float
    busy: float
    waiting: float
    talking: float
    trials: int


def read_networks(path: Path) -> list[Network]:
    """Return the networks of a search's trials.csv. Raises DataError when it can't be used."""
    from tuning.searching.records import OF_FOLDS

    by_choices: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    try:
        with (path / "trials.csv" if path.is_dir() else path).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                names = list(row)
                choices = [name for name in names[names.index("ended") + 1 :] if name not in OF_FOLDS]
                by_choices[tuple(row[name] for name in choices)].append(row)
        return [
            Network(
                sum(float(row["seconds"]) for row in rows) / sum(int(row["epochs"]) for row in rows),
                {int(row["epochs"]): float(row["val_log_loss"]) for row in rows},
            )
            for rows in by_choices.values()
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} has no trials with seconds ({error!r}); give the output of a finished search."
        ) from None


def measure_chief(settings: SearchSettings, trials: int = MEASURED_TRIALS) -> Chief:
    """Time the messages of a worker to a chief on this machine, while its state grows trial by trial."""
    import grpc
    from keras_tuner.src import protos

    from tuning.searching.oracle import oracle_of
    from tuning.searching.space import space_of
    from tuning.searching.workers import LOOPBACK, serving

    service: Any = protos.get_service()
    states: Any = protos.get_proto()
    calls: Any = protos.get_service_grpc()
    oracle = oracle_of(replace(settings, tuner="random", trials=trials), space_of(settings), ())
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        oracle.take_up(Path(folder))
        with serving(oracle, LOOPBACK) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            chief = calls.OracleStub(channel)
            for _ in range(trials):
                began = time.perf_counter()
                trial = chief.CreateTrial(service.CreateTrialRequest(tuner_id="worker")).trial
                chief.UpdateTrial(
                    service.UpdateTrialRequest(trial_id=trial.trial_id, metrics={f"val_{settings.objective}": 1.0})
                )
                trial.status = states.COMPLETED
                chief.EndTrial(service.EndTrialRequest(trial=trial))
                seconds.append((time.perf_counter() - began) / MESSAGES)
    each, first = np.polyfit(np.arange(trials), seconds, 1)
    return Chief(max(0.0, float(first)), max(0.0, float(each)))


def simulate(networks: Sequence[Network], settings: SearchSettings, workers: int, chief: Chief, slow: bool) -> Run:
    """Return what a search of so many workers takes.

    Args:
        networks: The measured ones; a point of the search space is always the same one of them.
        settings: Settings of the search.
        workers: Their number.
        chief: What its messages take.
        slow: Whether one worker of SLOW_EVERY takes SLOWNESS times as long.
    """
    from tuning.searching.tuner import IDLE_S, epochs_of

    oracle = in_memory(settings)
    free, running = list(range(workers)), []
    now = busy = talking = 0.0
    while True:
        # Workers without a trial ask again every IDLE_S seconds; their questions are in the way of each other's. The
        # answer takes at least as long as a closed queue of them allows (Denning and Buzen, Comput. Surv. 1978).
        message = chief.seconds(len(oracle.trials))
        answer = max(message, len(free) * message - IDLE_S)
        while free:
            trial = oracle.create_trial(str(free[-1]))
            if trial.status != "RUNNING":  # the others would hear the same
                break
            worker = free.pop()
            epochs = epochs_of(trial, settings)
            network = _network(networks, trial.hyperparameters.values)
            seconds = network.seconds * epochs * (SLOWNESS if slow and worker % SLOW_EVERY == SLOW_EVERY - 1 else 1.0)
            busy, talking = busy + seconds, talking + MESSAGES * answer
            ends = now + seconds + MESSAGES * answer
            heapq.heappush(running, (ends, worker, trial.trial_id, network.score(epochs)))
        if not running:
            break
        now, worker, name, score = heapq.heappop(running)
        trial = oracle.trials[name]
        oracle.update_trial(name, {f"val_{settings.objective}": score})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        free.append(worker)
    total = now * workers
    return Run(
        settings.tuner,
        workers,
        slow,
        now / 3600,
        total / 3600,
        busy / total,
        max(0.0, 1 - (busy + talking) / total),
        talking / total,
        len(oracle.ended()),
    )


def in_memory(settings: SearchSettings, first: Sequence[dict[str, str]] = ()) -> Durable:
    """Return the oracle of a search, which writes nothing.

    Args:
        settings: The settings of the search.
        first: Points that are tried before any is drawn.
    """
    from tuning.searching.oracle import oracle_of
    from tuning.searching.space import space_of

    oracle: Any = oracle_of(settings, space_of(settings), first)
    oracle.save = lambda: None
    oracle._save_trial = lambda trial: None
    return oracle


def _network(networks: Sequence[Network], values: dict[str, Any]) -> Network:
    """The network that stands for a point; each rung of it has the same one."""
    drawn = json.dumps(sorted((name, value) for name, value in values.items() if not name.startswith("tuner/")))
    return networks[int.from_bytes(hashlib.sha256(drawn.encode()).digest()[:8], "big") % len(networks)]


def planned(settings: SearchSettings) -> list[SearchSettings]:
    """Return the settings of each tuner, so that all plan the same epochs."""
    from tuning.searching.settings import planned_epochs

    trials = round(planned_epochs(replace(settings, tuner="hyperband")) / settings.epochs)
    return [replace(settings, tuner=tuner, trials=trials) for tuner in TUNERS]


def table(runs: Sequence[Run]) -> str:
    """Return the runs as Markdown."""
    lines = [
        "| tuner | workers | hours | times as fast | machine-hours | training | waiting | asking | hours, some slow |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    hours = {(run.tuner, run.workers, run.slow): run.hours for run in runs}
    for run in (run for run in runs if not run.slow):
        faster = hours[run.tuner, min(run.workers for run in runs), False] / run.hours
        lines.append(
            f"| {run.tuner} | {run.workers} | {run.hours:.2f} | {faster:.1f} | {run.machine_hours:.1f} |"
            f" {run.busy:.0%} | {run.waiting:.0%} | {run.talking:.1%} | {hours[run.tuner, run.workers, True]:.2f} |"
        )
    return "\n".join(lines) + "\n"


def plot(runs: Sequence[Run], path: Path) -> None:
    """Draw hours and machine-hours against workers."""
    from tuning.evaluation.plots import DPI, pyplot

    figure, axes = pyplot().subplots(1, 2, figsize=(10, 3.8))
    for number, tuner in enumerate(TUNERS):
        for slow in (False, True):
            mine = [run for run in runs if (run.tuner, run.slow) == (tuner, slow)]
            x, style = [run.workers for run in mine], {"color": f"C{number}", "linestyle": "--" if slow else "-"}
            label = tuner + (f", one worker in {SLOW_EVERY} half as fast" if slow else "")
            axes[0].plot(x, [run.hours for run in mine], label=label, **style)
            axes[1].plot(x, [run.machine_hours for run in mine], label=label, **style)
        alone = next(run for run in runs if run.tuner == tuner)
        axes[0].plot(WORKERS, [alone.hours / count for count in WORKERS], color=f"C{number}", linestyle=":", alpha=0.6)
    for axis, label in zip(axes, ("hours of the search (dotted: no waiting)", "machine-hours"), strict=True):
        axis.set(xscale="log", xlabel="workers", ylabel=label)
        axis.set_xticks(WORKERS, [str(count) for count in WORKERS])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    figure.suptitle("Simulated from measured trial times", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chief, simulate, and write the table and the plot; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of a finished search, or its trials.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=27, help="of the longest simulated trial (default 27)")
    parser.add_argument("--iterations", type=int, default=8, help="of the simulated Hyperband (default 8)")
    given = parser.parse_args(arguments)
    console.prepare()

    def run() -> None:
        with console.quiet_start():
            from tuning.searching.settings import SearchSettings

        networks = read_networks(given.data)
        settings = SearchSettings(epochs=given.epochs, iterations=given.iterations, space="full", named=False)
        chief = measure_chief(settings)
        runs = [
            simulate(networks, mine, workers, chief, slow)
            for mine in planned(settings)
            for slow in (False, True)
            for workers in WORKERS
        ]
        seconds = sorted(network.seconds for network in networks)
        document = {
            "measured": {
                "networks": len(networks),
                "seconds_of_an_epoch": {
                    f"percentile_{at}": float(np.percentile(seconds, at)) for at in (0, 25, 50, 75, 100)
                },
                "chief_seconds_of_a_message": asdict(chief),
            },
            "assumed": {"slow_worker_of": SLOW_EVERY, "times_as_long": SLOWNESS},
            "settings": {"epochs": given.epochs, "iterations": given.iterations},
            "simulated": [asdict(one) for one in runs],
        }
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "scaling.json").write_text(steps.as_json(document), "utf-8")
        (given.out / "scaling.md").write_text(table(runs), "utf-8")
        plot(runs, given.out / "scaling.png")
        print(table(runs))

    return console.exit_code(run)


if __name__ == "__main__":
    raise SystemExit(main())
