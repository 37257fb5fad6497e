"""The report of a search, of one that still runs too: what it has found, on what it depends, and what it costs."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError

from ..networks.search_space import NAMED
from ..run import steps
from ..training.computation import RECORD, read_choice
from ..training.search_result import FOLDER, RESULT, TRIALS, Trial, write_trials
from . import figures
from .choice import LEAST_GAIN, MOST_MEMBERS, MOST_PARAMETERS, choose
from .failures import FAILED, reason_of
from .importance import LEAST_TRIALS, Importance, importance, shown, value_of, varied_choices
from .live import LOST_S, doing_now, silence_of
from .page import Section, write_page
from .records import all_drawn, ended_epochs, failed_trials, read_trials, settings_of
from .settings import OBJECTIVES, SearchSettings, planned_epochs, planned_trials, rungs, trained_epochs
from .space import named_points, space_of

SHOWN_TRIALS = 15
"""Best trials that the report lists."""
JOINED = " `python -m tuning train --data DIR --architecture none --join DIR --out runs/train` takes them as they are."
OF_VALIDATION = (
    "Folds do not choose the members: an ensemble needs the answers of all trials for the same films, and those for the"
    " validation films are kept. The figures of single choices show validation films too."
)
WORDS = {"log_loss": "log loss", "qwk": "QWK"}


def write_report(search: Path, out: Path, finished: bool = False) -> Path:
    """Write report.md, report.html, their figures and trials.csv of a search to `out`, and return report.html.

    Args:
        search: Output folder of the search.
        out: A folder, such as that of the search itself.
        finished: Whether the search has just trained its last trial.

    Raises:
        DataError: The folder holds no search, or a file of it is damaged.
    """
    settings = settings_of(search)
    trials = read_trials(search / FOLDER, settings)
    with steps.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        sections = [_state(search, settings, trials, finished or (search / RESULT).exists())]
        if trials:
            write_trials(out, trials)
            sections += _results(settings, trials, search, out)
        sections += _failed(search)
        write_page(out, "Search", sections)
    return out / "report.html"


def pareto_front(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Return the trials that no other one beats in quality, milliseconds and bytes together, the best first."""
    sign = -1 if OBJECTIVES[objective] == "max" else 1
    costs = {
        trial.trial: (sign * trial.result(objective), trial.milliseconds, trial.bytes)
        for trial in trials
        if trial.milliseconds is not None and trial.bytes is not None
    }

    def beaten(mine: Sequence[Any]) -> bool:
        return any(all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine for other in costs.values())

    return [trial for trial in trials if trial.trial in costs and not beaten(costs[trial.trial])]


def _state(search: Path, settings: SearchSettings, trials: Sequence[Trial], finished: bool) -> Section:
    """How far the search is, what it optimises, and what it trains now."""
    failed, planned, doing = failed_trials(search / FOLDER), planned_trials(settings), doing_now(search)
    said = {0: "none have", 1: "one has"}.get(len(failed), f"{len(failed)} have")
    text = [
        f"Of {planned} planned trials, {len(trials)} have finished and {said} failed. Tuner: {settings.tuner}."
        f" Objective: {WORDS[settings.objective]} on validation films. A trial has at most {settings.films} training"
        f" films and {settings.epochs} epochs."
    ]
    seconds = sum(trial.seconds or 0 for trial in trials)
    if (search / RECORD).is_file():
        with suppress(DataError):  # the next trial says that it is damaged
            text.append(str(read_choice(search)))
    if not finished and not doing and settings.accelerated and all_drawn(search / FOLDER):
        text.append("The same command with `--finish`, with Keras on TensorFlow, ends the search.")
    elif not finished and not doing:
        text.append("The search has not ended. The same command goes on with it.")
    elif not finished and (silence := silence_of(search)) > LOST_S:
        text.append(
            f"No process of it has given a sign of life for {silence / 60:.0f} minutes. If it was stopped, the same"
            " command goes on with it."
        )
    elif not finished and seconds:
        ended = {*failed, *(trial.trial for trial in trials)}
        training = [one for one in doing if one.trial and one.trial not in ended]
        done = ended_epochs(search / FOLDER, settings) + sum(one.done for one in training)
        pace = seconds / sum(trained_epochs(trial.epochs, settings) for trial in trials)
        left = max(0, planned_epochs(settings) - done) * pace / max(1, len(training))
        text.append(f"It runs. About {left / 60:.0f} minutes are left at the pace of its trials so far.")
    rows = [(one.process, one.trial or "-", f"{one.done} of {one.epochs}") for one in doing if not finished]
    return Section("", text, [("process", "trial", "epochs"), *rows] if rows else ())


