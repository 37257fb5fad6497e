"""What Keras Tuner's three oracles share here: a kill at any moment loses no trial and counts none twice.

Keras Tuner writes each trial and its own state to files of their own, one after the other. A kill between the two, or
in the middle of one, leaves a trial that is lost, counted twice, or a file that can't be read. Here one file, written
whole, holds everything; the trial.json of each trial is a copy of it for readers.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import keras_tuner as kt
from keras_tuner.engine import trial as trials

from kneeoa_hub.errors import DataError, KneeOAError
from kneeoa_hub.files import UNFINISHED, replacing
from kneeoa_hub.typed_json import from_json

from ..training.search_result import FOLDER
from .asker import Asker
from .failures import failure_file, failure_text
from .live import LOST_S
from .locking import synchronized
from .space import all_points
from .state import State

STATE = "oracle.json"
"""This file in Keras Tuner's folder holds the state."""
ENDED = "ended"
"""This measure of a trial says when it ended, in seconds since 1970."""
LEAST_ENDED = 5
"""The search may stop because too many trials failed when at least five have ended."""
DEATHS, LOSSES = 2, 5
"""A trial has failed after the system killed two processes of the chief's machine in it, or after five processes went
away in it unseen: they may have been preempted, but it may also need more memory than there is."""


class Durable(kt.Oracle):
    """All three oracles share this class: it comes before the oracle of Keras Tuner in the list of bases.

    Attributes:
        first: Points that are tried before any is drawn.
        most_failed: Proportion of the ended trials that may have failed.
        fault: Why the state could not be written; "" while it can.
        stopped: Whether somebody has heard that there is no trial left.
        exhausted: Whether every trial has been drawn and has ended. It is kept for later runs.
        resumes: Whether a trial that was interrupted goes on where it was. It may then be interrupted at will.
        kept: The type of its state.
    """

    kept: type[State] = State
    first: Sequence[Mapping[str, str]] = ()
    most_failed: float = 1.0
    fault: str = ""
    stopped: bool = False
    exhausted: bool = False
    resumes: bool = False

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._deaths: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        self._askers: dict[str, Asker] = {}

    def take_up(self, out: Path) -> None:
        """Work in the folder of a search, and go on where it was stopped. Raises DataError as `reload` does."""
        self._set_project_dir(str(out), FOLDER)
        if (out / FOLDER / STATE).exists():
            self.reload()
        else:
            self.save()  # before any trial: trials without a state would be of another search

    @property
    def failed(self) -> list[str]:
        """The trials that failed."""
        return [name for name in self.end_order if self.trials[name].status == trials.TrialStatus.FAILED]

    @property
    def too_many_failed(self) -> bool:
        """Whether more of the ended trials failed than may."""
        return len(self.end_order) >= LEAST_ENDED and len(self.failed) > self.most_failed * len(self.end_order)

    @property
    def nothing_left(self) -> bool:
        """Whether no worker would get a trial."""
        return self.exhausted or self.too_many_failed

    @synchronized
    def ended(self) -> list[trials.Trial]:
        """Return the trials that have ended, in their order."""
        return [self.trials[name] for name in self.end_order]

    @synchronized
    def askers(self) -> set[str]:
        """Return who trains a trial or waits for one."""
        return {*self.ongoing_trials, *self.tuner_ids}

    @synchronized
    def training(self) -> dict[str, str]:
        """Return the number of the trial that each process trains, by the name of the process."""
        return {who: trial.trial_id for who, trial in self.ongoing_trials.items()}

    @synchronized
    def create_trial(self, tuner_id: str) -> trials.Trial:
        """Return a trial to train, or one that is STOPPED when there is none left or none makes sense.

        Who asks is the text of an `Asker`, or a name alone.
        """
        asker = Asker.parse(tuner_id)
        tuner_id = asker.name
        if tuner_id in self.ongoing_trials and asker.process and asker == self._askers.get(tuner_id):
            return self.ongoing_trials[tuner_id]  # the answer with it was lost
        # Another process of that name has been started anew. Keras Tuner would give it the same trial for ever.
        self.release(tuner_id, f"{tuner_id} was started anew")
        self._askers[tuner_id] = asker
        if self.too_many_failed or self.fault:
            trial = trials.Trial(self.get_space(), status=trials.TrialStatus.STOPPED)
        else:
            trial = super().create_trial(tuner_id)
            if trial.status == trials.TrialStatus.STOPPED and self.ongoing_trials:
                # One of those who still train may die, and its trial will need somebody.
                trial.status = trials.TrialStatus.IDLE
                self.tuner_ids.add(tuner_id)
            elif trial.status == trials.TrialStatus.STOPPED and not self.exhausted:
                self.exhausted = True
                self.save()
        self.stopped |= trial.status == trials.TrialStatus.STOPPED
        return trial

    @synchronized
    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> trials.Trial:
        """Add what a worker measured.

        Args:
            trial_id: The number of the trial.
            metrics: Its measures, by name.
            step: The epoch that they are of.

        Raises:
            KeyError: The trial is one of another search.
        """
        return super().update_trial(trial_id, metrics, step)

    @synchronized
    def end_trial(self, trial: trials.Trial) -> None:
        """Record that a trial ended, and when; once, though a worker that was given up comes back with it.

        Raises KeyError for a trial of another search.
        """
        name = trial.trial_id
        if name in self.end_order:
            self.ongoing_trials = {who: other for who, other in self.ongoing_trials.items() if other.trial_id != name}
            return
        if name in self._retry_queue:
            self._retry_queue.remove(name)
        if trial.status == trials.TrialStatus.COMPLETED:
            kept = self.trials[name]
            if not kept.metrics.exists(
                self.objective.name
            ):  # they went when its worker was given up or this chief ended
                kept.metrics = trial.metrics
            kept.metrics.update(ENDED, time.time())
        super().end_trial(trial)

    @synchronized
    def add_measures(self, trial: trials.Trial, measures: Mapping[str, float]) -> None:
        """Add what was measured of a trial after it had ended."""
        for name, value in measures.items():
            trial.metrics.update(name, value)
        self._save_trial(trial)
        self.save()

    @synchronized
    def release(self, tuner_id: str, reason: str, killed: bool = False) -> bool:
        """Give the trial of a worker that is gone to the next one that asks, or let it fail after too many of them.

        Args:
            tuner_id: The name of the worker.
            reason: How it went.
            killed: Whether its process was seen to die. A worker that is merely gone may have been preempted.

        Returns:
            Whether it had a trial. A trial that fails leaves its file in failed/, as one that raises does.
        """
        self.tuner_ids.discard(tuner_id)
        if tuner_id not in self.ongoing_trials:
            return False
        self._give_up(tuner_id, reason, killed)
        return True

    def _give_up(self, tuner_id: str, reason: str, killed: bool) -> None:
        trial = self.ongoing_trials[tuner_id]
        count, most, what = (
            (self._deaths, DEATHS, "its process died") if killed else (self._losses, LOSSES, "its process went away")
        )
        count[trial.trial_id] += 1
        if count[trial.trial_id] < most:
            self._again(self.ongoing_trials.pop(tuner_id))
            self.save()
            return
        trial.status = trials.TrialStatus.FAILED
        trial.message = (
            f"{what} {most} times in this trial, which may need more memory than there is; the last time, {reason}"
        )
        path = failure_file(Path(self._project_dir).parent, trial.trial_id)
        self._write(path, failure_text(trial.hyperparameters.values, trial.message))
        self.end_trial(trial)

    @contextmanager
    def stopping_in_order(self) -> Iterator[None]:
        """Queue the trials in progress where the search is stopped inside the block, so that none counts as lost."""
        try:
            yield
        except (KneeOAError, KeyboardInterrupt):
            self._queue(self.ongoing_trials)
            raise

    @synchronized
    def _queue(self, tuner_ids: Iterable[str]) -> None:
        for tuner_id in list(tuner_ids):
            trial = self.ongoing_trials.pop(tuner_id)
            if trial.trial_id not in self.end_order:  # a stop may come while Keras Tuner records its end
                self._again(trial)
        self.save()

    def _again(self, trial: trials.Trial) -> None:
        """Queue a trial that was interrupted. Its measures go: Keras Tuner would keep them in place of the new ones."""
        trial.metrics = type(trial.metrics)()
        trial.status = trials.TrialStatus.RUNNING  # it may have reached its end, which was not recorded
        self._retry_queue.append(trial.trial_id)

    def _random_values(self) -> dict[str, Any] | None:
        """The first point that was not tried yet, then drawn ones; all three oracles begin with these.

        Keras Tuner gives up after 21 draws of tried points. A small space may have untried ones then.
        """
        return self._untried(self.first) or super()._random_values() or self._untried(self._all_points)

    def _untried(self, points: Iterable[Mapping[str, str]]) -> dict[str, str] | None:
        return next((dict(point) for point in points if not self._duplicate(point)), None)

    @cached_property
    def _all_points(self) -> list[dict[str, str]]:
        return all_points(self.get_space())

    def get_state(self) -> dict[str, Any]:
        """Return everything that a later run needs, the trials included."""
        states = {name: trial.get_state() for name, trial in self.trials.items()}
        for state in states.values():  # all trials have one space
            state["hyperparameters"] = state["hyperparameters"]["values"]
        state = {**super().get_state(), "trials": states, "exhausted": self.exhausted}
        state |= {"deaths": dict(self._deaths), "losses": dict(self._losses)}
        # Keras Tuner writes the state while a trial that has just ended counts as one that is trained.
        ended = set(self.end_order)
        state["ongoing_trials"] = {who: name for who, name in state["ongoing_trials"].items() if name not in ended}
        state["elsewhere"] = [who for who in state["ongoing_trials"] if self._askers.get(who, Asker(who)).elsewhere]
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up the state of an earlier run. Raises ValueError where it is not that of such a search."""
        from_json(self.kept, state)
        for name, kept in state["trials"].items():
            drawn = {**self._space(), "values": kept["hyperparameters"]}
            self.trials[name] = trials.Trial.from_state({**kept, "hyperparameters": drawn})
        super().set_state({**state, "hyperparameters": self._space()})
        self.exhausted = state.get("exhausted", False)  # earlier releases did not keep it, nor these
        self._deaths, self._losses = (Counter(state.get(name, {})) for name in ("deaths", "losses"))

    def _space(self) -> dict[str, Any]:
        """Return the space as plain values, made anew: Keras Tuner changes the conditions of those that it reads."""
        return self.get_space().get_config()

    def save(self) -> None:
        """Replace the file of the state. What goes wrong is kept in `fault`: an error here would lock the oracle."""
        self._write(Path(self._project_dir) / STATE, json.dumps(self.get_state()))

    def reload(self) -> None:
        """Read the file of the state, and put the trials that were interrupted before the others.

        Those of other machines may still be trained there, so they do not count as lost.

        Raises DataError when it can't be read.
        """
        folder = Path(self._project_dir)
        for left in folder.rglob(f"{UNFINISHED}*"):
            with suppress(FileNotFoundError):  # a worker of another machine may write it, and end that now
                if time.time() - left.stat().st_mtime > LOST_S:
                    left.unlink()
        try:
            state = json.loads((folder / STATE).read_text("utf-8"))
            self.set_state(state)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"{folder / STATE} is damaged ({error}), so the search can't go on; bring an older copy back, or"
                f" remove {folder.parent} to search anew."
            ) from None
        elsewhere = state.get("elsewhere", ())  # earlier releases did not keep it
        # Before a trial counts as lost, which writes the state.
        self._queue(who for who in self.ongoing_trials if self.resumes or who in elsewhere)
        for tuner_id in list(self.ongoing_trials):
            self._give_up(tuner_id, "the whole search was killed", killed=False)
        for trial in self.trials.values():  # a kill may have come between the state and its copy
            self._save_trial(trial)

    def _save_trial(self, trial: trials.Trial) -> None:
        folder = Path(self._project_dir) / f"trial_{trial.trial_id}"
        self._write(folder / "trial.json", json.dumps(trial.get_state()))

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.fault = self.fault or f"{path} can't be written ({error.strerror})"
