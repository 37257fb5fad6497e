"""A worker asks its chief again where the network failed: Keras Tuner would count the trial as one that failed."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import keras_tuner as kt
from keras_tuner.engine import trial as trials

from .asker import Asker, this_process
from .live import CHIEF, has_ended, say_lost

AGAIN_S = 1.0
"""Seconds before a question is asked again."""
OF_THE_NETWORK = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
"""Errors that say nothing about the question. An error in the chief itself is UNKNOWN."""


class PatientOracle:
    """The oracle of a chief, which is asked again until it answers or its chief has ended.

    A chief that was killed may come back. Where it doesn't, `live.keep_renewing` ends the process.
    """

    def __init__(self, oracle: Any, out: Path):
        """Ask an oracle.

        Args:
            oracle: Keras Tuner's client of the chief.
            out: Output folder of the search, in which the chief gives its sign of life.
        """
        self._oracle, self._out = oracle, out
        self._process = this_process()
        self._measured: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what the oracle has by a name; a method of it asks again."""
        one = getattr(self._oracle, name)
        return partial(self._ask, one) if callable(one) else one

    def create_trial(self, tuner_id: str) -> trials.Trial:
        """Return a trial to train, the same one where an answer was lost. Raises FatalError as `update_trial` does."""
        return self._ask(self._oracle.create_trial, str(Asker(tuner_id, *self._process)))

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> trials.Trial:
        """Report what was measured.

        Args:
            trial_id: The number of the trial.
            metrics: Its measures, by name.
            step: The epoch that they are of.

        Raises:
            FatalError: The chief has ended, or answers with an error.
        """
        answer = self._ask(self._oracle.update_trial, trial_id, metrics, step=step)
        self._measured = {trial_id: answer.metrics}
        return answer

    def end_trial(self, trial: trials.Trial) -> None:
        """Report the end of a trial, with its measures once more: a chief that was killed since has forgotten them.

        Raises FatalError as `update_trial` does.
        """
        trial.metrics = self._measured.pop(trial.trial_id, trial.metrics)
        self._ask(self._oracle.end_trial, trial)

    def _ask(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        while True:
            try:
                return question(*given, **named)
            except grpc.RpcError as error:
                what: Any = error  # its class does not say that it has a code
                if what.code() not in OF_THE_NETWORK or has_ended(self._out, CHIEF):
                    raise kt.errors.FatalError(f"the chief does not answer: {error}") from error
                time.sleep(AGAIN_S)


def say_unanswered(out: Path, error: Any) -> None:
    """Say to whoever reads a worker's log why a question had no answer.

    Args:
        out: Output folder of the search.
        error: The error of gRPC.
    """
    if error.code() in OF_THE_NETWORK:
        say_lost(out)
    else:
        code, said = error.code().name, error.details()
        print(f"error: the chief of {out} answers with an error, {code}: {said}", file=sys.stderr, flush=True)