def _failed(search: Path) -> list[Section]:
    rows = [(trial, reason_of(search, trial)) for trial in failed_trials(search / FOLDER)]
    if not rows:
        return []
    text = f"The folder `{FAILED}` has a file for each of them, with its choices."
    return [Section("Trials that failed", (text,), [("trial", "why"), *rows])]


def _results(settings: SearchSettings, trials: list[Trial], search: Path, out: Path) -> list[Section]:
    """What was found, best first, and everything that follows from it.

    Args:
        settings: The options of the search.
        trials: Its finished trials, best first.
        search: Its folder.
        out: The folder for the figures.
    """
    objective, lower = settings.objective, OBJECTIVES[settings.objective] == "min"
    timed = sorted((trial for trial in trials if trial.ended), key=lambda trial: trial.ended or 0)
    figures.plot_choices(trials, objective, out / "search.png")
    figures.plot_parallel(trials, objective, lower, out / "parallel.png")
    sections = [_best(trials, settings.accelerated), *_ensemble(trials, search, settings)]
    if timed:
        figures.plot_progress(timed, objective, lower, out / "progress.png")
        sections.append(Section("Best so far", (), (), "progress.png", "Best result against minutes of training"))
    sections.append(Section("Every trial, by choice", (), (), "search.png", "Result of every trial, by choice"))
    sections.append(_importance(importance(trials, objective), objective, out))
    sections.append(
        Section(
            "Every trial as a line",
            ("The darker a line, the better the trial. Its points are its values of the choices.",),
            (),
            "parallel.png",
            "Parallel coordinates of all trials",
        )
    )
    sections += [_rungs(trials, settings), _front(trials, settings, out), _space(settings)]
    return sections


def _in_full(what: str, option: str, accelerated: bool) -> str:
    """How trials are trained in full, each with the teacher that it was drawn with."""
    if accelerated:
        command = "python -m tuning.training.accelerated --pack PACK --search DIR --out runs/members --minutes MINUTES"
        return (
            f"`{command}` trains the chosen ones anew in so many minutes together, where PACK is the pack. It refuses"
            " to train one for fewer epochs than its trial had."
        )
    return f"`python -m tuning train --data DIR{option} --out runs/train` trains the {what} in full."


def _best(trials: Sequence[Trial], accelerated: bool) -> Section:
    rows = [_row(trial, varied_choices(trials)) for trial in trials[:SHOWN_TRIALS]]
    text = (
        f"{_in_full('best one', '', accelerated)} DIR is the folder of this search. Trials are short, and the standard"
        f" errors tell which differences are chance. Its `{TRIALS}` lists all trials with all of their choices.",
    )
    names = tuple(rows[0])  # of the trials, those on folds come first, and have the most columns
    return Section("The best trials", text, [names, *(tuple(row.get(name, "-") for name in names) for row in rows)])


def _ensemble(trials: Sequence[Trial], search: Path, settings: SearchSettings) -> list[Section]:
    ensemble, accelerated, epochs = choose(trials, search), settings.accelerated, settings.epochs
    if not ensemble.chosen:  # trials of earlier releases left no answers
        return [Section("The ensemble", ensemble.left_out)]
    text = (
        "Of the trials of the longest rung, the ensemble begins with the one of the lowest log loss on validation"
        " films. The trial that lowers the log loss of the mean answer most is added, while that is by"
        f" {LEAST_GAIN:g} or more, for at most {MOST_MEMBERS} members with {MOST_PARAMETERS / 1e6:g} million parameters"
        " together.",
        f"{_in_full('chosen ones', ' --architecture chosen', accelerated)} Each has the teacher that it was drawn with,"
        " or none." + JOINED * (accelerated and ensemble.chosen[0].trial.epochs == epochs),
        *([OF_VALIDATION] if trials[0].folds_qwk is not None else []),
        *ensemble.left_out,
    )
    rows = [(one.trial.trial, f"{one.log_loss:.3f}", f"{one.qwk:.3f}") for one in ensemble.chosen]
    return [Section("The ensemble", text, [("trial", "log loss with those above", "QWK"), *rows])]


def _row(trial: Trial, varied: Sequence[str]) -> dict[str, str]:
    return {
        "trial": trial.trial,
        "network": next((name for name, one in NAMED.items() if one == trial.architecture), "drawn"),
        "log loss": _with_error(trial.val_log_loss, trial.log_loss_error),
        "QWK": _with_error(trial.val_qwk, trial.qwk_error),
        **_of_folds(trial),
        "epochs": str(trial.epochs),
        "parameters": f"{trial.parameters:,}" if trial.parameters else "-",
        "MB": f"{trial.bytes / 1e6:.1f}" if trial.bytes else "-",
        "ms": f"{trial.milliseconds:.1f}" if trial.milliseconds else "-",
        "minutes": f"{trial.seconds / 60:.1f}" if trial.seconds else "-",
    } | {name: shown(value_of(trial, name)) for name in varied if name != "epochs"}


def _of_folds(trial: Trial) -> dict[str, str]:
    if trial.folds_log_loss is None:
        return {}
    return {
        "log loss on folds": _with_error(trial.folds_log_loss, trial.folds_log_loss_error),
        "QWK on folds": _with_error(trial.folds_qwk, trial.folds_qwk_error),
    }


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def _importance(found: Importance | None, objective: str, out: Path) -> Section:
    heading = "What the result depends on"
    if found is None:
        return Section(heading, (f"This needs {LEAST_TRIALS} finished trials that differ.",))
    figures.plot_importance(found, out / "importance.png")
    trust = "so the order below is no more than a hint" if found.explained < 0.3 else "so the order below can be used"
    text = (
        f"A random forest predicts the {WORDS[objective]} of a trial from its choices. Of the variance of trials that"
        f" it was not fitted to, it explains {max(found.explained, 0):.0%}, {trust}. A bar says by how much its mean"
        " error grows when the values of one choice are exchanged between trials.",
    )
    return Section(heading, text, (), "importance.png", "Importance of each choice")


def _rungs(trials: Sequence[Trial], settings: SearchSettings) -> Section:
    """How many trials have which length, and their best."""
    planned: dict[int, int] = {}
    for count, epochs in rungs(settings):
        planned[epochs] = planned.get(epochs, 0) + count
    rows = []
    for epochs in sorted(planned):
        mine = [trial for trial in trials if trial.epochs == epochs]
        best = _with_error(mine[0].val_log_loss, mine[0].log_loss_error) if mine else "-"
        minutes = sum(trial.seconds or 0 for trial in mine) / 60
        rows.append((str(epochs), f"{len(mine)} of {planned[epochs]}", best, f"{minutes:.1f}"))
    return Section("Rungs", (), [("epochs", "finished", "log loss of the best", "minutes of training"), *rows])


def _front(trials: Sequence[Trial], settings: SearchSettings, out: Path) -> Section:
    heading, objective = "Quality, time and size", settings.objective
    front = pareto_front(trials, objective)
    if not front:
        if not any(trial.epochs == settings.epochs for trial in trials):
            return Section(heading, ("No trial of full length has finished yet.",))
        text = (
            "Time and size were not measured, since Keras did not run on TensorFlow. If the search has not ended, its"
            " command with `--finish` measures them where Keras runs on TensorFlow.",
        )
        return Section(heading, text)
    costly = [trial for trial in trials if trial.milliseconds is not None]
    figures.plot_front(costly, front, objective, out / "pareto.png")
    text = (
        "No other trial beats one of these in quality (the mean over folds, if there are any), milliseconds and bytes"
        " together. Time is that of one film in onnxruntime on one thread of the machine that trained the trial.",
    )
    names = ("trial", "log loss", "QWK", *_of_folds(front[0]), "ms", "MB")
    rows = [tuple(_row(trial, ()).get(name, "-") for name in names) for trial in front]
    return Section(heading, text, [names, *rows], "pareto.png", "Quality against time")


def _space(settings: SearchSettings) -> Section:
    space = space_of(settings)
    text = []
    if settings.named:
        inside = named_points(space)
        outside = [name for name in NAMED if name not in inside]
        text.append(f"Networks designed by hand that are trials too: {', '.join(inside) or 'none'}.")
        text += [f"Not in this search space: {', '.join(outside)}."] if outside else []
    rows = [(name, ", ".join(str(value) or "none" for value in values)) for name, values in space.items()]
    return Section("Search space", text, [("choice", "values"), *rows])
